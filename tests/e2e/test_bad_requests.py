"""Requests that nobody should send, to the whole service: each gets an answer that says what is wrong with it."""

import json
import socket
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest
from pymongo.database import Database

from functions.shared.mongo import Document
from infra.gateway.limits import MAX_BODY_BYTES
from infra.local.stack import RunningStack
from tests.e2e.tus import Tus

JSON = {"Content-Type": "application/json"}
SOME_ID = "0123456789abcdef0123456789abcdef"


@pytest.fixture(scope="module")
def web(stack: RunningStack, tus: Tus) -> Iterator[httpx.Client]:
    """Somebody who is logged in."""
    with httpx.Client(base_url=stack.url, headers={"Authorization": f"Bearer {tus.token}"}, timeout=60) as client:
        yield client


def problem(answer: httpx.Response) -> tuple[int, str]:
    """Return the status and the code of a problem."""
    assert answer.headers["content-type"] == "application/problem+json", answer.text
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert "Traceback" not in answer.text
    body: dict[str, Any] = answer.json()
    assert body["status"] == answer.status_code
    return answer.status_code, body["type"].removeprefix("/problems/")


def raw(stack: RunningStack, sent: bytes) -> tuple[int, bytes]:
    """Send bytes as they are; return the status of the answer, and everything until the connection ends."""
    address = urlsplit(stack.url)
    received = b""
    with socket.create_connection((address.hostname or "", address.port or 0), timeout=30) as client:
        client.sendall(sent)
        while part := client.recv(65536):
            received += part
    return int(received.split()[1]), received


# 24 and 25: longer than the limit


@pytest.mark.parametrize("path", ["/v1/auth/login", "/v1/auth/register", "/v1/auth/refresh"])
def test_a_body_that_is_announced_too_long_is_refused_unread(stack: RunningStack, path: str) -> None:
    """Nothing of it was sent here, and there is an answer."""
    head = f"POST {path} HTTP/1.1\r\nHost: x\r\nContent-Length: {MAX_BODY_BYTES + 1}\r\n\r\n"

    status, received = raw(stack, head.encode())

    assert status == 413
    assert b'"/problems/too-large"' in received


def test_a_body_that_grows_too_long_is_refused(web: httpx.Client, database: Database[Document]) -> None:
    """A body in chunks does not say how long it will be. Nothing of it is stored."""
    before = database.conversions.count_documents({})

    answer = web.post("/v1/auth/login", headers=JSON, content=(b"[" * 65536 for _ in range(100)))

    assert problem(answer) == (413, "too-large")
    assert database.conversions.count_documents({}) == before


# 43: JSON

# Routes, each with a field of text that it takes.
ROUTES = {"/v1/auth/login": b"email", "/v1/auth/register": b"password", "/v1/auth/refresh": b"refresh_token"}


@pytest.mark.parametrize("path", ROUTES)
@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (b'{"FIELD": "' + b"a" * 10_000_000 + b'"}', {413}),
        (b"[" * 100_000 + b"]" * 100_000, {400, 413, 422}),
        (b'{"a":' * 100_000 + b"1" + b"}" * 100_000, {400, 413, 422}),
        (b"[" * 30_000, {400, 422}),
        (b'{"FIELD": "\xff\xfe"}', {400}),
        (b'{"FIELD": "\xed\xa0\x80"}', {400}),
        (b'{"FIELD": "\\ud800"}', {400}),
        (b"\x00", {400}),
        (b"{", {400}),
        (b"1e400", {400, 422}),
        (b"9" * 60_000, {400, 422}),
        (b"null", {422}),
    ],
    ids=lambda value: str(value)[:20] if isinstance(value, bytes) else "",
)
def test_json_that_cannot_be_read_is_the_clients_fault(
    web: httpx.Client, path: str, body: bytes, expected: set[int]
) -> None:
    """Ten megabytes, a hundred thousand levels, bad UTF-8: never a 500."""
    status, _ = problem(web.post(path, content=body.replace(b"FIELD", ROUTES[path]), headers=JSON))

    assert status in expected


# 46: ids

IDS = [
    "..",
    "%2e%2e",
    "..%2f..%2fetc%2fpasswd",
    "%00",
    "a%00b",
    "%ff",
    "$ne",
    "%7b%22$gt%22:%22%22%7d",
    "a" * 5000,
    "%0a",
]


@pytest.mark.parametrize("name", [*IDS, SOME_ID, SOME_ID.upper(), "0", "-1"])
@pytest.mark.parametrize(
    ("method", "rest"),
    [("GET", ""), ("DELETE", ""), ("GET", "/mp3"), ("HEAD", "/mp3"), ("POST", "/retry"), ("POST", "/link")],
)
def test_an_id_that_is_none_is_a_404(stack: RunningStack, tus: Tus, method: str, rest: str, name: str) -> None:
    """Like one that does not exist: nothing is to be learned from the difference."""
    head = f"{method} /v1/conversions/{name}{rest} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {tus.token}\r\n"

    status, received = raw(stack, f"{head}Connection: close\r\n\r\n".encode())

    assert status == 404
    if method != "HEAD":
        assert json.loads(received.partition(b"\r\n\r\n")[2])["type"] == "/problems/not-found"


# 48: other people's pages


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/v1/conversions"),
        ("POST", "/v1/auth/login"),
        ("OPTIONS", "/v1/conversions"),
        ("OPTIONS", "/v1/uploads"),
        ("POST", "/v1/uploads"),
        ("GET", "/v1/downloads/x"),
        ("GET", "/nowhere"),
        ("GET", "/healthz"),
    ],
)
@pytest.mark.parametrize("origin", ["https://evil.example", "null", "http://127.0.0.1:1"])
def test_a_foreign_page_may_not_read_answers(web: httpx.Client, method: str, path: str, origin: str) -> None:
    """A browser asks with Origin, and gives the page nothing that is not allowed by name."""
    headers = {"Origin": origin, "Access-Control-Request-Method": "POST"}

    answer = web.request(method, path, headers=headers)

    assert not [name for name in answer.headers if name.startswith("access-control-")]


# 49: two lengths


@pytest.mark.parametrize("path", ["/v1/auth/login", "/v1/conversions", "/nowhere"])
@pytest.mark.parametrize(
    "lengths",
    [
        "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n",
        "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n",
        "Content-Length: 5\r\nTransfer-Encoding: Chunked\r\n",
        "Content-Length: 5\r\nContent-Length: 6\r\n",
        "Content-Length: 5\r\nTransfer-Encoding: identity\r\n",
        "Content-Length: +5\r\n",
        "Content-Length : 5\r\n",
        "Transfer-Encoding: chunked, chunked\r\n",
    ],
)
def test_a_request_that_two_servers_read_differently_is_the_last(stack: RunningStack, path: str, lengths: str) -> None:
    """What one takes for a body the other takes for a second request, of somebody else."""
    smuggled = f"POST {path} HTTP/1.1\r\nHost: x\r\n{lengths}\r\n0\r\n\r\nGET /healthz HTTP/1.1\r\nHost: x\r\n\r\n"

    status, received = raw(stack, smuggled.encode())

    assert status == 400
    assert received.count(b"HTTP/1.1 ") == 1
    assert b"connection: close" in received.lower()
