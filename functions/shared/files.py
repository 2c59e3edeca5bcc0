"""Stored files: the videos and the MP3s, kept in GridFS with their digests."""

import contextlib
import hashlib
import re
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple, Protocol

import pymongo.errors
from gridfs import GridFSBucket
from pymongo import DESCENDING
from pymongo.database import Database

from functions.shared.mongo import Document, mongo_errors

# 1 MiB divides the 4 MiB slice of an upload; GridFS's default of 255 KiB does not.
CHUNK_BYTES = 1024 * 1024

# Where a file's metadata holds the digests of its chunks: 32 bytes each.
CHUNK_SHA256 = "chunk_sha256"
# And that of the whole file. Of older files, `crc32` is something else: see _chunk_check.
_WHOLE_CRC32 = "whole_crc32"

# How many chunks one operation deletes.
_DELETED_AT_ONCE = 256
# How many chunks are on their way at once, for all readers together: as many as a client of MongoDB has connections.
# With fewer, readers would stand in line before a server that hangs, for longer than one operation may take.
_FETCHED_AT_ONCE = 100


class FileMissing(Exception):
    """Raised when no file has this id."""


class FileDamaged(Exception):
    """Raised when the stored bytes are not those that were stored."""


class StoredFile(NamedTuple):
    """A file that is stored whole. `sha256` is in hexadecimal digits."""

    bytes: int
    sha256: str


class Files(Protocol):
    """Files under ids that the caller chooses. A file appears whole or not at all."""

    def put(self, file_id: str, parts: Iterable[bytes]) -> StoredFile:
        """Store the parts, one after the other, as a new file; what was left there by a writer that died goes."""

    def read(self, file_id: str, start: int = 0, end: int | None = None) -> Iterator[bytes]:
        """Yield the bytes from `start` up to, not including, `end`, in parts of at most CHUNK_BYTES.

        Raises:
            FileMissing: at once.
            FileDamaged: in place of a part that is not what was stored, or that lies behind the file's end. So
                what was yielded is right.
        """

    def crc32s(self, file_ids: Sequence[str]) -> dict[str, int]:
        """Return the CRC-32 of each file, as ZIPs have it.

        Raises:
            FileMissing: one of them does not exist.
            FileDamaged: one of them had to be read, and is not what was stored.
        """

    def delete(self, file_id: str) -> None:
        """Delete a file. Does nothing if there is none."""

    def ids(self, prefix: str) -> list[str]:
        """Return the ids that begin with `prefix`, also of files that a writer which died did not finish."""


class GridFSFiles:
    """One GridFS bucket: `videos` or `mp3s`. Implements Files.

    A file's metadata holds `chunk_sha256`, the SHA-256 digests of its chunks one after the other, by which a range can
    be checked without reading the rest. `sha256` and `whole_crc32` are those of the whole, if the writer saw the
    whole.
    """

    def __init__(self, database: Database[Document], bucket: str) -> None:
        self._bucket = GridFSBucket(database, bucket_name=bucket, chunk_size_bytes=CHUNK_BYTES)
        self._files = database[bucket].files
        self._chunks = database[bucket].chunks
        self._ahead = ThreadPoolExecutor(_FETCHED_AT_ONCE, f"{bucket} ahead")

    def put(self, file_id: str, parts: Iterable[bytes]) -> StoredFile:
        """See Files. If it fails or is interrupted, the chunks written so far are deleted."""
        digest = hashlib.sha256()
        digests = ChunkDigests()
        crc32 = length = 0
        self.delete(file_id)
        with mongo_errors():
            stream = self._bucket.open_upload_stream_with_id(file_id, file_id, metadata={})
            try:
                for part in parts:
                    stream.write(part)
                    digest.update(part)
                    digests.update(part)
                    crc32 = zlib.crc32(part, crc32)
                    length += len(part)
                stream.metadata = {
                    "sha256": digest.hexdigest(),
                    CHUNK_SHA256: digests.digest(),
                    _WHOLE_CRC32: crc32,
                }
                # The files document is written last, so nobody sees half a file.
                stream.close()
            except BaseException:
                # When MongoDB is what failed, this fails too, and would hide the cause.
                with contextlib.suppress(pymongo.errors.PyMongoError):
                    stream.abort()
                raise
        return StoredFile(length, digest.hexdigest())

    def read(self, file_id: str, start: int = 0, end: int | None = None) -> Iterator[bytes]:
        """See Files. Two chunks at a time are in memory, and a slow reader keeps nothing open."""
        with mongo_errors():
            file = self._files.find_one({"_id": file_id})
        if file is None:
            raise FileMissing(file_id)
        return self._read(file, start, file["length"] if end is None else end)

    def _read(self, file: Document, start: int, end: int) -> Iterator[bytes]:
        is_right = _chunk_check(file.get("metadata") or {})
        numbers = range(start // CHUNK_BYTES, -(-end // CHUNK_BYTES)) if start < end else ()
        for number, chunk in zip(numbers, self._fetched(file["_id"], numbers), strict=True):
            if chunk is None or not is_right(number, chunk):
                raise FileDamaged(f"Chunk {number} of {file['_id']} is not what was stored.")
            begin = number * CHUNK_BYTES
            skipped, wanted = max(0, start - begin), min(CHUNK_BYTES, end - begin)
            if len(chunk) < wanted:
                raise FileDamaged(f"{file['_id']} ends at byte {file['length']}.")
            yield chunk[skipped:wanted]

    def _fetched(self, file_id: str, numbers: Iterable[int]) -> Iterator[bytes | None]:
        """Yield chunks. While one is checked and sent, the next is on its way."""
        coming = (self._ahead.submit(self._chunk, file_id, number) for number in numbers)
        following = next(coming, None)
        while following is not None:
            chunk = following.result()
            following = next(coming, None)
            yield chunk

    def _chunk(self, file_id: str, number: int) -> bytes | None:
        # GridOut's cursor would hold 16 chunks twice, for as long as the reader takes. And a find that loses its server
        # is tried again, for which a cursor is lost.
        with mongo_errors():
            found = self._chunks.find_one({"files_id": file_id, "n": number}, {"_id": False, "data": True})
        return None if found is None else found["data"]

    def crc32s(self, file_ids: Sequence[str]) -> dict[str, int]:
        """See Files. One that was not kept is found by reading, and kept, so the next call is quick."""
        with mongo_errors():
            files = self._files.find({"_id": {"$in": [*file_ids]}}, {f"metadata.{_WHOLE_CRC32}": True})
            kept = {file["_id"]: (file.get("metadata") or {}).get(_WHOLE_CRC32) for file in files}
        if missing := next((file_id for file_id in file_ids if file_id not in kept), None):
            raise FileMissing(missing)
        return {file_id: self._find_crc32(file_id) if crc32 is None else crc32 for file_id, crc32 in kept.items()}

    def _find_crc32(self, file_id: str) -> int:
        crc32 = 0
        for part in self.read(file_id):
            crc32 = zlib.crc32(part, crc32)
        with mongo_errors():
            self._files.update_one({"_id": file_id}, {"$set": {f"metadata.{_WHOLE_CRC32}": crc32}})
        return crc32

    def delete(self, file_id: str) -> None:
        """See Files. Chunks without a file, left by a writer that died, are deleted too."""
        with mongo_errors():
            self._files.delete_one({"_id": file_id})
            # MongoDB reads what it deletes, so a large file at once could take longer than an operation may.
            while last := self._chunks.find_one({"files_id": file_id}, {"n": True}, sort=[("n", DESCENDING)]):
                self._chunks.delete_many({"files_id": file_id, "n": {"$gt": last["n"] - _DELETED_AT_ONCE}})

    def ids(self, prefix: str) -> list[str]:
        """See Files."""
        begins = {"$regex": f"^{re.escape(prefix)}"}
        with mongo_errors():
            whole = self._files.distinct("_id", {"_id": begins})
            return sorted({*whole, *self._chunks.distinct("files_id", {"files_id": begins})})


class ChunkDigests:
    """The SHA-256 digest of each chunk of a file whose bytes come in parts of any size."""

    def __init__(self) -> None:
        self._whole = bytearray()
        self._sha256 = hashlib.sha256()
        self._room = CHUNK_BYTES

    def update(self, part: bytes) -> None:
        """Take the next bytes of the file."""
        view = memoryview(part)
        while len(view) >= self._room:
            self._sha256.update(view[: self._room])
            view = view[self._room :]
            self._whole += self._sha256.digest()
            self._sha256, self._room = hashlib.sha256(), CHUNK_BYTES
        self._sha256.update(view)
        self._room -= len(view)

    def digest(self) -> bytes:
        """Return the digests of all chunks, the last of which may be short, one after the other."""
        return bytes(self._whole) + (self._sha256.digest() if self._room < CHUNK_BYTES else b"")


def _chunk_check(metadata: Mapping[str, Any]) -> Callable[[int, bytes], bool]:
    digests: bytes = metadata.get(CHUNK_SHA256, b"")
    if CHUNK_SHA256 not in metadata and "crc32" in metadata:
        # Files from before there were digests.
        sums: bytes = metadata["crc32"]
        return lambda number, chunk: zlib.crc32(chunk).to_bytes(4, "big") == sums[4 * number : 4 * number + 4]
    return lambda number, chunk: hashlib.sha256(chunk).digest() == digests[32 * number : 32 * number + 32]
