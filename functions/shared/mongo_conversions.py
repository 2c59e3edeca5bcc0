"""Conversions and the outbox, in MongoDB."""

from collections.abc import Sequence

from pymongo import ASCENDING
from pymongo.database import Database

from functions.shared.conversions import Conversion, ConversionMissing
from functions.shared.events import Event, EventName
from functions.shared.mongo import Document, mongo_errors, to_conversion, to_document, to_event

NOT_DELETED: Document = {"deleted_at": None}


class MongoConversions:
    """The collection `conversions`. Implements Conversions."""

    def __init__(self, database: Database[Document]) -> None:
        self._collection = database.conversions

    def add(self, conversion: Conversion, owed: Sequence[Event]) -> None:
        """See Conversions."""
        with mongo_errors():
            self._collection.insert_one(to_document(conversion, list(owed)))

    def get(self, conversion_id: str) -> Conversion:
        """See Conversions."""
        with mongo_errors():
            document = self._collection.find_one({"_id": conversion_id, **NOT_DELETED})
        if document is None:
            raise ConversionMissing(conversion_id)
        return to_conversion(document)


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
