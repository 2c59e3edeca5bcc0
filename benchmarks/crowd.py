"""Many clients that upload at once, in a process of their own: python -m benchmarks.crowd.

So neither their work nor their lock on the interpreter disturbs whoever measures.
"""

import http.client
import subprocess
import sys
import time
import uuid
from collections import deque
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import urlsplit

import msgspec

_ANSWER_WITHIN_S = 60
_ALL_WITHIN_S = 1800


class Uploads(msgspec.Struct, frozen=True):
    """What a crowd is to do: upload `video` once under each name, by so many clients. `headers` say who they are."""

    url: str
    headers: dict[str, str]
    video: str
    names: list[str]
    clients: int


class Sent(msgspec.Struct, frozen=True):
    """An upload that was accepted. The times are seconds since 1970."""

    conversion_id: str
    begun_at: float
    answered_at: float


def send_all(uploads: Uploads) -> list[Sent]:
    """Have all uploaded, as fast as the clients can. Raises CalledProcessError if one was not accepted."""
    command = [sys.executable, "-m", "benchmarks.crowd"]
    asked = msgspec.json.encode(uploads)
    done = subprocess.run(command, input=asked, stdout=subprocess.PIPE, check=True, timeout=_ALL_WITHIN_S)
    return msgspec.json.decode(done.stdout, type=list[Sent])


def main() -> None:
    """Do what standard input says, and write to standard output what was accepted."""
    uploads = msgspec.json.decode(sys.stdin.buffer.read(), type=Uploads)
    video = Path(uploads.video).read_bytes()
    waiting = deque(uploads.names)
    with ThreadPoolExecutor(uploads.clients) as pool:
        clients = [pool.submit(lambda: list(_upload(uploads, video, waiting))) for _ in range(uploads.clients)]
    sent = [each for client in clients for each in client.result()]
    sys.stdout.buffer.write(msgspec.json.encode(sent))


class UploadRefused(Exception):
    """Raised when an upload was not accepted."""


def _upload(uploads: Uploads, video: bytes, waiting: "deque[str]") -> Iterator[Sent]:
    """Upload under one name after the other, through one connection, until none is waiting."""
    address = urlsplit(uploads.url)
    connection = http.client.HTTPConnection(address.hostname or "", address.port, timeout=_ANSWER_WITHIN_S)
    boundary = uuid.uuid4().hex
    headers = {**uploads.headers, "Content-Type": f"multipart/form-data; boundary={boundary}"}
    tail = f"\r\n--{boundary}--\r\n".encode()
    while True:
        try:
            name = waiting.popleft()
        except IndexError:
            break
        head = f'--{boundary}\r\nContent-Disposition: form-data; name="video"; filename="{name}"\r\n\r\n'
        begun_at = time.time()
        connection.request("POST", "/v1/conversions", head.encode() + video + tail, headers)
        answer = connection.getresponse()
        said = answer.read()
        if answer.status != 202:
            raise UploadRefused(f"{answer.status} {said.decode(errors='replace')}")
        yield Sent((answer.headers["Location"] or "").rpartition("/")[2], begun_at, time.time())
    connection.close()


if __name__ == "__main__":
    main()
