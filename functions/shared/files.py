"""Stored files: the videos and the MP3s, kept in GridFS with their SHA-256."""

import hashlib
from collections.abc import Iterable, Iterator
from typing import NamedTuple, Protocol

import gridfs.errors
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
            FileDamaged: as late as at the end; when the whole file is read, its SHA-256 is checked.
        """

    def delete(self, file_id: str) -> None:
        """Delete a file. Does nothing if there is none."""


class GridFSFiles:
    """One GridFS bucket: `videos` or `mp3s`. Implements Files."""

    def __init__(self, database: Database[Document], bucket: str) -> None:
        self._bucket = GridFSBucket(database, bucket_name=bucket, chunk_size_bytes=CHUNK_BYTES)
        self._files = database[bucket].files
        self._chunks = database[bucket].chunks

    def put(self, file_id: str, parts: Iterable[bytes]) -> StoredFile:
        """See Files. If it fails or is interrupted, the chunks written so far are deleted."""
        digest = hashlib.sha256()
        length = 0
        self.delete(file_id)
        with mongo_errors():
            stream = self._bucket.open_upload_stream_with_id(file_id, file_id, metadata={})
            try:
                for part in parts:
                    stream.write(part)
                    digest.update(part)
                    length += len(part)
                stream.metadata = {"sha256": digest.hexdigest()}
                # The files document is written last, so nobody sees half a file.
                stream.close()
            except BaseException:
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


def _read(stream: GridOut, start: int, end: int) -> Iterator[bytes]:
    digest = hashlib.sha256()
    whole = start == 0 and end == stream.length
    position = start
    try:
        with mongo_errors():
            stream.seek(start)
            while position < end:
                part = stream.read(min(CHUNK_BYTES, end - position))
                if not part:
                    raise FileDamaged(f"{stream.name} ends at byte {position} of {stream.length}.")
                digest.update(part)
                position += len(part)
                yield part
    except gridfs.errors.CorruptGridFile as error:
        raise FileDamaged(str(error)) from error
    if whole and digest.hexdigest() != (stream.metadata or {}).get("sha256"):
        raise FileDamaged(f"{stream.name} does not have the SHA-256 it was stored with.")
