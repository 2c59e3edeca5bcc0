"""Abandoned uploads, in MongoDB."""

from datetime import timedelta

from pymongo import ASCENDING
from pymongo.database import Database

from functions.shared.mongo import Document, mongo_errors
from functions.shared.mongo_conversions import NOT_DELETED
from functions.sweep.abandoned import Abandoned
from functions.sweep.mongo_stalled import ago


class MongoAbandonedUploads:
    """The documents of `uploads` by their `expires_at`, which of a deleted one is when. Implements AbandonedUploads."""

    def __init__(self, database: Database[Document]) -> None:
        self._uploads = database.uploads
        self._conversions = database.conversions

    def expired(self, limit: int, after: timedelta) -> list[Abandoned]:
        """See AbandonedUploads."""
        with mongo_errors():
            documents = self._uploads.find(
                {"$expr": {"$lte": ["$expires_at", ago(after)]}},
                projection={"_id": True},
                sort=[("expires_at", ASCENDING)],
                limit=limit,
            )
            ids = [document["_id"] for document in documents]
            # A conversion is looked for whatever the upload says of itself: whoever committed the last bytes may have
            # died before that was written down.
            videos = self._conversions.find({"_id": {"$in": ids}, **NOT_DELETED}, projection={"_id": True})
            with_conversion = {document["_id"] for document in videos}
        return [Abandoned(upload_id, upload_id in with_conversion) for upload_id in ids]

    def forget(self, upload_id: str) -> None:
        """See AbandonedUploads."""
        with mongo_errors():
            self._uploads.delete_one({"_id": upload_id})
