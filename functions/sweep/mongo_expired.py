"""Expired conversions, in MongoDB."""

from pymongo import ASCENDING
from pymongo.database import Database

from functions.shared.mongo import Document, mongo_errors
from functions.shared.mongo_conversions import NOT_DELETED, tombstone

_NOW = "$$NOW"


class MongoExpiredConversions:
    """The documents of `conversions` whose `expires_at` has come. Implements ExpiredConversions."""

    def __init__(self, database: Database[Document]) -> None:
        self._collection = database.conversions

    def delete(self, limit: int) -> list[str]:
        """See ExpiredConversions."""
        expired: Document = {
            "expires_at": {"$type": "date"},
            "$expr": {"$lte": ["$expires_at", _NOW]},
            **NOT_DELETED,
        }
        deleted = []
        with mongo_errors():
            found = self._collection.find(
                expired, projection={"_id": True}, sort=[("expires_at", ASCENDING)], limit=limit
            )
            for conversion_id in [document["_id"] for document in found]:
                written = self._collection.update_one({"_id": conversion_id, **expired}, [{"$set": tombstone(_NOW)}])
                if written.modified_count:
                    deleted.append(conversion_id)
        return deleted
