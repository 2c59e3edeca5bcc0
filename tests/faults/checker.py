"""The oracle of all faults: every accepted upload has come to exactly one end."""

import contextlib
import email
import email.policy
from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass, field
from pathlib import Path

from gridfs import GridFSBucket
from pymongo.database import Database

from functions.shared.mongo import Document
from tests.tus import until

ENDS = ("completed", "failed", "cancelled")


@dataclass
class Verdict:
    """What became of the conversions that were looked at. The lists are of ids, and should be empty."""

    ends: Counter[str] = field(default_factory=Counter)
    lost: list[str] = field(default_factory=list)
    stuck: list[str] = field(default_factory=list)
    duplicated: list[str] = field(default_factory=list)
    # Letters that came again with the same Message-ID: their sender died between sending and noting it.
    repeated_letters: int = 0

    @property
    def is_clean(self) -> bool:
        """Whether nothing is lost, stuck or there twice."""
        return not (self.lost or self.stuck or self.duplicated)


class Checker:
    """Looks at what is stored and what was mailed, past all of the service's own code."""

    def __init__(self, database: Database[Document], outbox: Path) -> None:
        self._database = database
        self._outbox = outbox

    def look(self, accepted: Collection[str]) -> Verdict:
        """Return what has become of the conversions of these ids, each of them accepted by the service."""
        verdict = Verdict()
        letters = self._letters()
        for conversion_id in accepted:
            document = self._database.conversions.find_one({"_id": conversion_id})
            if document is None:
                verdict.lost.append(conversion_id)
                continue
            state = document["state"]
            verdict.ends[state] += 1
            if state not in ENDS:
                verdict.stuck.append(conversion_id)
                continue
            mine = {event_id: letters[event_id] for event_id in self._told(document) if event_id in letters}
            verdict.repeated_letters += sum(count - 1 for count in mine.values())
            mp3s = list(self._database["mp3s.files"].find({"_id": {"$regex": f"^{conversion_id}-"}}))
            deleted = document.get("deleted_at") is not None
            if state == "completed" and not deleted and not self._is_whole(document):
                verdict.lost.append(conversion_id)
            if len(mp3s) > 1 or len(mine) > 1:
                verdict.duplicated.append(conversion_id)
        return verdict

    def wait(self, accepted: Collection[str], *, within_s: float = 60) -> Verdict:
        """Return what became of them as soon as all are at an end and everybody was told, or of what is not by then."""
        with contextlib.suppress(AssertionError):
            until(lambda: self._is_quiet(accepted), within_s=within_s)
        return self.look(accepted)

    def _is_quiet(self, accepted: Collection[str]) -> bool:
        ended = {
            "_id": {"$in": list(accepted)},
            "state": {"$in": list(ENDS)},
            "untold": {"$exists": False},
            "pending_events": [],
        }
        return self._database.conversions.count_documents(ended) == len(set(accepted))

    def _is_whole(self, document: Document) -> bool:
        """Whether the MP3 that a document names is there, with as many bytes as it says."""
        bucket = GridFSBucket(self._database, bucket_name="mp3s")
        [found] = list(bucket.find({"_id": document["mp3_file_id"]})) or [None]
        return found is not None and len(found.read()) == document["mp3"]["bytes"]

    def _told(self, document: Document) -> list[str]:
        return [notice["event_id"] for notice in document.get("notices") or []]

    def _letters(self) -> Counter[str]:
        """Return how often a letter lies in the outbox, by the id of the event that it tells of."""
        letters: Counter[str] = Counter()
        for path in self._outbox.glob("*.eml"):
            letter = email.message_from_bytes(path.read_bytes(), policy=email.policy.default)
            letters[str(letter["Message-ID"]).strip("<>").partition("@")[0]] += 1
        return letters
