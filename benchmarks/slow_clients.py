"""How much a normal upload suffers from many clients that send a byte a second."""

import contextlib
import os
import select
import socket
import statistics
import threading
import time
import uuid
from collections.abc import Iterator
from typing import Self
from urllib.parse import urljoin, urlsplit

import httpx
from rich.console import Console

from infra.local.stack import RunningStack

Row = tuple[str, str, str, str, str]

_CLIENTS = 50
_BEGIN_WITHIN_S = 2.0
_MEGABYTES = 200
_ROUNDS = 9
_PASSWORD = "a password of the benchmarks"
_TUS = {"Tus-Resumable": "1.0.0"}
_PATCH = {**_TUS, "Content-Type": "application/offset+octet-stream", "Upload-Offset": "0"}


def run(stack: RunningStack, console: Console) -> Iterator[Row]:
    """Yield the row of the table. Both numbers come from the same rounds, one after the other."""
    console.print(f"Uploading {_MEGABYTES} MB alone, and beside {_CLIENTS} clients that send a byte a second")
    content = os.urandom(_MEGABYTES * 1_000_000)
    token = _log_in(stack.url)
    alone: list[float] = []
    beside: list[float] = []
    ratios: list[float] = []
    with httpx.Client(base_url=stack.url, headers={"Authorization": f"Bearer {token}"}, timeout=60) as http:
        _upload_s(http, content)
        for number in range(_ROUNDS):
            # What comes first in a round changes, so that neither has the warmer caches.
            for crowded in (False, True) if number % 2 else (True, False):
                with SlowClients(stack.url, token, _CLIENTS) if crowded else contextlib.nullcontext():
                    (beside if crowded else alone).append(_upload_s(http, content))
            ratios.append(beside[-1] / alone[-1])
            console.print(f"  alone {alone[-1]:.2f} s, beside slow clients {beside[-1]:.2f} s")
    yield (
        f"upload of {_MEGABYTES} MB beside {_CLIENTS} clients that send a byte a second",
        f"{statistics.median(beside):.2f} s",
        f"alone: {statistics.median(alone):.2f} s",
        f"{statistics.median(ratios):.3f}",
        "at most 1.1",
    )


class SlowClients:
    """Clients that each send one byte a second of an upload of a thousand, from a thread, until the end.

    When they are entered, all have begun, one after the other: people do not keep time. Their uploads are deleted at
    the end.
    """

    def __init__(self, url: str, token: str, count: int) -> None:
        self._url = url
        self._headers = {**_TUS, "Authorization": f"Bearer {token}"}
        self._count = count
        self._uploads: list[str] = []
        self._sockets: list[socket.socket] = []
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._drip, daemon=True)

    def __enter__(self) -> Self:
        address = urlsplit(self._url)
        with httpx.Client(base_url=self._url, headers=self._headers, timeout=60) as http:
            for _ in range(self._count):
                created = http.post("/v1/uploads", headers={"Upload-Length": "1000"})
                created.raise_for_status()
                self._uploads.append(urlsplit(urljoin(self._url, created.headers["Location"])).path)
        for path in self._uploads:
            client = socket.create_connection((address.hostname, address.port), timeout=60)
            self._sockets.append(client)
            headers = {**self._headers, **_PATCH, "Host": address.netloc, "Content-Length": "1000"}
            lines = [f"PATCH {path} HTTP/1.1", *(f"{name}: {value}" for name, value in headers.items()), "", "x"]
            client.sendall("\r\n".join(lines).encode())
            time.sleep(_BEGIN_WITHIN_S / self._count)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopping.set()
        self._thread.join()
        for client in self._sockets:
            client.close()
        with httpx.Client(base_url=self._url, headers=self._headers, timeout=60) as http:
            for path in self._uploads:
                _delete(http, path)

    @property
    def waiting(self) -> int:
        """How many of them the server has neither answered nor sent away."""
        answered, _, _ = select.select(self._sockets, [], [], 0)
        return len(self._sockets) - len(answered)

    def _drip(self) -> None:
        while True:
            for client in self._sockets:
                if self._stopping.wait(1 / self._count):
                    return
                with contextlib.suppress(OSError):
                    client.send(b"x")


def _upload_s(http: httpx.Client, content: bytes) -> float:
    """Return the seconds from the first request of an upload to the answer that it is whole.

    It is a part of a video, so nothing converts it, and it is deleted afterwards.
    """
    started = time.perf_counter()
    created = http.post("/v1/uploads", headers={**_TUS, "Upload-Length": str(len(content)), "Upload-Concat": "partial"})
    path = urlsplit(urljoin(str(http.base_url), created.headers["Location"])).path
    answer = http.patch(path, headers=_PATCH, content=content)
    seconds = time.perf_counter() - started
    assert answer.status_code == 204, answer.text
    _delete(http, path)
    return seconds


def _delete(http: httpx.Client, path: str) -> None:
    """Delete an upload, as soon as no request writes to it."""
    deadline = time.monotonic() + 30
    while http.delete(path, headers=_TUS).status_code == 423:
        if time.monotonic() > deadline:
            raise TimeoutError(f"{path} is still locked.")
        time.sleep(0.05)


def _log_in(url: str) -> str:
    account = {"email": f"{uuid.uuid4().hex}@example.com", "password": _PASSWORD}
    httpx.post(f"{url}/v1/auth/register", json=account).raise_for_status()
    return str(httpx.post(f"{url}/v1/auth/login", json=account).raise_for_status().json()["access_token"])
