"""How fast a video is uploaded through the gateway, beside a plain upload of the same file into GridFS."""

import http.client
import os
import statistics
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Self
from urllib.parse import urlsplit

import httpx
import pymongo
from bson import ObjectId
from gridfs import GridFSBucket
from rich.console import Console

from functions.shared.files import CHUNK_BYTES
from functions.shared.mongo import connect_mongo
from infra.local.stack import RunningStack

Row = tuple[str, str, str, str, str]

SLICE_BYTES = 4 * 1024 * 1024
TUS = {"Tus-Resumable": "1.0.0"}
BYTES = {**TUS, "Content-Type": "application/offset+octet-stream"}

_GIBIBYTES = 1
_ROUNDS = 5
_PASSWORD = "a password of the benchmarks"


def run(stack: RunningStack, folder: Path, console: Console) -> Iterator[Row]:
    """Yield the rows of the table."""
    video = folder / "upload.bin"
    make_file(video, _GIBIBYTES * 1024**3)
    database = connect_mongo(stack.urls.mongodb)
    bucket = GridFSBucket(database, bucket_name="plain", chunk_size_bytes=CHUNK_BYTES)
    ways = {"PATCHes of 4 MiB": SLICE_BYTES, "one PATCH": video.stat().st_size}
    plain: list[float] = []
    ours: dict[str, list[float]] = {way: [] for way in ways}
    with Uploader(stack.url) as uploader:
        for _ in range(_ROUNDS):
            plain.append(_speed(video, plain_upload_s(bucket, video)))
            for way, slice_bytes in ways.items():
                ours[way].append(_speed(video, uploader.upload_s(video, slice_bytes)))
            shown = ", ".join(f"{way} {speeds[-1]:.0f} MB/s" for way, speeds in ours.items())
            console.print(f"  upload_from_stream {plain[-1]:.0f} MB/s, {shown}")
    database.client.close()
    video.unlink()
    for way, speeds in ours.items():
        yield (
            f"upload of {_GIBIBYTES} GiB by tus, {way}",
            f"{statistics.median(speeds):.0f} MB/s",
            f"upload_from_stream: {statistics.median(plain):.0f} MB/s",
            f"{statistics.median(each / beside for each, beside in zip(speeds, plain, strict=True)):.2f}",
            "at least 0.4",
        )


class Uploader:
    """A person who uploads. `headers` say who; with `like` it is the same person as another."""

    def __init__(self, url: str, like: "Uploader | None" = None) -> None:
        self.headers: dict[str, str] = like.headers if like else log_in(url)
        address = urlsplit(url)
        # The quickest client there is: http.client hands a file to the socket and does nothing else.
        self._http = http.client.HTTPConnection(
            address.hostname or "", address.port, blocksize=1024 * 1024, timeout=300
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._http.close()

    def upload_s(self, file: Path, slice_bytes: int) -> float:
        """Return the seconds from the first request to the answer that all is stored.

        It is a part of a video, so nothing converts it, and it is deleted afterwards.
        """
        size = file.stat().st_size
        started = time.perf_counter()
        path = self.create(size, part=True)
        with file.open("rb", buffering=0) as source:
            for offset in range(0, size, slice_bytes):
                length = min(slice_bytes, size - offset)
                body = source if length == size else source.read(length)
                headers = {**BYTES, "Upload-Offset": str(offset), "Content-Length": str(length)}
                answer = self.request("PATCH", path, headers, body)
                assert answer["Upload-Offset"] == str(offset + length), answer.items()
        seconds = time.perf_counter() - started
        self.request("DELETE", path, TUS)
        return seconds

    def create(self, size: int, *, part: bool) -> str:
        """Begin the upload of a video, or of a part of one, and return its path."""
        headers = {**TUS, "Upload-Length": str(size), **({"Upload-Concat": "partial"} if part else {})}
        answer = self.request("POST", "/v1/uploads", headers)
        return urlsplit(answer["Location"]).path

    def request(self, method: str, path: str, headers: dict[str, str], body: object = None) -> http.client.HTTPMessage:
        """Make one request, which must succeed, and return the answer's headers."""
        self._http.request(method, path, body, {**self.headers, **headers})  # type: ignore[arg-type]
        answer = self._http.getresponse()
        said = answer.read()
        assert 200 <= answer.status < 300, (answer.status, said)
        return answer.msg


def plain_upload_s(bucket: GridFSBucket, file: Path) -> float:
    """Return the seconds that PyMongo takes to store a file, which is deleted again."""
    file_id = ObjectId()
    started = time.perf_counter()
    # All of it is one operation to PyMongo, so the time-out of our settings would hold for the whole file.
    with pymongo.timeout(600), file.open("rb") as source:
        bucket.upload_from_stream_with_id(file_id, file.name, source)
    seconds = time.perf_counter() - started
    bucket.delete(file_id)
    return seconds


def make_file(path: Path, size: int) -> None:
    """Write a file of random bytes."""
    with path.open("wb") as file:
        for start in range(0, size, 1024 * 1024):
            file.write(os.urandom(min(1024 * 1024, size - start)))


def log_in(url: str) -> dict[str, str]:
    account = {"email": f"{uuid.uuid4().hex}@example.com", "password": _PASSWORD}
    httpx.post(f"{url}/v1/auth/register", json=account).raise_for_status()
    token = httpx.post(f"{url}/v1/auth/login", json=account).raise_for_status().json()["access_token"]
    return {"Authorization": f"Bearer {token}"}


def _speed(file: Path, seconds: float) -> float:
    return file.stat().st_size / seconds / 1e6
