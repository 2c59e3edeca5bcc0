"""Notices, kept with the conversions in MongoDB."""

from collections.abc import Callable
from datetime import timedelta

from pymongo import ReturnDocument
from pymongo.database import Database

from functions.notify.notices import NoticeHeld, Outcome
from functions.shared.conversions import ConversionMissing
from functions.shared.events import Event
from functions.shared.mongo import Document, mongo_errors
from functions.shared.mongo_conversions import NOT_DELETED

# A conversion that is tried again and again must not make its document grow without end.
KEPT = 16


class MongoNotices:
    """The array `notices` of each conversion's document. Implements Notices.

    A notice is `{"event_id", "claim", "held_until", "outcome"}`. A claim lasts for `lease`, by the clock of the
    server, so the clocks of those who send do not matter. The newest KEPT notices are kept. Settling one ends the
    note `untold` of its event.
    """

    def __init__(self, database: Database[Document], lease: timedelta, new_id: Callable[[], str]) -> None:
        self._collection = database.conversions
        self._new_id = new_id
        self._lease_ms = int(lease.total_seconds() * 1000)

    def claim(self, event: Event) -> str | None:
        """See Notices."""
        claim = self._new_id()
        with mongo_errors():
            document = self._collection.find_one_and_update(
                {"_id": event.conversion_id, **NOT_DELETED},
                [{"$set": {"notices": self._with_claim(event, claim)}}],
                projection={"notices": True},
                return_document=ReturnDocument.AFTER,
            )
        if document is None:
            raise ConversionMissing(event.conversion_id)
        [notice] = [notice for notice in document["notices"] if notice["event_id"] == event.id]
        if notice["outcome"] is not None:
            return None
        if notice["claim"] != claim:
            raise NoticeHeld(event.id)
        return claim

    def settle(self, event: Event, outcome: Outcome) -> None:
        """See Notices."""
        with mongo_errors():
            self._collection.update_one(
                {"_id": event.conversion_id, "notices.event_id": event.id},
                [{"$set": {"notices": _settled(event, outcome), "untold": _without(event)}}],
            )

    def release(self, event: Event, claim: str) -> None:
        """See Notices."""
        with mongo_errors():
            self._collection.update_one(
                {"_id": event.conversion_id}, {"$pull": {"notices": {"claim": claim, "outcome": None}}}
            )

    def _with_claim(self, event: Event, claim: str) -> Document:
        """Return the expression for `notices` with our claim, or as they are if the event is settled or held."""
        # An id from outside that begins with a dollar sign would be read as the name of a field.
        event_id = {"$literal": event.id}
        held_until = {"$add": ["$$NOW", self._lease_ms]}
        notices = {"$ifNull": ["$notices", []]}
        taken = {
            "$filter": {
                "input": notices,
                "cond": {
                    "$and": [
                        {"$eq": ["$$this.event_id", event_id]},
                        {"$or": [{"$ne": ["$$this.outcome", None]}, {"$gt": ["$$this.held_until", "$$NOW"]}]},
                    ]
                },
            }
        }
        others = {"$filter": {"input": notices, "cond": {"$ne": ["$$this.event_id", event_id]}}}
        ours = {"event_id": event_id, "claim": claim, "held_until": held_until, "outcome": None}
        return {
            "$cond": [
                {"$eq": [taken, []]},
                {"$slice": [{"$concatArrays": [others, [ours]]}, -KEPT]},
                notices,
            ]
        }


def _settled(event: Event, outcome: Outcome) -> Document:
    """Return the expression for `notices` in which that of the event is settled."""
    is_ours = {"$eq": ["$$this.event_id", {"$literal": event.id}]}
    settled = {"$mergeObjects": ["$$this", {"outcome": outcome.value}]}
    return {"$map": {"input": "$notices", "as": "this", "in": {"$cond": [is_ours, settled, "$$this"]}}}


def _without(event: Event) -> Document:
    """Return the expression for `untold`, which goes if it is about the event and otherwise stays as it is."""
    return {"$cond": [{"$eq": ["$untold.event.id", {"$literal": event.id}]}, "$$REMOVE", "$untold"]}
