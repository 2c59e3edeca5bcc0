"""The gateway on a real socket, as uvicorn serves it: what only the wire can show."""

import contextlib
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from functions.shared.files import CHUNK_BYTES, FileDamaged
from infra.gateway.limits import MAX_BODY_BYTES, Limits
from tests.fakes.gateway import OK, FakeFunctions, make_gateway, served, wait_until
from tests.fakes.shared import FakeFiles

LOGIN = "POST /v1/auth/login HTTP/1.1\r\nHost: x\r\n"
DOWNLOAD = b"GET /v1/downloads/t HTTP/1.1\r\nHost: x\r\n\r\n"


@pytest.fixture
def functions() -> FakeFunctions:
    return FakeFunctions()


def talk(port: int, *sent: bytes) -> bytes:
    """Send bytes as they are, and return everything until the server closes."""
    with socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
        for part in sent:
            connection.sendall(part)
        received = b""
        while part := connection.recv(65536):
            received += part
        return received


def test_a_body_that_is_announced_too_large_is_refused_before_it_is_sent(functions: FakeFunctions):
    """A client that asks with Expect: 100-continue, as curl does, need not send it at all."""
    head = f"{LOGIN}Content-Length: {MAX_BODY_BYTES + 1}\r\nExpect: 100-continue\r\n\r\n"
    with served(make_gateway(functions)) as port, socket.create_connection(("127.0.0.1", port), timeout=10) as client:
        client.sendall(head.encode())
        answer = client.recv(65536)

    assert answer.startswith(b"HTTP/1.1 413 ")
    assert not functions.calls


def test_a_body_that_grows_too_large_is_refused_on_the_way(functions: FakeFunctions):
    """A chunked body announces no length, and may never end."""
    chunk = b"10000\r\n" + bytes(0x10000) + b"\r\n"
    with served(make_gateway(functions)) as port, socket.create_connection(("127.0.0.1", port), timeout=10) as client:
        client.sendall(f"{LOGIN}Transfer-Encoding: chunked\r\n\r\n".encode())
        for _ in range(MAX_BODY_BYTES // 0x10000 + 1):
            client.sendall(chunk)
        answer = client.recv(65536)

    assert answer.startswith(b"HTTP/1.1 413 ")
    assert not functions.calls


def test_a_client_that_sends_all_the_same_can_read_why_it_is_refused(functions: FakeFunctions):
    """Closing at once would reset the connection, and the client would see an error instead of the limit."""
    with served(make_gateway(functions)) as port:
        answer = httpx.post(f"http://127.0.0.1:{port}/v1/auth/login", content=bytes(3 * MAX_BODY_BYTES))

    assert answer.status_code == 413
    assert str(MAX_BODY_BYTES) in answer.json()["detail"]


def test_a_chunked_body_arrives_whole(functions: FakeFunctions):
    """Clients that stream send no length."""
    with served(make_gateway(functions)) as port:
        answer = httpx.post(f"http://127.0.0.1:{port}/v1/auth/login", content=iter([b"a" * 70_000, b"b", b"c"]))

    assert answer.status_code == 200
    assert len(functions.event["body"]) == (70_002 + 2) // 3 * 4


def test_both_content_length_and_transfer_encoding_is_a_400_and_the_end(functions: FakeFunctions):
    """Two servers that read such a request differently can be made to see two; so nothing after it is read."""
    smuggled = f"{LOGIN}Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"
    with served(make_gateway(functions)) as port:
        answer = talk(port, smuggled.encode(), f"{LOGIN}Content-Length: 0\r\n\r\n".encode())

    assert answer.startswith(b"HTTP/1.1 400 ")
    assert answer.count(b"HTTP/1.1 ") == 1
    assert not functions.calls


@pytest.mark.parametrize(
    "sent",
    [
        b"nonsense\r\n\r\n",
        b"GET / HTTP/1.1\r\nX: " + b"x" * 40_000,
        b"GET / HTTP/1.1\r\nHost: x\r\nBad Name: y\r\n\r\n",
    ],
)
def test_what_is_not_http_is_a_400(functions: FakeFunctions, sent: bytes):
    """The head is bounded, so a client cannot fill the memory with one."""
    with served(make_gateway(functions)) as port:
        assert talk(port, sent).startswith(b"HTTP/1.1 400 ")


def test_a_client_that_goes_away_within_its_body_calls_nothing(functions: FakeFunctions):
    """Half a body must not reach a function, and the server must go on."""
    with served(make_gateway(functions)) as port:
        with socket.create_connection(("127.0.0.1", port), timeout=10) as client:
            client.sendall(f"{LOGIN}Content-Length: 100\r\n\r\nhalf".encode())
        assert httpx.get(f"http://127.0.0.1:{port}/healthz").status_code == 200

    assert not functions.calls


def test_a_body_that_does_not_come_is_a_408(functions: FakeFunctions):
    """Connections that send a byte now and then would else pile up."""
    with served(make_gateway(functions, limits=Limits(body_idle_s=0.1))) as port:
        answer = talk(port, f"{LOGIN}Content-Length: 100\r\n\r\nhalf".encode())

    assert answer.startswith(b"HTTP/1.1 408 ")
    assert not functions.calls


def test_one_connection_carries_several_requests(functions: FakeFunctions):
    """HEAD, 204 and 404 must each end where the next answer begins."""
    functions.answer = lambda event: {"statusCode": 204} if event["httpMethod"] == "POST" else OK
    head = b"HEAD /v1/downloads/t HTTP/1.1\r\nHost: x\r\n\r\n"
    nowhere = b"GET /nowhere HTTP/1.1\r\nHost: x\r\n\r\n"
    login = f"{LOGIN}Content-Length: 2\r\n\r\n{{}}".encode()
    with served(make_gateway(functions)) as port:
        answer = talk(port, head, login, nowhere, DOWNLOAD.replace(b"Host: x", b"Host: x\r\nConnection: close"))

    assert re.findall(rb"HTTP/1\.1 (\d+)", answer) == [b"200", b"204", b"404", b"200"]
    assert answer.endswith(b"\r\n\r\n{}")


class Mp3(FakeFiles):
    """Gives out 64 parts; `fails` breaks the seventh, and `closed` is set when the reader lets go."""

    def __init__(self, *, fails: bool) -> None:
        super().__init__()
        self.fails = fails
        self.given = 0

    def read(self, file_id: str, start: int = 0, end: int | None = None) -> Iterator[bytes]:
        for number in range(64):
            if self.fails and number == 6:
                raise FileDamaged(file_id)
            self.given += 1
            yield bytes(CHUNK_BYTES)


def stored_file_answer() -> dict[str, Any]:
    return {"statusCode": 200, "headers": {"X-Stored-File": f"mp3s/f;0-{64 * CHUNK_BYTES}"}, "body": ""}


def test_a_file_that_fails_on_the_way_never_looks_whole(functions: FakeFunctions):
    """The length that was promised does not come, and the connection ends: every client sees an error."""
    functions.answer = stored_file_answer()
    with served(make_gateway(functions, files=Mp3(fails=True))) as port:
        with pytest.raises(httpx.RemoteProtocolError, match="peer closed connection"):
            httpx.get(f"http://127.0.0.1:{port}/v1/downloads/t")
        assert httpx.get(f"http://127.0.0.1:{port}/healthz").status_code == 200


def test_a_client_that_goes_away_stops_the_reading(functions: FakeFunctions):
    """Else every download that was given up would still be read to its end."""
    functions.answer = stored_file_answer()
    mp3 = Mp3(fails=False)
    with served(make_gateway(functions, files=mp3)) as port:
        with socket.create_connection(("127.0.0.1", port), timeout=10) as client:
            client.sendall(DOWNLOAD)
            client.recv(65536)
        assert httpx.get(f"http://127.0.0.1:{port}/healthz").status_code == 200

    # The server ends only when its last answer has ended, so this is all that was read.
    assert mp3.given < 64


def test_a_client_that_does_not_read_is_let_go(functions: FakeFunctions, caplog: pytest.LogCaptureFixture):
    """Else it would hold a file open for as long as it likes."""
    functions.answer = stored_file_answer()
    mp3 = Mp3(fails=False)
    with (
        served(make_gateway(functions, files=mp3), answer_idle_s=0.1) as port,
        socket.create_connection(("127.0.0.1", port), timeout=10) as client,
    ):
        client.sendall(DOWNLOAD)
        wait_until(lambda: "request" in caplog.messages)

    (line,) = [record for record in caplog.records if record.message == "request"]
    assert vars(line)["status"] == 499
    assert mp3.given < 64


def test_a_client_that_reads_slowly_gets_everything(functions: FakeFunctions):
    """It may take many times as long as a client may take nothing at all."""
    functions.answer = {"statusCode": 200, "body": "x" * 4_000_000}
    taken = 0
    with (
        served(make_gateway(functions), answer_idle_s=0.2) as port,
        socket.create_connection(("127.0.0.1", port), timeout=10) as client,
    ):
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 64 * 1024)
        client.sendall(DOWNLOAD)
        while taken < 4_000_000:
            part = client.recv(65536)
            assert part, f"the answer ended after {taken} bytes"
            taken += len(part)
            time.sleep(0.02)


@pytest.mark.parametrize("body_bytes", [None, 6_000_000, 1_000_000], ids=["a file", "an answer", "its last piece"])
def test_of_too_many_downloads_the_slowest_is_broken_off(
    functions: FakeFunctions, caplog: pytest.LogCaptureFixture, body_bytes: int | None
):
    """Each has megabytes in memory. Thousands of clients that read nothing would else end the gateway for all."""
    functions.answer = stored_file_answer() if body_bytes is None else {"statusCode": 200, "body": "x" * body_bytes}
    gateway = make_gateway(functions, files=Mp3(fails=False), limits=Limits(max_downloads=2))
    with served(gateway) as port, contextlib.ExitStack() as stack:
        clients = [stack.enter_context(download(port)) for _ in range(3)]
        *early, newest = [take_all(client) for client in clients]

    rest = (body_bytes or 64 * CHUNK_BYTES) - BEGINNING
    assert min(early) < rest < min(newest, max(early))
    assert [vars(line)["status"] for line in caplog.records if line.message == "request"].count(499) == 1
    assert not [line for line in caplog.records if line.levelname in {"WARNING", "ERROR"}]


def test_a_download_that_goes_on_is_not_the_slowest(functions: FakeFunctions):
    """However early it began."""
    functions.answer = stored_file_answer()
    gateway = make_gateway(functions, files=Mp3(fails=False), limits=Limits(max_downloads=2))
    with served(gateway) as port, contextlib.ExitStack() as stack:
        first, second = [stack.enter_context(download(port)) for _ in range(2)]
        taken = sum(len(first.recv(1024 * 1024)) for _ in range(1000))
        stack.enter_context(download(port))

        assert take_all(second) < 64 * CHUNK_BYTES - BEGINNING < taken + take_all(first)


BEGINNING = 2048


@contextlib.contextmanager
def download(port: int) -> Iterator[socket.socket]:
    """Ask for a file, and take no more than its beginning."""
    with socket.socket() as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        client.settimeout(10)
        client.connect(("127.0.0.1", port))
        client.sendall(DOWNLOAD.replace(b"Host: x", b"Host: x\r\nConnection: close"))
        # More than the head, so the body has begun.
        assert len(client.recv(BEGINNING, socket.MSG_WAITALL)) == BEGINNING
        yield client


def take_all(client: socket.socket) -> int:
    """Return how many bytes come until the server closes."""
    taken = 0
    while part := client.recv(1024 * 1024):
        taken += len(part)
    return taken


def test_a_large_file_arrives_whole(functions: FakeFunctions):
    """64 MiB through the socket, with the length that was promised."""
    functions.answer = stored_file_answer()
    with served(make_gateway(functions, files=Mp3(fails=False))) as port:
        answer = httpx.get(f"http://127.0.0.1:{port}/v1/downloads/t")

    assert int(answer.headers["content-length"]) == len(answer.content) == 64 * CHUNK_BYTES


def test_a_server_that_ends_finishes_what_it_began(functions: FakeFunctions):
    """A deployment or a scale-down must not cut answers off."""
    called, go_on = threading.Event(), threading.Event()

    def slow(_: Any) -> Any:
        called.set()
        assert go_on.wait(10)
        return OK

    functions.answer = slow
    answers: list[httpx.Response] = []
    with served(make_gateway(functions)) as port:
        url = f"http://127.0.0.1:{port}/v1/auth/login"
        client = threading.Thread(target=lambda: answers.append(httpx.post(url)))
        client.start()
        assert called.wait(10)
        threading.Timer(0.5, go_on.set).start()
    client.join(10)

    # Whoever keeps connections knows that he must not send anything more on this one.
    assert [(answer.status_code, answer.headers["connection"]) for answer in answers] == [(200, "close")]


def test_a_missing_setting_is_named():
    """Not a traceback: whoever starts it must see what to set."""
    environ = {"MONGODB_URL": ""}

    ended = subprocess.run(
        [sys.executable, "-m", "infra.gateway"], env=environ, capture_output=True, text=True, timeout=60, check=False
    )

    assert ended.returncode == 1
    assert "MONGODB_URL" in ended.stderr
    assert "Traceback" not in ended.stderr


def test_a_request_that_does_not_end_before_the_drain_is_told_to_come_again(functions: FakeFunctions):
    """A deploy meets slow uploads; a 503 says that it is worth another try, and a bare 500 would not."""
    with contextlib.ExitStack() as client:
        with served(make_gateway(functions), drain_s=1) as port:
            connection = client.enter_context(socket.create_connection(("127.0.0.1", port), timeout=10))
            connection.sendall(f"{LOGIN}Content-Length: 100\r\n\r\nhalf".encode())
            time.sleep(0.2)  # so that the server has begun to read it
        answer = connection.recv(65536)

    assert answer.startswith(b"HTTP/1.1 503 ")
    assert b"retry-after" in answer
    assert b"x-request-id" in answer


def test_a_client_that_has_gone_is_not_told_that_the_server_ends(
    functions: FakeFunctions, caplog: pytest.LogCaptureFixture
):
    """That nobody hears it is no error of ours."""
    called, go_on = threading.Event(), threading.Event()

    def slow(_: Any) -> Any:
        called.set()
        assert go_on.wait(10)
        return OK

    functions.answer = slow
    with served(make_gateway(functions), drain_s=1) as port:
        with socket.create_connection(("127.0.0.1", port), timeout=10) as client:
            client.sendall(f"{LOGIN}Content-Length: 0\r\n\r\n".encode())
            assert called.wait(10)
        threading.Timer(2, go_on.set).start()

    (line,) = [record for record in caplog.records if record.message == "request"]
    assert vars(line)["status"] == 499
    assert not [vars(record) for record in caplog.records if record.exc_info]


def test_the_process_serves_until_sigterm_and_then_ends_well():
    """Its exit code is what a supervisor goes by. No server is needed before the first request."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    nowhere = "127.0.0.1:9"
    environ = {
        "POSTGRES_URL": f"postgresql://{nowhere}/x",
        "MONGODB_URL": f"mongodb://{nowhere}/?serverSelectionTimeoutMS=500",
        "AMQP_URL": f"amqp://{nowhere}",
        "PORT": str(port),
        "DRAIN_S": "5",
    }
    command = [sys.executable, "-m", "infra.gateway"]
    with subprocess.Popen(command, env=environ, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
        try:
            transport = httpx.HTTPTransport(retries=8)
            with httpx.Client(transport=transport, base_url=f"http://127.0.0.1:{port}", timeout=10) as client:
                assert client.get("/healthz").json() == {"status": "ok"}
                ready = client.get("/readyz")
        finally:
            process.send_signal(signal.SIGTERM)
            out, _ = process.communicate(timeout=30)

    assert ready.status_code == 503
    assert all(state.startswith("down: ") for state in ready.json()["checks"].values())
    assert process.returncode == 0, out
    assert "Traceback" not in out.replace('"exception":"Traceback', "")
