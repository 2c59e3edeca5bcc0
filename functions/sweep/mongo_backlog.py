"""What waits, in MongoDB."""

from datetime import timedelta

from pymongo import ASCENDING
from pymongo.database import Database

from functions.shared.conversions import State
from functions.shared.events import EventName
from functions.shared.mongo import Document, mongo_errors
from functions.shared.mongo_conversions import NOT_DELETED
from functions.sweep.backlog import COUNTED, Waiting
from functions.sweep.mongo_stalled import ago


class MongoBacklog:
    """The collection `conversions`. Implements Backlog. Each question is answered by the first entries of an index."""

    def __init__(self, database: Database[Document]) -> None:
        self._collection = database.conversions

    def in_state(self, state: State) -> Waiting:
        """See Backlog."""
        # What was deleted is in none of the states in which anything waits.
        index, since = ("queued", "queued_at") if state is State.QUEUED else ("in_state", "updated_at")
        return self._waiting({"state": state.value}, index, since)

    def owing(self) -> Waiting:
        """See Backlog."""
        # Only of events of one name the index knows which is the oldest.
        owing = [self._waiting({"pending_events.event": name.value}, "owing_event", "updated_at") for name in EventName]
        return Waiting(min(COUNTED, sum(each.number for each in owing)), max(each.oldest_s for each in owing))

    def untold(self, within: timedelta) -> Waiting:
        """See Backlog."""
        ended = {"$expr": {"$gte": ["$completed_at", ago(within)]}}
        return self._waiting({"untold": {"$exists": True}, **NOT_DELETED, **ended}, "untold", "completed_at")

    def _waiting(self, which: Document, index: str, since: str) -> Waiting:
        with mongo_errors():
            number = self._collection.count_documents(which, limit=COUNTED, hint=index)
            first = self._collection.find_one(
                which,
                {"_id": False, "ms": {"$subtract": ["$$NOW", f"${since}"]}},
                sort=[(since, ASCENDING)],
                hint=index,
            )
        return Waiting(number, max(0.0, first["ms"] / 1000) if first else 0.0)
