"""Requests that nobody should send, to the whole service: each gets an answer that says what is wrong with it."""

import json
import socket
from collections.abc import Iterator
from urllib.parse import urlsplit

import httpx
import pytest
from pymongo.database import Database

from functions.shared.mongo import Document
from infra.gateway.limits import MAX_BODY_BYTES
from infra.local.stack import RunningStack
from tests.problems import problem
from tests.tus import Tus

JSON = {"Content-Type": "application/json"}
SOME_ID = "0123456789abcdef0123456789abcdef"


@pytest.fixture(scope="module")
def web(stack: RunningStack, tus: Tus) -> Iterator[httpx.Client]:
    """Somebody who is logged in."""
    with httpx.Client(base_url=stack.url, headers={"Authorization": f"Bearer {tus.token}"}, timeout=60) as client:
        yield client


def raw(stack: RunningStack, sent: bytes) -> tuple[int, bytes]:
    """Send bytes as they are; return the status of the answer, and everything until the connection ends."""
    address = urlsplit(stack.url)
    received = b""
    with socket.create_connection((address.hostname or "", address.port or 0), timeout=30) as client:
        client.sendall(sent)
        while part := client.recv(65536):
            received += part
    return int(received.split()[1]), received


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


@pytest.mark.parametrize("path", ["/v1/auth/login", "/v1/auth/register", "/v1/auth/refresh"])
def test_json_of_ten_megabytes_is_refused(web: httpx.Client, path: str) -> None:
    """It is longer than what a function is given."""
    answer = web.post(path, content=b'{"email": "' + b"a" * 10_000_000 + b'"}', headers=JSON)

    assert problem(answer) == (413, "too-large")


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
