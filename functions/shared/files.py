"""Stored files: the videos and the MP3s, kept in GridFS with their checksums."""

import contextlib
import hashlib
import re
import zlib
from collections.abc import Iterable, Iterator
from typing import NamedTuple, Protocol

import gridfs.errors
import pymongo.errors
from gridfs import GridFSBucket, GridOut
from pymongo.database import Database

from functions.shared.mongo import Document, mongo_errors

# 1 MiB divides the 4 MiB slice of an upload; GridFS's default of 255 KiB does not.
CHUNK_BYTES = 1024 * 1024


class FileMissing(Exception):
    """Raised when no file has this id."""


class FileDamaged(Exception):
    """Raised when the stored bytes are not those that were stored."""


class StoredFile(NamedTuple):
    """A file that is stored whole."""

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
                what was yielded is right, and a file that was read whole has the SHA-256 it was stored with.
        """

    def delete(self, file_id: str) -> None:
        """Delete a file. Does nothing if there is none."""

    def ids(self, prefix: str) -> list[str]:
        """Return the ids that begin with `prefix`, also of files that a writer which died did not finish."""


class GridFSFiles:
    """One GridFS bucket: `videos` or `mp3s`. Implements Files.

    A file's metadata holds the `sha256` of the whole, and the `crc32` of each chunk (big-endian, one after the
    other) by which a range can be checked without reading the rest.
    """

    def __init__(self, database: Database[Document], bucket: str) -> None:
        self._bucket = GridFSBucket(database, bucket_name=bucket, chunk_size_bytes=CHUNK_BYTES)
        self._files = database[bucket].files
        self._chunks = database[bucket].chunks

    def put(self, file_id: str, parts: Iterable[bytes]) -> StoredFile:
        """See Files. If it fails or is interrupted, the chunks written so far are deleted."""
        digest = hashlib.sha256()
        checksums = ChunkChecksums()
        length = 0
        self.delete(file_id)
        with mongo_errors():
            stream = self._bucket.open_upload_stream_with_id(file_id, file_id, metadata={})
            try:
                for part in parts:
                    stream.write(part)
                    digest.update(part)
                    checksums.update(part)
                    length += len(part)
                stream.metadata = {"sha256": digest.hexdigest(), "crc32": checksums.digest()}
                # The files document is written last, so nobody sees half a file.
                stream.close()
            except BaseException:
                # When MongoDB is what failed, this fails too, and would hide the cause.
                with contextlib.suppress(pymongo.errors.PyMongoError):
                    stream.abort()
                raise
        return StoredFile(length, digest.hexdigest())

    def read(self, file_id: str, start: int = 0, end: int | None = None) -> Iterator[bytes]:
        """See Files."""
        with mongo_errors():
            try:
                stream = self._bucket.open_download_stream(file_id)
            except gridfs.errors.NoFile as error:
                raise FileMissing(file_id) from error
        return _read(stream, start, stream.length if end is None else end)

    def delete(self, file_id: str) -> None:
        """See Files. Chunks without a file, left by a writer that died, are deleted too."""
        with mongo_errors():
            self._files.delete_one({"_id": file_id})
            self._chunks.delete_many({"files_id": file_id})

    def ids(self, prefix: str) -> list[str]:
        """See Files."""
        begins = {"$regex": f"^{re.escape(prefix)}"}
        with mongo_errors():
            whole = self._files.distinct("_id", {"_id": begins})
            return sorted({*whole, *self._chunks.distinct("files_id", {"files_id": begins})})


class ChunkChecksums:
    """The CRC-32 of each chunk of a file whose bytes come in parts of any size."""

    def __init__(self) -> None:
        self._whole = bytearray()
        self._crc = 0
        self._room = CHUNK_BYTES

    def update(self, part: bytes) -> None:
        """Take the next bytes of the file."""
        view = memoryview(part)
        while len(view) >= self._room:
            self._crc = zlib.crc32(view[: self._room], self._crc)
            view = view[self._room :]
            self._whole += _word(self._crc)
            self._crc, self._room = 0, CHUNK_BYTES
        self._crc = zlib.crc32(view, self._crc)
        self._room -= len(view)

    def digest(self) -> bytes:
        """Return the checksums of all chunks, the last of which may be short: four bytes each, big-endian."""
        return bytes(self._whole) + (_word(self._crc) if self._room < CHUNK_BYTES else b"")


def _word(crc: int) -> bytes:
    return crc.to_bytes(4, "big")


def _read(stream: GridOut, start: int, end: int) -> Iterator[bytes]:
    metadata = stream.metadata or {}
    checksums: bytes = metadata.get("crc32", b"")
    digest = hashlib.sha256()
    whole = start == 0 and end == stream.length
    position = start
    with mongo_errors(), stream:
        while position < end:
            number, skipped = divmod(position, CHUNK_BYTES)
            chunk = _chunk(stream, number)
            if _word(zlib.crc32(chunk)) != checksums[4 * number : 4 * number + 4]:
                raise FileDamaged(f"Chunk {number} of {stream.name} is not what was stored.")
            part = chunk[skipped : end - number * CHUNK_BYTES]
            if not part:
                raise FileDamaged(f"{stream.name} ends at byte {stream.length}.")
            position += len(part)
            if whole:
                digest.update(part)
                # The last part is held back until all is known to be right.
                if position == end and digest.hexdigest() != metadata.get("sha256"):
                    raise FileDamaged(f"{stream.name} does not have the SHA-256 it was stored with.")
            yield part


def _chunk(stream: GridOut, number: int) -> bytes:
    try:
        stream.seek(number * CHUNK_BYTES)
        return stream.readchunk()
    except gridfs.errors.CorruptGridFile as error:
        raise FileDamaged(f"{stream.name}: {error}") from error
