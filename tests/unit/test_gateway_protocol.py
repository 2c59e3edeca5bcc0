"""The gateway against clients that are slow, broken or hostile, on a real socket."""

import contextlib
import json
import logging
import re
import socket
import threading
import time
from collections.abc import Iterator
from typing import Any, NamedTuple

import httpx
import pytest

from functions.shared.problems import PROBLEMS
from infra.gateway.limits import MAX_BODY_BYTES, Limits
from tests.fakes.gateway import LOGIN, ME, OK, FakeFunctions, make_gateway, served, wait_until

POST = f"POST {LOGIN} HTTP/1.1\r\nHost: x\r\n"
GET = b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n"


@pytest.fixture
def functions() -> FakeFunctions:
    return FakeFunctions()


class Answered(NamedTuple):
    """An answer as it came, and whether the connection ended after it."""

    status: int
    headers: dict[str, str]
    body: bytes


def connect(port: int) -> socket.socket:
    return socket.create_connection(("127.0.0.1", port), timeout=10)


def read_all(client: socket.socket) -> bytes:
    """Return everything until the server closes."""
    received = b""
    with contextlib.suppress(ConnectionResetError):
        while part := client.recv(65536):
            received += part
    return received


def read_answer(client: socket.socket) -> Answered:
    """Read one answer that says how long it is, and nothing of the next."""
    head, body = b"", b""
    while not head.endswith(b"\r\n\r\n"):
        part = client.recv(1)
        assert part, f"the connection ended after {head!r}"
        head += part
    first, *lines = head.decode().rstrip().split("\r\n")
    headers = {name.lower(): value for name, value in (line.split(": ", 1) for line in lines)}
    while len(body) < int(headers["content-length"]):
        part = client.recv(int(headers["content-length"]) - len(body))
        assert part, "the connection ended in the body"
        body += part
    return Answered(int(first.split()[1]), headers, body)


def assert_refused(answer: Answered, code: str) -> None:
    """Assert that it is a problem like every other, and the last answer of its connection."""
    assert answer.status == PROBLEMS[code].status
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["connection"] == "close"
    assert json.loads(answer.body)["type"] == f"/problems/{code}"
    assert json.loads(answer.body)["detail"]


def lines_of_uvicorn(caplog: pytest.LogCaptureFixture) -> list[str]:
    """Return what was logged of connections, without the lines of every start and end."""
    records = [record for record in caplog.records if record.name == "uvicorn.error"]
    usual = ("Started", "Uvicorn running", "Shutting down", "Finished", "Waiting for")
    return [record.getMessage() for record in records if not record.getMessage().startswith(usual)]


@pytest.fixture(autouse=True)
def uvicorn_logs(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "uvicorn")


# Heads


@pytest.mark.parametrize("before", [b"", GET])
def test_a_head_that_does_not_come_in_time_is_a_408(
    functions: FakeFunctions, caplog: pytest.LogCaptureFixture, before: bytes
):
    """One header line a minute would keep a connection for ever, a new one or a kept one."""
    with served(make_gateway(functions), head_timeout_s=0.2) as port, connect(port) as client:
        if before:
            client.sendall(before)
            assert read_answer(client).status == 200
        client.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n")
        time.sleep(0.1)
        client.sendall(b"X-Slow: 1\r\n")
        answer = read_answer(client)
        rest = read_all(client)

    assert_refused(answer, "request-timeout")
    assert rest == b""
    assert lines_of_uvicorn(caplog) == ["the head of a request did not come in time"]


def test_a_head_that_comes_slowly_but_in_time_is_answered(functions: FakeFunctions):
    """A bad line loses packets, and that takes seconds."""
    with served(make_gateway(functions), head_timeout_s=5) as port, connect(port) as client:
        for byte in GET:
            client.send(bytes([byte]))
        assert read_answer(client).status == 200


def test_a_connection_that_is_not_used_is_closed_without_a_word(
    functions: FakeFunctions, caplog: pytest.LogCaptureFixture
):
    """Browsers open some ahead, and would take a 408 for the answer to what they send next."""
    with served(make_gateway(functions), head_timeout_s=0.2) as port, connect(port) as client:
        assert read_all(client) == b""

    assert lines_of_uvicorn(caplog) == []


def test_a_kept_connection_may_wait_longer_than_a_head(functions: FakeFunctions):
    """It costs little, and the next request need not open one."""
    with served(make_gateway(functions), head_timeout_s=0.1) as port, connect(port) as client:
        for _ in range(3):
            client.sendall(GET)
            assert read_answer(client).status == 200
            time.sleep(0.2)


@pytest.mark.parametrize(
    "sent",
    [
        b"nonsense\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(32),
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"GET / HTTP/1.1\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\nBad Name: y\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\nX: " + b"x" * 40_000,
        POST.encode() + b"Content-Length: 1, 2\r\n\r\n",
        POST.encode() + b"Content-Length: 1" + b"1" * 30 + b"\r\n\r\n",
        POST.encode() + b"Transfer-Encoding: gzip, chunked\r\n\r\n",
    ],
)
def test_what_is_not_http_is_a_problem_like_every_other(
    functions: FakeFunctions, caplog: pytest.LogCaptureFixture, sent: bytes
):
    """A person who points the wrong client here can read what is wrong, and it fills no log."""
    with served(make_gateway(functions)) as port, connect(port) as client:
        client.sendall(sent)
        answer = read_answer(client)
        rest = read_all(client)

    assert_refused(answer, "bad-request")
    assert rest == b""
    assert not functions.calls
    assert lines_of_uvicorn(caplog) == ["a client sent what is not HTTP"]


def test_a_head_that_is_too_long_says_how_long_it_may_be(functions: FakeFunctions):
    """The limit is API Gateway's."""
    with served(make_gateway(functions)) as port, connect(port) as client:
        client.sendall(b"GET / HTTP/1.1\r\nHost: x\r\nX: " + b"x" * 40_000)
        assert b"10240 bytes" in read_answer(client).body


@pytest.mark.parametrize("body", [b"zz\r\nabc", b"3\r\nabcdef\r\n"])
def test_a_body_that_is_not_http_is_a_400_and_calls_nothing(functions: FakeFunctions, body: bytes):
    """Half of it must not be taken for the whole."""
    with served(make_gateway(functions)) as port, connect(port) as client:
        client.sendall(POST.encode() + b"Transfer-Encoding: chunked\r\n\r\n" + body)
        answer = read_answer(client)
        assert httpx.get(f"http://127.0.0.1:{port}/healthz").status_code == 200

    assert_refused(answer, "bad-request")
    assert not functions.calls


def test_an_upgrade_is_answered_as_if_nobody_had_asked(functions: FakeFunctions, caplog: pytest.LogCaptureFixture):
    """There are no websockets here, and whoever asks must not fill the log."""
    upgrade = GET[:-2] + b"Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\r\n"
    with served(make_gateway(functions)) as port, connect(port) as client:
        for _ in range(2):
            client.sendall(upgrade)
            assert read_answer(client).status == 200

    assert lines_of_uvicorn(caplog) == []


@pytest.mark.parametrize(
    ("target", "status"),
    [("http://h.example:81/healthz", 200), ("HTTPS://h.example/healthz?a=b", 200), ("http://h.example", 200)],
)
def test_an_address_as_a_proxy_gets_it_is_understood(functions: FakeFunctions, target: str, status: int):
    """Every server has to: https://www.rfc-editor.org/rfc/rfc9112#section-3.2.2."""
    with served(make_gateway(functions)) as port, connect(port) as client:
        client.sendall(f"GET {target} HTTP/1.1\r\nHost: other\r\n\r\n".encode())
        assert read_answer(client).status == status


def test_the_host_of_such_an_address_is_the_one_that_counts(functions: FakeFunctions):
    """Two readers must not see two hosts."""
    with served(make_gateway(functions)) as port, connect(port) as client:
        client.sendall(b"GET http://h.example:81/v1/downloads/t?x=1 HTTP/1.1\r\nHost: other\r\n\r\n")
        assert read_answer(client).status == 200

    assert functions.event["path"] == "/v1/downloads/t"
    assert functions.event["multiValueHeaders"]["Host"] == ["h.example:81"]
    assert functions.event["requestContext"]["domainName"] == "h.example"


# Bodies


@pytest.mark.parametrize(
    ("head", "code"),
    [
        (f"{POST}Content-Length: {MAX_BODY_BYTES + 1}\r\n", "too-large"),
        (f"POST {ME}/nowhere HTTP/1.1\r\nHost: x\r\nContent-Length: 5000000\r\n", "not-found"),
        ("PUT /v1/conversions HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n", "method-not-allowed"),
        ("POST /v1/conversions HTTP/1.1\r\nHost: x\r\nContent-Length: 5000000\r\n", "invalid-token"),
        ("POST /v1/conversions HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n", "invalid-token"),
    ],
)
@pytest.mark.parametrize("expect", ["", "Expect: 100-continue\r\n"])
def test_who_is_refused_by_the_head_alone_need_not_send_the_body(
    functions: FakeFunctions, head: str, code: str, expect: str
):
    """This is what curl does. Who does not ask sees the answer, too, and the rest is not read as another request."""
    with served(make_gateway(functions)) as port, connect(port) as client:
        client.sendall(f"{head}{expect}\r\n".encode())
        answer = read_answer(client)

    assert_refused(answer, code)


def test_who_asks_first_is_told_to_go_on(functions: FakeFunctions):
    """Without this curl waits a second before each form."""
    with served(make_gateway(functions)) as port, connect(port) as client:
        client.sendall(f"{POST}Content-Length: 2\r\nExpect: 100-continue\r\n\r\n".encode())
        assert client.recv(1000).startswith(b"HTTP/1.1 100 ")
        client.sendall(b"{}")
        assert read_answer(client).status == 200
        client.sendall(GET)
        assert read_answer(client).status == 200


def test_a_refusal_after_the_whole_body_keeps_the_connection(functions: FakeFunctions):
    """Only what is unread makes it useless."""
    with served(make_gateway(functions)) as port, connect(port) as client:
        client.sendall(b"POST /nowhere HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n{}" + GET)
        assert read_answer(client).status == 404
        assert read_answer(client).status == 200


def test_the_rest_of_a_refused_body_is_not_read_for_ever(functions: FakeFunctions):
    """A client that sends gigabytes all the same is cut off, and has seen why by then."""
    sent = 0
    with served(make_gateway(functions), linger_bytes=1024 * 1024) as port, connect(port) as client:
        client.sendall(f"{POST}Content-Length: {10**12}\r\n\r\n".encode())
        assert_refused(read_answer(client), "too-large")
        with contextlib.suppress(ConnectionResetError, BrokenPipeError):
            while sent < 10**9:
                sent += client.send(bytes(65536))

    # What the two kernels hold comes on top of it.
    assert sent < 64 * 1024 * 1024


def test_a_refused_client_that_says_nothing_more_is_not_waited_for(functions: FakeFunctions):
    """It could hold the connection for as long as it likes."""
    with served(make_gateway(functions), linger_s=0.2) as port, connect(port) as client:
        client.sendall(f"{POST}Content-Length: {10**12}\r\n\r\n".encode())
        assert_refused(read_answer(client), "too-large")
        # Our direction is closed at once, so that the client knows that nothing more comes.
        assert client.recv(1) == b""

        def is_cut_off() -> bool:
            try:
                client.send(b"x")
            except (ConnectionResetError, BrokenPipeError):
                return True
            return False

        wait_until(is_cut_off)


def test_bytes_in_chunks_of_their_own_are_refused(functions: FakeFunctions):
    """Each costs as much as a chunk of a megabyte, so one client could keep the gateway busy."""
    with served(make_gateway(functions)) as port, connect(port) as client:
        client.sendall(POST.encode() + b"Transfer-Encoding: chunked\r\n\r\n" + b"1\r\nx\r\n" * 2000)
        assert_refused(read_answer(client), "bad-request")

    assert not functions.calls


@pytest.mark.parametrize(("size", "count"), [(1, 900), (200, 5000)])
def test_small_chunks_are_no_fault(functions: FakeFunctions, size: int, count: int):
    """Programs that write line by line send such."""
    chunk = f"{size:x}\r\n".encode() + b"x" * size + b"\r\n"
    with served(make_gateway(functions)) as port, connect(port) as client:
        client.sendall(POST.encode() + b"Transfer-Encoding: chunked\r\n\r\n" + chunk * count + b"0\r\n\r\n")
        assert read_answer(client).status == 200


# Many connections


def test_a_newcomer_takes_the_place_of_who_has_waited_for_longest(functions: FakeFunctions):
    """Connections that do nothing must not keep people out."""
    with served(make_gateway(functions), max_connections=3) as port, contextlib.ExitStack() as stack:
        silent, half, kept = (stack.enter_context(connect(port)) for _ in range(3))
        half.sendall(b"GET / HTTP/1.1\r\n")
        kept.sendall(GET)
        assert read_answer(kept).status == 200

        assert httpx.get(f"http://127.0.0.1:{port}/healthz").status_code == 200
        assert read_all(silent) == b""
        newest = stack.enter_context(connect(port))
        newest.sendall(GET)
        assert read_answer(newest).status == 200
        kept.sendall(GET)
        assert read_answer(kept).status == 200

        fourth = stack.enter_context(connect(port))
        assert_refused(read_answer(half), "unavailable")
        for client in (fourth, kept, newest):
            client.sendall(GET)
            assert read_answer(client).status == 200


def test_when_all_are_busy_a_newcomer_is_told_to_come_again(functions: FakeFunctions):
    """At once: a client that waits cannot try another server."""
    go_on = threading.Event()
    functions.answer = lambda _: (go_on.wait(10), OK)[1]
    with served(make_gateway(functions), max_connections=2) as port, contextlib.ExitStack() as stack:
        busy = [stack.enter_context(connect(port)) for _ in range(2)]
        for client in busy:
            client.sendall(f"{POST}Content-Length: 2\r\n\r\n{{}}".encode())
        wait_until(lambda: len(functions.calls) == 2)

        refused = httpx.get(f"http://127.0.0.1:{port}/healthz")
        assert refused.status_code == 503
        assert int(refused.headers["retry-after"]) > 0
        assert refused.headers["content-type"] == "application/problem+json"

        go_on.set()
        assert [read_answer(client).status for client in busy] == [200, 200]
        assert httpx.get(f"http://127.0.0.1:{port}/healthz").status_code == 200


def test_a_crowd_is_logged_once_and_not_for_each_connection(functions: FakeFunctions, caplog: pytest.LogCaptureFixture):
    """Else the log would be the next thing to fill up."""
    with served(make_gateway(functions), max_connections=10) as port, contextlib.ExitStack() as stack:
        for _ in range(50):
            stack.enter_context(connect(port))
        assert httpx.get(f"http://127.0.0.1:{port}/healthz").status_code == 200

    assert lines_of_uvicorn(caplog) == ["all connections are taken: those that wait are closed, or new ones refused"]


@contextlib.contextmanager
def slow_clients(port: int, count: int) -> Iterator[None]:
    """Clients that send a byte of their body each second, and their number of silent ones."""
    with contextlib.ExitStack() as stack:
        slow = [stack.enter_context(connect(port)) for _ in range(count)]
        for client in slow:
            client.sendall(f"{POST}Content-Length: 100000\r\n\r\n".encode())
        for _ in range(count):
            stack.enter_context(connect(port))
        ended = threading.Event()

        def trickle() -> None:
            while not ended.wait(1):
                for client in slow:
                    client.send(b"x")

        sender = threading.Thread(target=trickle)
        sender.start()
        try:
            yield
        finally:
            ended.set()
            sender.join()


def test_slow_clients_do_not_slow_down_the_others(functions: FakeFunctions):
    """Fifty that send a byte a second are what one person with a script has."""
    body = bytes(MAX_BODY_BYTES)

    def seconds(client: httpx.Client) -> float:
        started = time.perf_counter()
        assert client.post(LOGIN, content=body).status_code == 200
        return time.perf_counter() - started

    limits: dict[str, Any] = {"body_idle_s": 300}
    with (
        served(make_gateway(functions, limits=Limits(**limits)), **limits) as port,
        httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=30) as client,
    ):
        # The machine may be busy with something else, so the best of some counts, and of some rounds the best.
        for _ in range(10):
            alone = min(seconds(client) for _ in range(12))
            with slow_clients(port, 50):
                beside_them = min(seconds(client) for _ in range(12))
            if beside_them < alone * 1.1:
                break

    assert beside_them < alone * 1.1


def test_a_client_that_takes_no_answers_gets_no_more_of_them(
    functions: FakeFunctions, caplog: pytest.LogCaptureFixture
):
    """One that asks and asks and never reads would fill the memory with answers."""
    functions.answer = {"statusCode": 200, "body": "x" * 1_000_000}
    with served(make_gateway(functions), answer_idle_s=0.1) as port, connect(port) as client:
        client.sendall(b"GET /v1/downloads/t HTTP/1.1\r\nHost: x\r\n\r\n" * 100)
        wait_until(lambda: any(vars(record).get("status") == 499 for record in caplog.records))

        assert len(re.findall(rb"HTTP/1.1 200", read_all(client))) < 20
        assert len(functions.calls) < 20


def test_an_answer_that_waits_for_its_client_at_the_end_does_not_wait_for_ever(functions: FakeFunctions):
    """The last bytes are with the kernel then, and no request is left that could time out."""
    functions.answer = {"statusCode": 200, "body": "x" * 3_000_000}
    with (
        served(make_gateway(functions), answer_idle_s=0.2, keep_alive_s=1) as port,
        socket.socket() as client,
    ):
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 16 * 1024)
        client.settimeout(10)
        client.connect(("127.0.0.1", port))
        client.sendall(b"GET /v1/downloads/t HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        wait_until(lambda: bool(functions.calls))
        time.sleep(1)

        assert len(read_all(client)) < 3_000_000
