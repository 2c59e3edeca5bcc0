"""Claims, in MongoDB."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import msgspec
from pymongo import ReturnDocument
from pymongo.database import Database

from functions.convert.claims import RETENTION, Claim, ClaimLost
from functions.shared.conversions import Failure, Mp3, Note, State, Video
from functions.shared.events import Event
from functions.shared.mongo import Document, mongo_errors, to_builtins, to_conversion
from functions.shared.mongo_conversions import NOT_DELETED

# Leases are measured by the server's clock alone, so the workers' clocks may differ.
_NOW = "$$NOW"


class MongoClaims:
    """The leases in the collection `conversions`. Implements Claims. A conversion expires `retention` after its end."""

    def __init__(self, database: Database[Document], *, lease_s: float, retention: timedelta = RETENTION) -> None:
        self._collection = database.conversions
        self._lease_ms = round(lease_s * 1000)
        self._retention_ms = retention // timedelta(milliseconds=1)

    def claim(self, conversion_id: str, holder: str) -> Claim | None:
        """See Claims."""
        free = {"$or": [{"$eq": ["$lease", None]}, {"$lte": ["$lease.expires_at", _NOW]}]}
        with mongo_errors():
            document = self._collection.find_one_and_update(
                {
                    "_id": conversion_id,
                    "state": {"$in": [State.QUEUED, State.CONVERTING]},
                    "$expr": free,
                    **NOT_DELETED,
                },
                [
                    {
                        "$set": {
                            "state": State.CONVERTING,
                            "progress": 0.0,
                            "fence": {"$add": ["$fence", 1]},
                            "attempts": {"$add": ["$attempts", 1]},
                            "lease": self._lease(holder),
                            "updated_at": _NOW,
                        }
                    }
                ],
                return_document=ReturnDocument.AFTER,
            )
        if document is None:
            return None
        return Claim(to_conversion(document), document["fence"], holder)

    def renew(self, claim: Claim, progress: float) -> None:
        """See Claims."""
        self._write(claim, {"progress": progress, "lease": self._lease(claim.holder)})

    def complete(self, claim: Claim, mp3: Mp3, video: Video, warnings: Sequence[Note], completed: Event) -> None:
        """See Claims."""
        made = {
            "progress": 1.0,
            "mp3": {"$literal": to_builtins(mp3)},
            "mp3_file_id": claim.mp3_file_id,
            "video": {"$literal": to_builtins(video)},
            "warnings": {"$literal": msgspec.to_builtins(tuple(warnings))},
        }
        self._end(claim, {"state": State.COMPLETED, **made, **self._ended(completed)}, [completed])

    def fail(self, claim: Claim, failure: Failure, failed: Event, video: Video, *, counts: bool = True) -> None:
        """See Claims."""
        learned = {
            "error": {"$literal": to_builtins(failure)},
            "video": {"$literal": to_builtins(video)},
            "attempts": _attempts(claim, counts),
        }
        self._end(claim, {"state": State.FAILED, **learned, **self._ended(failed)}, [failed])

    def release(self, claim: Claim, owed: Sequence[Event], *, counts: bool) -> None:
        """See Claims."""
        queued: Document = {"state": State.QUEUED, "progress": 0.0, "attempts": _attempts(claim, counts)}
        if owed:
            # Without an event the message itself goes back, and keeps its place.
            queued |= {"queued_at": _NOW, "announced_at": _after(max(map(_pause_ms, owed)))}
        self._end(claim, queued, owed)

    def _end(self, claim: Claim, changes: Document, owed: Sequence[Event]) -> None:
        events = {"$literal": [to_builtins(event) for event in owed]}
        self._write(claim, {**changes, "lease": None, "pending_events": {"$concatArrays": ["$pending_events", events]}})

    def _write(self, claim: Claim, changes: Document) -> None:
        held = {
            "_id": claim.conversion.id,
            "state": State.CONVERTING,
            "fence": claim.fence,
            "lease.holder": claim.holder,
            **NOT_DELETED,
        }
        with mongo_errors():
            result = self._collection.update_one(held, [{"$set": {**changes, "updated_at": _NOW}}])
        if result.matched_count == 0:
            raise ClaimLost(claim.conversion.id)

    def _lease(self, holder: str) -> dict[str, Any]:
        return {"holder": {"$literal": holder}, "expires_at": _after(self._lease_ms)}

    def _ended(self, end: Event) -> Document:
        untold = {"event": {"$literal": to_builtins(end)}, "owed_at": _NOW}
        return {"completed_at": _NOW, "expires_at": _after(self._retention_ms), "untold": untold}


def _attempts(claim: Claim, counts: bool) -> int:
    return claim.attempt if counts else claim.attempt - 1


def _pause_ms(event: Event) -> int:
    return (event.not_before - event.occurred_at) // timedelta(milliseconds=1) if event.not_before else 0


def _after(milliseconds: int) -> Document:
    return {"$dateAdd": {"startDate": _NOW, "unit": "millisecond", "amount": milliseconds}}
