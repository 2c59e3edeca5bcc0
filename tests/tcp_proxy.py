"""A TCP proxy that stands between a client and a real server, to do to a connection what networks do."""

import contextlib
import functools
import socket
import threading
from collections.abc import Iterator
from typing import Self
from urllib.parse import urlsplit, urlunsplit


class TcpProxy:
    """Forwards connections to a server. Use it as a context manager; `port` is where it listens."""

    def __init__(self, host: str, port: int) -> None:
        self._server = (host, port)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._lock = threading.Lock()
        self._pairs: list[tuple[socket.socket, socket.socket]] = []
        self._threads = [threading.Thread(target=self._accept, daemon=True)]
        self._refusing = threading.Event()
        self.accepted = 0
        self.refused = 0
        self._flowing = threading.Event()
        self._flowing.set()
        self._bytes_left: int | None = None

    def __enter__(self) -> Self:
        self._threads[0].start()
        return self

    def __exit__(self, *_: object) -> None:
        with contextlib.suppress(OSError):  # it wakes accept()
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._flowing.set()
        self.cut()
        for thread in self._threads:
            thread.join(5)

    @property
    def connections(self) -> int:
        """How many connections there are."""
        with self._lock:
            return len(self._pairs)

    def cut(self, last_words: bytes = b"") -> None:
        """End every connection, as when the server died, and tell its client `last_words` before."""
        with self._lock:
            for pair in self._pairs:
                with contextlib.suppress(OSError):
                    pair[0].sendall(last_words)
                for end in pair:
                    with contextlib.suppress(OSError):
                        end.shutdown(socket.SHUT_RDWR)

    def go_down(self) -> None:
        """End every connection and take none, until `come_up`."""
        self._refusing.set()
        self.cut()

    def come_up(self) -> None:
        """Take connections again."""
        self._refusing.clear()

    def freeze(self) -> None:
        """Let connections stand and no byte pass, until `thaw`."""
        self._flowing.clear()

    def freeze_after(self, count: int) -> None:
        """Let `count` more bytes pass, or a few more, and then freeze."""
        self._bytes_left = count

    @property
    def frozen(self) -> bool:
        """Whether no byte passes."""
        return not self._flowing.is_set()

    def thaw(self) -> None:
        """Let the bytes pass again, those that were held back first."""
        self._flowing.set()

    def send_to_clients(self, data: bytes) -> None:
        """Say something to every client in the name of the server."""
        with self._lock:
            for client, _ in self._pairs:
                client.sendall(data)

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            if self._refusing.is_set():
                client.close()
                self.refused += 1
                continue
            try:
                server = socket.create_connection(self._server, timeout=5)
            except OSError:  # it is down, and so are we to its clients
                client.close()
                continue
            server.settimeout(None)
            self.accepted += 1
            pair = (client, server)
            with self._lock:
                self._pairs.append(pair)
            done = threading.Barrier(2, action=functools.partial(self._forget, pair))
            for source, sink in (pair, pair[::-1]):
                thread = threading.Thread(target=self._pump, args=(source, sink, done), daemon=True)
                self._threads.append(thread)
                thread.start()
            if self._refusing.is_set():  # it went down while this one came
                self.cut()

    def _pump(self, source: socket.socket, sink: socket.socket, done: threading.Barrier) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                self._flowing.wait()
                sink.sendall(data)
                self._passed(len(data))
        for end in (source, sink):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
        done.wait()

    def _passed(self, count: int) -> None:
        with self._lock:
            if self._bytes_left is not None:
                self._bytes_left -= count
                if self._bytes_left <= 0:
                    self._bytes_left = None
                    self._flowing.clear()

    def _forget(self, pair: tuple[socket.socket, socket.socket]) -> None:
        with self._lock:
            self._pairs.remove(pair)
        for end in pair:
            end.close()


@contextlib.contextmanager
def proxied(url: str) -> Iterator[tuple[TcpProxy, str]]:
    """Yield a proxy to the server that `url` names, and the URL that leads through it."""
    parts = urlsplit(url)
    assert parts.hostname
    with TcpProxy(parts.hostname, parts.port or 5672) as proxy:
        login = f"{parts.netloc.rpartition('@')[0]}@" if "@" in parts.netloc else ""
        yield proxy, urlunsplit(parts._replace(netloc=f"{login}127.0.0.1:{proxy.port}"))
