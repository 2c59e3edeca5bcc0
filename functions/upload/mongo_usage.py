"""Usage, in MongoDB."""

from pymongo.collection import Collection
from pymongo.database import Database

from functions.shared.mongo import Document, mongo_errors
from functions.upload.uploads import Kind, Used

_IS_UNDER_WAY: Document = {
    "$and": [
        {"$gt": ["$expires_at", "$$NOW"]},
        {"$or": [{"$eq": ["$kind", Kind.PARTIAL.value]}, {"$ne": ["$offset", "$length"]}]},
    ]
}
_STORED = {"stored_bytes": {"$add": ["$video.bytes", {"$ifNull": ["$mp3.bytes", 0]}]}}
_UNDER_WAY = {
    "open_uploads": {"$cond": [_IS_UNDER_WAY, 1, 0]},
    "upload_bytes": {"$cond": [_IS_UNDER_WAY, {"$ifNull": ["$length", "$offset"]}, 0]},
}


class MongoUsage:
    """The collections `conversions` and `uploads`, of which only indexes are read. Implements Usage."""

    def __init__(self, database: Database[Document]) -> None:
        self._conversions = database.conversions
        self._uploads = database.uploads

    def used_by(self, owner_id: str) -> Used:
        """See Usage."""
        with mongo_errors():
            return Used(
                **_sums(self._conversions, owner_id, _STORED),
                **_sums(self._uploads, owner_id, _UNDER_WAY),
            )


def _sums(collection: Collection[Document], owner_id: str, values: Document) -> dict[str, int]:
    sums = {name: {"$sum": value} for name, value in values.items()}
    # What was deleted names no owner.
    found = collection.aggregate([{"$match": {"owner.id": owner_id}}, {"$group": {"_id": None, **sums}}])
    totals: Document = next(found, {})
    return {name: totals.get(name, 0) for name in values}
