"""Tombstones, in MongoDB."""

from datetime import timedelta

from pymongo import ASCENDING
from pymongo.database import Database

from functions.shared.mongo import Document, mongo_errors
from functions.sweep.mongo_stalled import ago


class MongoTombstones:
    """The documents of `conversions` with `deleted_at`; `purged_at` is when no file was left. Implements Tombstones."""

    def __init__(self, database: Database[Document]) -> None:
        self._collection = database.conversions

    def unpurged(self, limit: int, after: timedelta) -> list[str]:
        """See Tombstones."""
        with mongo_errors():
            documents = self._collection.find(
                {
                    "deleted_at": {"$type": "date"},
                    "purged_at": None,
                    "$expr": {"$lte": ["$deleted_at", ago(after)]},
                },
                projection={"_id": True},
                sort=[("deleted_at", ASCENDING)],
                limit=limit,
            )
            return [document["_id"] for document in documents]

    def mark_purged(self, conversion_id: str) -> None:
        """See Tombstones."""
        with mongo_errors():
            self._collection.update_one({"_id": conversion_id}, {"$currentDate": {"purged_at": True}})
