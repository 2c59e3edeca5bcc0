"""Requests that nobody should send: each gets an answer that says what is wrong with it."""

import httpx
import pytest

from tests.problems import problem
from tests.tus import TIMEOUT_S

JSON = {"Content-Type": "application/json"}

# Routes, each with a field of text that it takes.
ROUTES = {"/v1/auth/login": b"email", "/v1/auth/register": b"password", "/v1/auth/refresh": b"refresh_token"}


@pytest.mark.parametrize("path", ROUTES)
@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (b"[" * 100_000 + b"]" * 100_000, {400, 413, 422}),
        (b'{"a":' * 100_000 + b"1" + b"}" * 100_000, {400, 413, 422}),
        (b"[" * 30_000, {400, 422}),
        (b'{"FIELD": "\xff\xfe"}', {400}),
        (b'{"FIELD": "\xed\xa0\x80"}', {400}),
        (b'{"FIELD": "\\ud800"}', {400}),
        (b"", {400}),
        (b"{", {400}),
        (b"\x00", {400}),
        (b"1e400", {400, 422}),
        (b"9" * 60_000, {400, 422}),
        (b"null", {422}),
    ],
    ids=lambda value: str(value)[:20] if isinstance(value, bytes) else "",
)
def test_json_that_cannot_be_read_is_the_clients_fault(
    web: httpx.Client, path: str, body: bytes, expected: set[int]
) -> None:
    """A hundred thousand levels, bad UTF-8: never a 500."""
    status, _ = problem(web.post(path, content=body.replace(b"FIELD", ROUTES[path]), headers=JSON))

    assert status in expected


@pytest.mark.parametrize("path", ["/nowhere", "/v1", "/v1/conversions/x/y/z", "/v2/conversions"])
def test_where_nothing_is_is_a_404(web: httpx.Client, path: str) -> None:
    assert problem(web.get(path)) == (404, "not-found")


@pytest.mark.parametrize("name", ["..", "%00", "%ff", "$ne", "%7b%22$gt%22:%22%22%7d", "a" * 2000, "0", "-1", "G" * 32])
@pytest.mark.parametrize(("method", "rest"), [("DELETE", ""), ("GET", "/mp3")])
def test_an_id_that_is_none_is_a_404(web: httpx.Client, method: str, rest: str, name: str) -> None:
    """Like one that does not exist: nothing is to be learned from the difference."""
    path = httpx.URL(web.base_url).raw_path.rstrip(b"/") + f"/v1/conversions/{name}{rest}".encode()

    answer = web.request(method, httpx.URL(web.base_url).copy_with(raw_path=path))

    assert answer.status_code == 404


@pytest.mark.parametrize("path", ["/healthz", "/readyz"])
def test_anybody_may_ask_whether_the_service_is_well(web: httpx.Client, path: str) -> None:
    """What watches it has no account."""
    url = f"{web.base_url}".rstrip("/") + path

    answer = httpx.get(url, timeout=TIMEOUT_S)

    assert answer.status_code == 200
    assert answer.headers["cache-control"] == "no-store"
    assert httpx.head(url, timeout=TIMEOUT_S).status_code == 200
