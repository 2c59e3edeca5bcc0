"""tus over plain HTTP, in requests that say exactly what a test wants them to say."""

import base64
import hashlib
import http.client
import json
import secrets
import socket
import struct
import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import NamedTuple, Self, TypeVar
from urllib.parse import urljoin, urlsplit

from gridfs import GridFSBucket
from pymongo.database import Database

from functions.shared.mongo import Document
from video2mp3 import Client

T = TypeVar("T")

UPLOADS = "/v1/uploads"
BYTES = "application/offset+octet-stream"
MIB = 1024 * 1024
TIMEOUT_S = 60
# What a function takes in one call on AWS.
SLICE_BYTES = 4 * MIB
# The limits of the services that tests start: small, so that a test can reach them.
MAX_UPLOAD_BYTES = 64 * MIB
QUOTA_BYTES = 1024 * MIB

_BOUNDARY = "---------------------------2b5c"
# The headers of a form as `form` makes it.
FORM = {"Content-Type": f"multipart/form-data; boundary={_BOUNDARY}", "Tus-Resumable": None}

# A header that is sent twice has a list of values, and one that is not to be sent has None.
Headers = Mapping[str, str | list[str] | None]


class Answer(NamedTuple):
    """What the server said."""

    status: int
    headers: http.client.HTTPMessage
    body: bytes

    def header(self, name: str) -> str | None:
        """Return a header's value, which must be the only one, or None."""
        values = self.headers.get_all(name) or []
        assert len(values) <= 1, values
        return values[0] if values else None

    @property
    def offset(self) -> int:
        """What Upload-Offset says."""
        return int(self.header("Upload-Offset") or "-1")

    @property
    def code(self) -> str:
        """The code of a problem."""
        assert self.header("Content-Type") == "application/problem+json", self
        return str(json.loads(self.body)["type"]).removeprefix("/problems/")


class Sending:
    """A request whose head has been sent, and whose body the test sends as it likes."""

    def __init__(self, connection: http.client.HTTPConnection) -> None:
        self._connection = connection

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._connection.close()

    def send(self, data: bytes) -> None:
        """Send the next bytes of the body."""
        self._connection.send(data)

    def wait_until_read(self) -> None:
        """Wait until the server has read all that was sent, so that it can know of it.

        Linux tells how much stands in the queues of both ends of a connection on this machine.
        """
        assert self._connection.sock is not None
        port = f":{self._connection.sock.getsockname()[1]:04X}"

        def all_is_read() -> bool:
            ends = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
            unsent = [end[4].partition(":")[0] for end in ends if end[1].endswith(port)]
            unread = [end[4].partition(":")[2] for end in ends if end[2].endswith(port)]
            return {*unsent, *unread} == {"00000000"}

        until(all_is_read)

    def answer(self) -> Answer:
        """Wait for the answer."""
        response = self._connection.getresponse()
        return Answer(response.status, response.headers, response.read())

    def hang_up(self) -> None:
        """Say that nothing more comes, as a program that ends does."""
        assert self._connection.sock is not None
        self._connection.sock.shutdown(socket.SHUT_WR)

    def reset(self) -> None:
        """Break the connection off, as a program that is killed or a router that restarts does."""
        assert self._connection.sock is not None
        self._connection.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._connection.close()


class Tus:
    """One person who speaks tus. Paths are those of the API: what the service's address adds is put in front."""

    def __init__(self, url: str, token: str, person: Client) -> None:
        self.endpoint = url + UPLOADS
        self.token = token
        self.person = person
        self.id = person.me().id
        self._address, self._root = urlsplit(url)[1:3]

    def begin(self, method: str, path: str, headers: Headers | None = None) -> Sending:
        """Send the head of a request. What every client sends is added, unless `headers` says otherwise."""
        connection = http.client.HTTPConnection(self._address, timeout=TIMEOUT_S)
        connection.putrequest(method, self._root + path, skip_accept_encoding=True)
        for name, value in {
            "Authorization": f"Bearer {self.token}",
            "Tus-Resumable": "1.0.0",
            "Accept": "*/*",
            **(headers or {}),
        }.items():
            for each in [] if value is None else [value] if isinstance(value, str) else value:
                connection.putheader(name, each)
        connection.endheaders()
        return Sending(connection)

    def ask(
        self, method: str, path: str = UPLOADS, headers: Headers | None = None, body: bytes | Iterable[bytes] = b""
    ) -> Answer:
        """Make a whole request. A body that is not given as bytes is sent in the chunked transfer encoding."""
        framing = {"Content-Length": str(len(body))} if isinstance(body, bytes) else {"Transfer-Encoding": "chunked"}
        with self.begin(method, path, {**framing, **(headers or {})}) as sending:
            try:
                for data in [body] if isinstance(body, bytes) else [*map(_chunk, body), b"0\r\n\r\n"]:
                    sending.send(data)
            except (BrokenPipeError, ConnectionResetError):
                pass  # The server has answered before the end.
            return sending.answer()

    def create(self, length: int | None, headers: Headers | None = None) -> str:
        """Create an upload, of deferred length if it is None, and return its path."""
        size = {"Upload-Defer-Length": "1"} if length is None else {"Upload-Length": str(length)}
        answer = self.ask("POST", UPLOADS, {**size, **(headers or {})})
        assert answer.status == 201, answer
        return self.path_of(answer)

    def path_of(self, created: Answer, header: str = "Location") -> str:
        """Return where an upload is that was created, or what else the header leads to."""
        location = created.header(header)
        assert location
        path = urlsplit(urljoin(self.endpoint, location)).path
        assert path.startswith(f"{self._root}/"), location
        return path.removeprefix(self._root)

    def patch(
        self, path: str, offset: int, body: bytes | Iterable[bytes] = b"", headers: Headers | None = None
    ) -> Answer:
        """Send bytes."""
        return self.ask("PATCH", path, {"Upload-Offset": str(offset), "Content-Type": BYTES, **(headers or {})}, body)

    def begin_patch(self, path: str, offset: int, length: int, headers: Headers | None = None) -> Sending:
        """Announce `length` bytes."""
        announced = {"Upload-Offset": str(offset), "Content-Type": BYTES, "Content-Length": str(length)}
        return self.begin("PATCH", path, {**announced, **(headers or {})})

    def head(self, path: str) -> Answer:
        """Ask how far an upload is."""
        return self.ask("HEAD", path)

    def offset(self, path: str) -> int:
        """Return how far an upload is."""
        answer = self.head(path)
        assert answer.status == 200, answer
        return answer.offset

    def store(self, content: bytes, headers: Headers | None = None) -> str:
        """Upload something whole, in slices that every service takes, and return its path."""
        path = self.create(len(content), headers)
        for start in range(0, len(content), SLICE_BYTES):
            piece = content[start : start + SLICE_BYTES]
            answer = self.patch(path, start, piece)
            assert (answer.status, answer.offset) == (204, start + len(piece)), answer
        return path


def new_person(url: str) -> Tus:
    """Register somebody and log in."""
    person = Client(url)
    address, password = f"{secrets.token_hex(6)}@example.com", "correct horse battery"
    person.register(address, password)
    person.login(address, password)
    assert person._tokens is not None
    return Tus(url, person._tokens.access, person)


def upload_id(path: str) -> str:
    """Return the id of an upload, which is that of its conversion."""
    return path.rpartition("/")[2]


def metadata(values: Mapping[str, str]) -> dict[str, str]:
    """Return the header that says this."""
    pairs = (f"{name} {base64.b64encode(value.encode()).decode()}" for name, value in values.items())
    return {"Upload-Metadata": ",".join(pairs)}


def form(video: bytes, filename: str) -> bytes:
    """Return a form with nothing but a video in it. It goes with the headers FORM."""
    return form_head(filename) + video + f"\r\n--{_BOUNDARY}--\r\n".encode()


def form_head(filename: str) -> bytes:
    """Return what comes before the video."""
    return f'--{_BOUNDARY}\r\nContent-Disposition: form-data; name="video"; filename="{filename}"\r\n\r\n'.encode()


def checksum(algorithm: str, data: bytes) -> dict[str, str]:
    """Return the header that says what the SHA-1, MD5 or SHA-256 of the bytes is."""
    return {"Upload-Checksum": f"{algorithm} {base64.b64encode(hashlib.new(algorithm, data).digest()).decode()}"}


def stored(database: Database[Document], path: str) -> bytes:
    """Return the video of a finished upload, as any program that knows GridFS reads it."""
    with GridFSBucket(database, bucket_name="videos").open_download_stream(upload_id(path)) as stream:
        return bytes(stream.read())


def sha256(data: bytes) -> str:
    """Return the digest, which is shorter to look at in a failure than the bytes."""
    return hashlib.sha256(data).hexdigest()


def noise(length: int, seed: int = 1) -> bytes:
    """Return bytes that repeat nowhere and look like no kind of file, always the same."""
    return hashlib.shake_256(seed.to_bytes(4, "big")).digest(length)


def until(look: Callable[[], T | None], *, within_s: float = 30) -> T:
    """Return what `look` finds, as soon as it finds something."""
    deadline = time.monotonic() + within_s
    while time.monotonic() < deadline:
        if found := look():
            return found
        time.sleep(0.02)
    raise AssertionError(f"not within {within_s} s")


def _chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)
