"""Uploads, in MongoDB."""

import msgspec
from pymongo import ReturnDocument
from pymongo.database import Database
from pymongo.errors import DuplicateKeyError

from functions.shared.files import CHUNK_BYTES
from functions.shared.mongo import Document, mongo_errors, to_builtins
from functions.shared.mongo_conversions import NOT_DELETED
from functions.upload.uploads import (
    HOLD_S,
    Held,
    HoldLost,
    Progress,
    Upload,
    UploadExists,
    UploadLocked,
    UploadMissing,
)

# A document can have 16 MiB, and each MiB of a video takes 44 bytes of it: for its digest, its number, and their types.
LARGEST_BYTES = 256 * 1024**3

# Holds are measured by the server's clock alone, so the functions' clocks may differ.
_NOW = "$$NOW"

_TOMBSTONE: Document = {"_id": "$_id", "deleted_at": _NOW, "expires_at": _NOW}


class MongoUploads:
    """The collection `uploads`. Implements Uploads.

    Beside the upload's own fields a document holds `fence`; `hold`, which is null or `{"token", "renewed_at",
    "staged"}`; and `chunk_sha256`, the digests of the chunks by their numbers. Of those a large upload has many
    thousands, so they are not read with the document, and each is written once.
    """

    def __init__(self, database: Database[Document], *, hold_s: float = HOLD_S) -> None:
        self._collection = database.uploads
        self._hold_ms = round(hold_s * 1000)

    def add(self, upload: Upload) -> None:
        """See Uploads."""
        document = to_builtins(upload)
        document["_id"] = document.pop("id")
        try:
            with mongo_errors():
                self._collection.insert_one({**document, "fence": 0, "hold": None, "chunk_sha256": []})
        except DuplicateKeyError as error:
            raise UploadExists(upload.id) from error

    def watch(self, upload_id: str) -> None:
        """See Uploads. For sweep it looks like one that was deleted just now."""
        with mongo_errors():
            self._collection.update_one({"_id": upload_id}, [{"$replaceWith": _TOMBSTONE}], upsert=True)

    def get(self, upload_id: str) -> Upload:
        """See Uploads."""
        return _to_upload(self._find(upload_id, {"chunk_sha256": False}))

    def hold(self, upload_id: str, token: str) -> Held:
        """See Uploads."""
        is_mine = {"$eq": ["$hold.token", {"$literal": token}]}
        # No hold at all sorts before every time, and so counts as ended.
        has_ended = {"$lte": ["$hold.renewed_at", {"$subtract": [_NOW, self._hold_ms]}]}
        taken = {
            "fence": {"$add": ["$fence", 1]},
            "hold": {
                "token": {"$literal": token},
                "renewed_at": _NOW,
                "staged": {"$cond": [is_mine, "$hold.staged", 0]},
            },
        }
        with mongo_errors():
            document = self._collection.find_one_and_update(
                {"_id": upload_id, **NOT_DELETED, "$expr": {"$or": [is_mine, has_ended]}},
                [{"$set": taken}],
                projection={"chunk_sha256": {"$slice": -1}},
                return_document=ReturnDocument.AFTER,
            )
        if document is None:
            self._find(upload_id, {"_id": True})
            raise UploadLocked(upload_id)
        upload = _to_upload(document)
        tail_sha256 = document["chunk_sha256"][0] if upload.offset % CHUNK_BYTES else b""
        return Held(upload, token, document["fence"], document["hold"]["staged"], tail_sha256)

    def stage(self, held: Held, staged: int) -> None:
        """See Uploads."""
        self._write(held, {"$set": {"hold.staged": staged}, "$currentDate": {"hold.renewed_at": True}})

    def advance(self, held: Held, progress: Progress, *, keep: bool) -> None:
        """See Uploads."""
        committed = {
            "offset": progress.offset,
            "length": progress.length,
            "expires_at": progress.expires_at,
            **{f"chunk_sha256.{number}": digest for number, digest in sorted(progress.digests.items())},
        }
        not_beyond = {"offset": {"$lte": progress.offset}}
        if keep:
            kept = {"$set": {**committed, "hold.staged": 0}, "$currentDate": {"hold.renewed_at": True}}
            self._write(held, kept, not_beyond)
        else:
            self._write(held, {"$set": {**committed, "hold": None}}, not_beyond)

    def release(self, held: Held) -> None:
        """See Uploads."""
        with mongo_errors():
            self._collection.update_one(_held(held), {"$set": {"hold": None}})

    def digests(self, upload_id: str) -> bytes:
        """See Uploads."""
        return b"".join(self._find(upload_id, {"chunk_sha256": True})["chunk_sha256"])

    def delete(self, upload_id: str) -> None:
        """See Uploads. A tombstone remains: sweep deletes later what a late writer leaves."""
        with mongo_errors():
            self._collection.update_one({"_id": upload_id, **NOT_DELETED}, [{"$replaceWith": _TOMBSTONE}])

    def _find(self, upload_id: str, projection: Document) -> Document:
        with mongo_errors():
            document = self._collection.find_one({"_id": upload_id, **NOT_DELETED}, projection)
        if document is None:
            raise UploadMissing(upload_id)
        return document

    def _write(self, held: Held, change: Document, condition: Document | None = None) -> None:
        with mongo_errors():
            result = self._collection.update_one({**_held(held), **(condition or {})}, change)
        if result.matched_count == 0:
            raise HoldLost(held.upload.id)


def _held(held: Held) -> Document:
    # Whether the hold has run out does not matter: whoever takes the upload over puts a token and a fence of its own.
    return {"_id": held.upload.id, "hold.token": held.token, "fence": held.fence}


def _to_upload(document: Document) -> Upload:
    return msgspec.convert({**document, "id": document["_id"]}, Upload)
