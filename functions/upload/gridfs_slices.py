"""The bytes of growing videos, in GridFS."""

import hashlib
from collections import deque
from collections.abc import Iterator, Mapping, Sequence

from bson.int64 import Int64
from pymongo import InsertOne, UpdateOne
from pymongo.database import Database
from pymongo.errors import BulkWriteError, DuplicateKeyError

from functions.shared.clock import utc_now
from functions.shared.files import CHUNK_BYTES, CHUNK_SHA256, FileDamaged, GridFSFiles
from functions.shared.mongo import Document, mongo_errors
from functions.shared.problems import Unavailable
from functions.upload.uploads import Held, HoldLost

_DUPLICATE_KEY = 11000
# How many chunks are read at a time.
_AHEAD = 4


class GridFSSlices:
    """The chunks of one GridFS bucket. Implements Slices.

    Beside what GridFS asks for, a chunk holds `fence`, that of whoever wrote it. Chunks are written in order, so a
    late writer, who finds a newer fence at the first, writes no other.
    """

    def __init__(self, database: Database[Document], bucket: str = "videos") -> None:
        self._whole = GridFSFiles(database, bucket)
        self._files = database[bucket].files
        self._chunks = database[bucket].chunks

    def write(self, held: Held, data: bytes) -> dict[int, bytes]:
        """See Slices."""
        if not data:
            return {}
        first, filled = divmod(held.upload.offset + held.staged, CHUNK_BYTES)
        head = self._tail(held, first, filled) if filled else b""
        chunks = dict(enumerate(_cut(head, data), first))
        # To insert is faster. What is there already is replaced: a tail, or what was written before an answer was lost.
        if (filled or not self._bulk(_inserts(held, chunks))) and not self._bulk(_replacements(held, chunks)):
            raise HoldLost(held.upload.id)
        return {number: _sha256(chunk) for number, chunk in chunks.items()}

    def read(self, upload_id: str, start: int, end: int, digests: bytes = b"") -> Iterator[bytes]:
        """See Slices."""
        numbers = range(start // CHUNK_BYTES, _count(end) if start < end else 0)
        for ahead in (numbers[at : at + _AHEAD] for at in range(0, len(numbers), _AHEAD)):
            # Each time anew: no cursor has to outlive what a slow reader does in between.
            chunks = self._load(upload_id, ahead)
            for number in ahead:
                begin = number * CHUNK_BYTES
                chunk = chunks.get(number, b"")
                part = chunk[: end - begin]
                digest = digests[32 * number : 32 * number + 32]
                is_right = not digest or digest == _sha256(chunk) or digest == _sha256(part)
                if len(part) < min(end - begin, CHUNK_BYTES) or not is_right:
                    raise FileDamaged(f"Chunk {number} of {upload_id} is not what was stored.")
                yield part[max(start - begin, 0) :]

    def finish(self, held: Held, length: int, digests: bytes) -> None:
        """See Slices."""
        upload_id = held.upload.id
        if len(digests) != 32 * _count(length):
            raise FileDamaged(f"{upload_id} has {length} bytes, and the digests of {len(digests) // 32} chunks.")
        # As drivers do: https://github.com/mongodb/specifications/blob/master/source/gridfs/gridfs-spec.md
        file = {
            "_id": upload_id,
            "filename": upload_id,
            "metadata": {CHUNK_SHA256: digests},
            "chunkSize": CHUNK_BYTES,
            "length": Int64(length),
            "uploadDate": utc_now(),
        }
        with mongo_errors():
            self._end(held, length, digests)
            try:
                self._files.insert_one(file)
            except DuplicateKeyError:
                self._finish_again(file)

    def delete(self, upload_id: str) -> None:
        """See Slices."""
        self._whole.delete(upload_id)

    def _tail(self, held: Held, number: int, length: int) -> bytes:
        """Return the first `length` bytes of a chunk that is to be filled up."""
        upload_id = held.upload.id
        with mongo_errors():
            chunk = self._chunks.find_one({"files_id": upload_id, "n": number}) or {"data": b""}
        if chunk.get("fence", 0) > held.fence:
            raise HoldLost(upload_id)
        tail: bytes = chunk["data"][:length]
        # What was staged is in no digest yet.
        committed = held.upload.offset - number * CHUNK_BYTES
        is_right = committed <= 0 or _sha256(tail[:committed]) == held.tail_sha256
        if len(tail) < length or not is_right:
            raise FileDamaged(f"Chunk {number} of {upload_id} is not what was stored.")
        return tail

    def _bulk(self, writes: Sequence[InsertOne[Document] | UpdateOne]) -> bool:
        """Write up to the first that the unique index refuses, and return whether it refused none."""
        try:
            with mongo_errors():
                self._chunks.bulk_write(writes)
        except BulkWriteError as error:
            codes = [each["code"] for each in error.details["writeErrors"]]
            if not codes:
                raise Unavailable("The storage") from error  # Written, but not by a majority.
            if codes != [_DUPLICATE_KEY]:
                raise
            return False
        return True

    def _load(self, upload_id: str, numbers: range) -> dict[int, bytes]:
        with mongo_errors():
            chunks = self._chunks.find({"files_id": upload_id, "n": {"$gte": numbers.start, "$lt": numbers.stop}})
            return {chunk["n"]: chunk["data"] for chunk in chunks}

    def _end(self, held: Held, length: int, digests: bytes) -> None:
        """Let the chunks end where the file will: a driver takes a longer one, and one more, for damage."""
        upload_id = held.upload.id
        behind = {"files_id": upload_id, "n": {"$gte": _count(length)}, "fence": {"$lte": held.fence}}
        self._chunks.delete_many(behind)
        number, rest = divmod(length, CHUNK_BYTES)
        if not rest:
            return
        chunk = self._chunks.find_one({"files_id": upload_id, "n": number}) or {"data": b""}
        tail = chunk["data"][:rest]
        if _sha256(tail) != digests[-32:]:
            raise FileDamaged(f"Chunk {number} of {upload_id} is not what was stored.")
        # Also if it is right already, since the last bytes came earlier: whoever stalls with more finds this fence.
        ended = self._chunks.update_one(
            {"_id": chunk["_id"], "fence": {"$lte": held.fence}}, {"$set": {"data": tail, "fence": held.fence}}
        )
        if ended.matched_count == 0:
            raise HoldLost(upload_id)

    def _finish_again(self, file: Document) -> None:
        """Leave the file as it is, unless other bytes were written since, and these are they."""
        there = self._files.find_one({"_id": file["_id"]}) or {"metadata": {}}
        upload_id, length, digests = file["_id"], file["length"], file["metadata"][CHUNK_SHA256]
        before = there["metadata"].get(CHUNK_SHA256, b"")
        if (there.get("length"), before) == (length, digests):
            return
        for start in range(0, length, CHUNK_BYTES):
            at = start // CHUNK_BYTES * 32
            if digests[at : at + 32] != before[at : at + 32]:
                deque(self.read(upload_id, start, min(start + CHUNK_BYTES, length), digests), maxlen=0)
        self._files.replace_one({"_id": upload_id}, file)


def _inserts(held: Held, chunks: Mapping[int, bytes]) -> list[InsertOne[Document]]:
    upload_id, fence = held.upload.id, held.fence
    return [
        InsertOne({"files_id": upload_id, "n": number, "data": chunk, "fence": fence})
        for number, chunk in chunks.items()
    ]


def _replacements(held: Held, chunks: Mapping[int, bytes]) -> list[UpdateOne]:
    """Return the writes that replace chunks which are not newer, and insert those that are missing.

    What is newer is not matched, and so inserted, which the unique index refuses.
    """
    upload_id, fence = held.upload.id, held.fence
    return [
        UpdateOne(
            {"files_id": upload_id, "n": number, "fence": {"$lte": fence}},
            {"$set": {"data": chunk, "fence": fence}},
            upsert=True,
        )
        for number, chunk in chunks.items()
    ]


def _cut(head: bytes, data: bytes) -> Iterator[bytes]:
    """Yield `head` and `data`, together, in chunks."""
    room = CHUNK_BYTES - len(head)
    yield head + data[:room]
    for start in range(room, len(data), CHUNK_BYTES):
        yield data[start : start + CHUNK_BYTES]


def _count(length: int) -> int:
    """Return how many chunks so many bytes have."""
    return -(-length // CHUNK_BYTES)


def _sha256(chunk: bytes) -> bytes:
    return hashlib.sha256(chunk).digest()
