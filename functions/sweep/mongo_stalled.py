"""Stalled conversions, in MongoDB."""

from datetime import timedelta

from pymongo import ASCENDING
from pymongo.database import Database

from functions.shared.conversions import State
from functions.shared.events import Event
from functions.shared.mongo import Document, mongo_errors, to_builtins, to_event
from functions.shared.mongo_conversions import NOT_DELETED
from functions.sweep.stalled import Announce

# The notices of somebody who claimed to tell of the end since it was last owed, and did not, until the claim ended.
_DIED_OVER: Document = {
    "$filter": {
        "input": {"$ifNull": ["$notices", []]},
        "cond": {
            "$and": [
                {"$eq": ["$$this.event_id", "$untold.event.id"]},
                {"$eq": ["$$this.outcome", None]},
                {"$lt": ["$untold.owed_at", "$$this.held_until"]},
                {"$lte": ["$$this.held_until", "$$NOW"]},
            ]
        },
    }
}


class MongoStalledConversions:
    """The collection `conversions`. Implements StalledConversions."""

    def __init__(self, database: Database[Document]) -> None:
        self._collection = database.conversions

    def reclaim(self, limit: int, announce: Announce) -> list[Event]:
        """See StalledConversions."""
        abandoned = {
            "state": State.CONVERTING.value,
            **NOT_DELETED,
            # No lease at all sorts before every time, and so counts as ended.
            "$expr": {"$lte": ["$lease.expires_at", "$$NOW"]},
        }
        queued = {"state": State.QUEUED.value, "progress": 0.0, "lease": None, "fence": {"$add": ["$fence", 1]}}
        return self._announce(abandoned, queued, limit, announce)

    def reannounce(self, limit: int, announce: Announce, after: timedelta) -> list[Event]:
        """See StalledConversions."""
        unheard = {
            "state": State.QUEUED.value,
            **NOT_DELETED,
            "pending_events.0": {"$exists": False},
            "$expr": {"$lte": ["$updated_at", ago(after)]},
        }
        return self._announce(unheard, {}, limit, announce)

    def renotify(self, limit: int, after: timedelta, within: timedelta) -> list[Event]:
        """See StalledConversions."""
        untold = {
            "untold": {"$exists": True},
            **NOT_DELETED,
            "pending_events.0": {"$exists": False},
            "$expr": {
                "$and": [
                    {"$gte": ["$completed_at", ago(within)]},
                    {"$or": [{"$lte": ["$untold.owed_at", ago(after)]}, {"$ne": [_DIED_OVER, []]}]},
                ],
            },
        }
        owed = []
        with mongo_errors():
            found = self._collection.find(
                untold, projection={"untold.event": True}, sort=[("completed_at", ASCENDING)], limit=limit
            )
            for conversion_id, event in [(document["_id"], document["untold"]["event"]) for document in found]:
                written = self._collection.update_one(
                    {"_id": conversion_id, **untold, "untold.event.id": event["id"]},
                    {"$push": {"pending_events": event}, "$currentDate": {"untold.owed_at": True}},
                )
                if written.modified_count:
                    owed.append(to_event(event))
        return owed

    def _announce(self, stalled: Document, change: Document, limit: int, announce: Announce) -> list[Event]:
        """Change the stalled ones one by one, each only if it is stalled still."""
        owed = []
        with mongo_errors():
            found = self._collection.find(
                stalled, projection={"_id": True}, sort=[("updated_at", ASCENDING)], limit=limit
            )
            for conversion_id in [document["_id"] for document in found]:
                event = announce(conversion_id)
                pending = {"$concatArrays": ["$pending_events", [{"$literal": to_builtins(event)}]]}
                written = self._collection.update_one(
                    {"_id": conversion_id, **stalled},
                    [{"$set": {**change, "pending_events": pending, "updated_at": "$$NOW"}}],
                )
                if written.modified_count:
                    owed.append(event)
        return owed


def ago(time: timedelta) -> Document:
    """Return the expression for so long ago, by the server's clock."""
    return {"$subtract": ["$$NOW", int(time.total_seconds() * 1000)]}
