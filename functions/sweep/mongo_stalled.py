"""Stalled conversions, in MongoDB."""

from datetime import datetime, timedelta

from pymongo import ASCENDING, DESCENDING
from pymongo.database import Database

from functions.shared.conversions import State
from functions.shared.events import Event
from functions.shared.mongo import Document, mongo_errors, to_builtins, to_event
from functions.shared.mongo_conversions import NOT_DELETED
from functions.sweep.stalled import LONGEST_PAUSES, Announce

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
        queued = {
            "state": State.QUEUED.value,
            "progress": 0.0,
            "lease": None,
            "fence": {"$add": ["$fence", 1]},
            "queued_at": "$$NOW",
        }
        return self._announce(abandoned, queued, limit, announce, oldest="updated_at")

    def reannounce(self, limit: int, announce: Announce, after: timedelta) -> list[Event]:
        """See StalledConversions."""
        longest_ms = LONGEST_PAUSES * after // timedelta(milliseconds=1)
        pause_ms = {"$min": [{"$subtract": ["$announced_at", "$queued_at"]}, longest_ms]}
        conditions: list[Document] = [
            {"$lte": ["$announced_at", ago(after)]},
            {"$lte": [{"$add": ["$announced_at", pause_ms]}, "$$NOW"]},
        ]
        if passed := self._passed(after):
            conditions.append({"$lt": ["$announced_at", passed]})
        unheard = {
            "state": State.QUEUED.value,
            **NOT_DELETED,
            "pending_events.0": {"$exists": False},
            "$expr": {"$and": conditions},
        }
        return self._announce(unheard, {}, limit, announce, oldest="announced_at")

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

    def _passed(self, within: timedelta) -> datetime | None:
        """Return up to which time the queue has been worked through, None if nobody has worked `within` that long."""
        passed = []
        with mongo_errors():
            for state in (State.CONVERTING, State.COMPLETED, State.FAILED):
                worked_on = {"state": state.value, **NOT_DELETED, "$expr": {"$gt": ["$updated_at", ago(within)]}}
                last = self._collection.find_one(worked_on, {"queued_at": True}, sort=[("updated_at", DESCENDING)])
                if last and "queued_at" in last:
                    passed.append(last["queued_at"])
        return max(passed, default=None)

    def _announce(
        self, stalled: Document, change: Document, limit: int, announce: Announce, *, oldest: str
    ) -> list[Event]:
        """Change the stalled ones one by one, each only if it is stalled still."""
        owed = []
        with mongo_errors():
            found = self._collection.find(stalled, projection={"_id": True}, sort=[(oldest, ASCENDING)], limit=limit)
            for conversion_id in [document["_id"] for document in found]:
                event = announce(conversion_id)
                pending = {"$concatArrays": ["$pending_events", [{"$literal": to_builtins(event)}]]}
                written = self._collection.update_one(
                    {"_id": conversion_id, **stalled},
                    [{"$set": {**change, "pending_events": pending, "updated_at": "$$NOW", "announced_at": "$$NOW"}}],
                )
                if written.modified_count:
                    owed.append(event)
        return owed


def ago(time: timedelta) -> Document:
    """Return the expression for so long ago, by the server's clock."""
    return {"$subtract": ["$$NOW", int(time.total_seconds() * 1000)]}
