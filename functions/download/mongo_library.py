"""The library, in MongoDB."""

from collections.abc import Sequence
from datetime import datetime

from pymongo import DESCENDING, ReturnDocument
from pymongo.database import Database

from functions.download.library import Entry, NotFailedState, Position
from functions.shared.conversions import Conversion, ConversionMissing, State
from functions.shared.events import Event
from functions.shared.mongo import Document, mongo_errors, to_builtins, to_conversion
from functions.shared.mongo_conversions import NOT_DELETED, MongoConversions

# The end of which nobody was told is one no more. Its message may be on its way, or among the dead letters, and must
# not be taken for that of the next end: so it counts as told. Of notices as many are kept as notify keeps.
_END = "$untold.event.id"
_OTHERS_OWED = {"$filter": {"input": "$pending_events", "cond": {"$ne": ["$$this.id", _END]}}}
_OTHER_NOTICES = {"$filter": {"input": {"$ifNull": ["$notices", []]}, "cond": {"$ne": ["$$this.event_id", _END]}}}
_OVERTAKEN = {"event_id": _END, "claim": None, "held_until": None, "outcome": "overtaken"}
_NOTICES = {
    "$cond": [
        {"$eq": [{"$type": _END}, "missing"]},
        "$notices",
        {"$slice": [{"$concatArrays": [_OTHER_NOTICES, [_OVERTAKEN]]}, -16]},
    ]
}


class MongoLibrary:
    """The collection `conversions`. Implements Library."""

    def __init__(self, database: Database[Document]) -> None:
        self._collection = database.conversions
        self._conversions = MongoConversions(database)

    def newest(self, owner_id: str, state: State | None, limit: int, after: Position | None) -> list[Conversion]:
        """See Library."""
        wanted: Document = {"owner.id": owner_id, **NOT_DELETED}
        if state is not None:
            wanted["state"] = state.value
        if after is not None:
            wanted["$or"] = [
                {"created_at": {"$lt": after.created_at}},
                {"created_at": after.created_at, "_id": {"$lt": after.conversion_id}},
            ]
        with mongo_errors():
            documents = self._collection.find(
                wanted, sort=[("created_at", DESCENDING), ("_id", DESCENDING)], limit=limit
            )
            return [to_conversion(document) for document in documents]

    def find(self, conversion_ids: Sequence[str]) -> list[Entry]:
        """See Library."""
        with mongo_errors():
            # Without the hint, MongoDB tries every index that could help with NOT_DELETED first.
            documents = self._collection.find({"_id": {"$in": [*conversion_ids]}, **NOT_DELETED}, hint="_id_")
            return [_entry(document) for document in documents]

    def get(self, conversion_id: str) -> Entry:
        """See Library."""
        with mongo_errors():
            document = self._collection.find_one({"_id": conversion_id, **NOT_DELETED})
        if document is None:
            raise ConversionMissing(conversion_id)
        return _entry(document)

    def delete(self, conversion_id: str, now: datetime) -> None:
        """See Library."""
        self._conversions.delete(conversion_id, now)

    def retry(self, conversion_id: str, owed: Sequence[Event], now: datetime) -> Conversion:
        """See Library."""
        events = [to_builtins(event) for event in owed]
        beginning: Document = {
            "state": State.QUEUED.value,
            "progress": 0.0,
            "error": None,
            "attempts": 0,
            "completed_at": None,
            "expires_at": None,
            "lease": None,
            "updated_at": now,
            "queued_at": now,
            "announced_at": now,
            "pending_events": {"$concatArrays": [_OTHERS_OWED, {"$literal": events}]},
            "notices": _NOTICES,
            "untold": "$$REMOVE",
        }
        with mongo_errors():
            document = self._collection.find_one_and_update(
                {"_id": conversion_id, "state": State.FAILED.value, **NOT_DELETED},
                [{"$set": beginning}],
                return_document=ReturnDocument.AFTER,
            )
        if document is None:
            raise NotFailedState(self.get(conversion_id).conversion.state)
        return to_conversion(document)


def _entry(document: Document) -> Entry:
    return Entry(to_conversion(document), document.get("mp3_file_id"))
