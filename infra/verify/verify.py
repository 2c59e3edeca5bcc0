"""Reading all videos and MP3s against their digests."""

import hashlib
from collections.abc import Callable, Iterator
from typing import NamedTuple

from pymongo import ASCENDING
from pymongo.collection import Collection
from pymongo.database import Database

from functions.shared.files import CHUNK_BYTES, FileDamaged, FileMissing, GridFSFiles
from functions.shared.mongo import Document, mongo_errors
from functions.shared.mongo_conversions import NOT_DELETED

BUCKETS = ("videos", "mp3s")
_PAGE = 100
# Of one file. Each costs the file's digests once more, and who has lost so many needs no list.
_MOST_NAMED = 10


class Damage(NamedTuple):
    """Something that is not what was stored, whose it is, and what is wrong. `owner_id` is "" if nobody owns it."""

    bucket: str
    file_id: str
    conversion_id: str
    owner_id: str
    what: str


class Verified(NamedTuple):
    """A file that was read, with all that is wrong with it."""

    bytes: int
    damages: list[Damage]


def stored_bytes(database: Database[Document]) -> int:
    """Return about how many bytes there are to read."""
    with mongo_errors():
        stats = [
            each["storageStats"]
            for bucket in BUCKETS
            for each in database[bucket].chunks.aggregate([{"$collStats": {"storageStats": {}}}])
        ]
    return sum(each["size"] for each in stats)


def verify_files(database: Database[Document], on_bytes: Callable[[int], None]) -> Iterator[Verified]:
    """Read all files, and tell `on_bytes` of what was read. What is stored or deleted meanwhile is no damage.

    Raises Unavailable.
    """
    for bucket in BUCKETS:
        files = GridFSFiles(database, bucket)
        for file in _all(database[bucket].files, {}, ("length", "metadata.sha256")):
            conversion = _conversion_of(bucket, file["_id"], database)
            found = list(_wrong_bytes(bucket, files, file, conversion, on_bytes))
            # Whoever deletes a file begins with its document.
            with mongo_errors():
                is_there = not found or database[bucket].files.find_one({"_id": file["_id"]}, {"_id": True})
            yield Verified(file["length"], [_damage(bucket, file, conversion, what) for what in found if is_there])


def verify_conversions(database: Database[Document]) -> Iterator[Damage]:
    """Look whether the files are there that conversions name. Raises Unavailable."""
    for conversion in _all(database.conversions, NOT_DELETED, ("owner.id", "mp3_file_id")):
        named = [("videos", conversion["_id"]), ("mp3s", conversion.get("mp3_file_id"))]
        for bucket, file_id in named:
            with mongo_errors():
                if file_id is None or database[bucket].files.find_one({"_id": file_id}, {"_id": True}):
                    continue
                # Whoever deletes a conversion begins with the conversion.
                is_there = database.conversions.find_one({"_id": conversion["_id"], **NOT_DELETED}, {"_id": True})
            if is_there:
                yield _damage(bucket, {"_id": file_id}, conversion, "the file is missing")


def _wrong_bytes(
    bucket: str, files: GridFSFiles, file: Document, conversion: Document, on_bytes: Callable[[int], None]
) -> Iterator[str]:
    whole = hashlib.sha256()
    position, damaged = 0, 0
    while position < file["length"]:
        try:
            for part in files.read(file["_id"], position):
                whole.update(part)
                position += len(part)
                on_bytes(len(part))
        except FileMissing:
            return
        except FileDamaged:
            number = position // CHUNK_BYTES
            damaged += 1
            if damaged > _MOST_NAMED:
                yield f"chunk {number} and perhaps more, which were not read"
                return
            yield f"chunk {number} is missing or is not what was stored"
            position = (number + 1) * CHUNK_BYTES
            on_bytes(CHUNK_BYTES)
        else:
            break
    if not damaged and {*_digests(bucket, file, conversion)} - {whole.hexdigest()}:
        yield "the SHA-256 of the whole is another than is written down"


def _digests(bucket: str, file: Document, conversion: Document) -> Iterator[str]:
    """Yield the digests of a whole file that are known. Of a video in slices none is, until convert has read it."""
    is_named = bucket == "videos" or conversion.get("mp3_file_id") == file["_id"]
    described = (conversion.get("video" if bucket == "videos" else "mp3") or {}) if is_named else {}
    for digest in ((file.get("metadata") or {}).get("sha256"), described.get("sha256")):
        if digest:
            yield digest


def _conversion_of(bucket: str, file_id: str, database: Database[Document]) -> Document:
    conversion_id = str(file_id) if bucket == "videos" else str(file_id).rpartition("-")[0]
    wanted = ("owner.id", "mp3_file_id", "video.sha256", "mp3.sha256")
    with mongo_errors():
        found = database.conversions.find_one({"_id": conversion_id, **NOT_DELETED}, dict.fromkeys(wanted, True))
    return found or {"_id": conversion_id}


def _damage(bucket: str, file: Document, conversion: Document, what: str) -> Damage:
    owner: Document = conversion.get("owner") or {"id": ""}
    return Damage(bucket, str(file["_id"]), str(conversion["_id"]), owner["id"], what)


def _all(collection: Collection[Document], condition: Document, fields: tuple[str, ...]) -> Iterator[Document]:
    """Yield all documents by their ids. No cursor has to outlive what is done with them in between."""
    after: Document = {}
    while True:
        with mongo_errors():
            page = list(
                collection.find(
                    {**after, **condition}, dict.fromkeys(fields, True), sort=[("_id", ASCENDING)], limit=_PAGE
                )
            )
        yield from page
        if len(page) < _PAGE:
            return
        after = {"_id": {"$gt": page[-1]["_id"]}}
