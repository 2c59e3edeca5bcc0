"""Usage, in MongoDB."""

from pymongo.collection import Collection
from pymongo.database import Database

from functions.shared.mongo import Document, mongo_errors
from functions.upload.uploads import Kind

_IS_UNDER_WAY: Document = {
    "$and": [
        {"$gt": ["$expires_at", "$$NOW"]},
        {"$or": [{"$eq": ["$kind", Kind.PARTIAL.value]}, {"$ne": ["$offset", "$length"]}]},
    ]
}


class MongoUsage:
    """The collections `conversions` and `uploads`, of which only indexes are read. Implements Usage."""

    def __init__(self, database: Database[Document]) -> None:
        self._conversions = database.conversions
        self._uploads = database.uploads

    def used_bytes(self, owner_id: str) -> int:
        """See Usage."""
        stored = {"$add": ["$video.bytes", {"$ifNull": ["$mp3.bytes", 0]}]}
        reserved = {"$cond": [_IS_UNDER_WAY, {"$ifNull": ["$length", "$offset"]}, 0]}
        with mongo_errors():
            return _sum(self._conversions, owner_id, stored) + _sum(self._uploads, owner_id, reserved)


def _sum(collection: Collection[Document], owner_id: str, size: Document) -> int:
    # What was deleted names no owner.
    found = collection.aggregate(
        [{"$match": {"owner.id": owner_id}}, {"$group": {"_id": None, "bytes": {"$sum": size}}}]
    )
    total: int = next(found, {"bytes": 0})["bytes"]
    return total
