"""Conversions and the outbox, in MongoDB."""

import contextlib
from collections.abc import Sequence
from datetime import datetime

from pymongo import ASCENDING
from pymongo.database import Database
from pymongo.errors import DuplicateKeyError

from functions.shared.conversions import Conversion, ConversionMissing, State
from functions.shared.events import Event, EventName
from functions.shared.mongo import Document, mongo_errors, to_conversion, to_document, to_event
from functions.shared.problems import Unavailable

NOT_DELETED: Document = {"deleted_at": None}


class MongoConversions:
    """The collection `conversions`. Implements Conversions."""

    def __init__(self, database: Database[Document]) -> None:
        self._collection = database.conversions

    def add(self, conversion: Conversion, owed: Sequence[Event]) -> None:
        """See Conversions."""
        with mongo_errors(), contextlib.suppress(DuplicateKeyError):
            self._collection.insert_one(to_document(conversion, list(owed)))

    def add_once(self, conversion: Conversion, owed: Sequence[Event], origin: str) -> str:
        """See Conversions. The origin is kept in the document's field of that name, whose index is unique."""
        with mongo_errors():
            try:
                self._collection.insert_one({**to_document(conversion, list(owed)), "origin": origin})
            except DuplicateKeyError as error:
                if accepted_id := self.added_for(origin):
                    return accepted_id
                if "_id" not in (error.details or {}).get("keyPattern", {}):
                    # The other one was deleted just now, or no majority has it yet. This one is not there in any case.
                    raise Unavailable("The storage") from error
        return conversion.id

    def added_for(self, origin: str) -> str | None:
        """See Conversions."""
        with mongo_errors():
            found = self._collection.find_one({"origin": origin}, {"_id": True})
        return found["_id"] if found else None

    def get(self, conversion_id: str) -> Conversion:
        """See Conversions."""
        with mongo_errors():
            document = self._collection.find_one({"_id": conversion_id, **NOT_DELETED})
        if document is None:
            raise ConversionMissing(conversion_id)
        return to_conversion(document)

    def delete(self, conversion_id: str, now: datetime) -> None:
        """See Conversions. A tombstone remains, by which late messages and workers see that it is over.

        It has the shape of a conversion, and says nothing of the person or of what was in the video.
        """
        with mongo_errors():
            result = self._collection.update_one({"_id": conversion_id, **NOT_DELETED}, [{"$set": tombstone(now)}])
        if result.matched_count == 0:
            raise ConversionMissing(conversion_id)


def tombstone(now: datetime | str) -> Document:
    """Return what a deletion sets in a pipeline. `now` is a time, or `$$NOW`: that of the server."""
    is_running = {"$in": ["$state", [State.QUEUED.value, State.CONVERTING.value]]}
    return {
        "state": {"$cond": [is_running, State.CANCELLED.value, "$state"]},
        "deleted_at": now,
        "updated_at": now,
        "expires_at": None,
        "lease": None,
        "pending_events": [],
        "owner": {"id": "", "email": ""},
        "filename": "",
        # Without $literal, a document in a pipeline keeps the other fields of the one that it takes the place of:
        # https://www.mongodb.com/docs/manual/reference/operator/aggregation/addFields/
        "options": {"$literal": {}},
        "video": {"$literal": {"bytes": 0, "sha256": "", "duration_s": None}},
        "mp3": None,
        "error": None,
        "warnings": [],
        "notices": "$$REMOVE",
        "untold": "$$REMOVE",
        "origin": "$$REMOVE",
    }


class MongoOutbox:
    """The `pending_events` of all conversions. Implements Outbox."""

    def __init__(self, database: Database[Document]) -> None:
        self._collection = database.conversions

    def owed(self, name: EventName, limit: int) -> list[Event]:
        """See Outbox."""
        with mongo_errors():
            documents = self._collection.find(
                {"pending_events.event": name.value},
                projection={"pending_events": True},
                sort=[("updated_at", ASCENDING)],
                limit=limit,
            )
            events = [to_event(event) for document in documents for event in document["pending_events"]]
        return [event for event in events if event.event is name][:limit]

    def mark_published(self, event: Event) -> None:
        """See Outbox."""
        with mongo_errors():
            self._collection.update_one({"_id": event.conversion_id}, {"$pull": {"pending_events": {"id": event.id}}})
