"""The oracle of all faults: every accepted upload has come to exactly one end.

It looks at what is stored and at what was mailed, past all of the service's own code.
"""

import contextlib
import email
import email.policy
import hashlib
import json
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from email.message import EmailMessage
from pathlib import Path

from gridfs import GridFSBucket, NoFile
from gridfs.errors import CorruptGridFile
from pymongo.database import Database

from functions.shared.mongo import Document
from tests.tus import sha256, until

ENDS = ("completed", "failed", "cancelled")
# What any video may fail with that was hit in every attempt.
USED_UP = frozenset({"attempts-exhausted", "resource-limit"})
# Encoders round the end of a sound, and containers round their durations.
_SLACK_S = 0.3


@dataclass
class Accepted:
    """An upload that was acknowledged, as its sender knows it; of what is left empty he knows nothing.

    His file's name is like no other's. `failures` are what the video may fail with, beside USED_UP; one that has some
    makes no MP3. `retries` counts how often a new try was asked for, and perhaps given. `deleted` is None if a
    deletion was asked for and nobody knows whether it was done.
    """

    id: str
    filename: str = ""
    sha256: str = ""
    seconds: float | None = None
    failures: frozenset[str] | None = None
    retries: int = 0
    deleted: bool | None = None


@dataclass
class Verdict:
    """What became of the conversions that were looked at. The lists are of ids, and should be empty."""

    ends: Counter[str] = field(default_factory=Counter)
    lost: list[str] = field(default_factory=list)
    stuck: list[str] = field(default_factory=list)
    duplicated: list[str] = field(default_factory=list)
    # At an end of which nobody was told: nor will be, or not in the time that there was.
    untold: list[str] = field(default_factory=list)
    # Letters that came again with the same Message-ID: their sender died between sending and noting it.
    repeated_letters: int = 0
    # Why an id stands in a list, in the order in which it was found.
    reasons: list[str] = field(default_factory=list)

    @property
    def is_clean(self) -> bool:
        """Whether nothing is lost, stuck or there twice."""
        return not (self.lost or self.stuck or self.duplicated)

    def __str__(self) -> str:
        counts = f"lost {len(self.lost)}, stuck {len(self.stuck)}, duplicated {len(self.duplicated)}"
        return f"{counts}; not told {len(self.untold)}, letters that came again {self.repeated_letters}"


class Checker:
    """Looks into a stack's MongoDB and at its outbox."""

    def __init__(self, database: Database[Document], outbox: Path) -> None:
        self._database = database
        self._conversions = database.conversions
        self._mp3s = database["mp3s.files"]
        self._outbox = outbox

    def look(self, accepted: Iterable[str | Accepted]) -> Verdict:
        """Return what has become of these, each of them accepted by the service. An id is enough."""
        verdict = Verdict()
        letters = self._letters()
        for each in accepted:
            _Look(verdict, self._database, letters, Accepted(each) if isinstance(each, str) else each).at_it()
        return verdict

    def look_at_all(self, accepted: Collection[Accepted]) -> Verdict:
        """Return what has become of these, in a stack that had no others, except perhaps unacknowledged ones."""
        verdict = self.look(accepted)
        ids = {each.id for each in accepted}
        names = {each.filename for each in accepted}
        for document in self._conversions.find({"_id": {"$nin": list(ids)}}):
            if document["filename"] in names:
                _note(verdict, verdict.duplicated, document["_id"], f"a second conversion of {document['filename']}")
            if document["state"] not in ENDS:
                _note(verdict, verdict.stuck, document["_id"], f"unacknowledged, and {document['state']}")
        named = set(self._conversions.distinct("mp3_file_id", {"deleted_at": None}))
        unpurged = set(self._conversions.distinct("_id", {"deleted_at": {"$ne": None}, "purged_at": None}))
        for file_id in self._mp3s.distinct("_id"):
            conversion_id = file_id.rpartition("-")[0]
            if file_id not in named and conversion_id not in {*unpurged, *verdict.duplicated}:
                _note(verdict, verdict.duplicated, conversion_id, f"nobody knows of the MP3 {file_id}")
        for digests in self._mp3s_of_same_videos().values():
            if len(digests) > 1:
                odd = min(digests.values(), key=len)
                _note(verdict, verdict.lost, odd[0], "its MP3 is not the one that others have of the same video")
        return verdict

    def wait(self, accepted: Collection[str], *, within_s: float = 60) -> Verdict:
        """Return what became of them as soon as all are at an end and everybody was told, or of what is not by then."""
        with contextlib.suppress(AssertionError):
            until(lambda: not self._unfinished(accepted), within_s=within_s)
        verdict = self.look(accepted)
        for conversion_id in self._unfinished(accepted) - {*verdict.lost, *verdict.stuck, *verdict.untold}:
            _note(verdict, verdict.untold, conversion_id, f"something is owed still, after {within_s} s")
        return verdict

    def under_way(self) -> int:
        """Return how many conversions are not at an end."""
        return self._conversions.count_documents({"state": {"$nin": list(ENDS)}})

    def untold(self) -> int:
        """Return of how many ends nobody was told yet."""
        return self._conversions.count_documents({"untold": {"$exists": True}})

    def _unfinished(self, accepted: Collection[str]) -> set[str]:
        """Return those that are at no end, or at one that somebody is still to be told of."""
        finished = {
            "_id": {"$in": list(accepted)},
            "state": {"$in": list(ENDS)},
            "untold": {"$exists": False},
            "pending_events": [],
        }
        return {*accepted} - {*self._conversions.distinct("_id", finished)}

    def _mp3s_of_same_videos(self) -> dict[tuple[str, str], dict[str, list[str]]]:
        """Return the ids of completed conversions by their MP3's digest, by their video's digest and options."""
        found: dict[tuple[str, str], dict[str, list[str]]] = defaultdict(lambda: defaultdict(list))
        for document in self._conversions.find({"state": "completed", "deleted_at": None}):
            video = (document["video"]["sha256"], json.dumps(document["options"], sort_keys=True))
            found[video][document["mp3"]["sha256"]].append(document["_id"])
        return found

    def _letters(self) -> list["_Letter"]:
        read = (
            email.message_from_bytes(path.read_bytes(), policy=email.policy.default)
            for path in self._outbox.glob("*.eml")
        )
        return [_letter(message) for message in read if isinstance(message, EmailMessage)]


@dataclass(frozen=True)
class _Letter:
    """`event_id` is that of the event of which it tells."""

    event_id: str
    filename: str
    is_good_news: bool


@dataclass(frozen=True)
class _Look:
    """One look at one conversion."""

    verdict: Verdict
    database: Database[Document]
    letters: list[_Letter]
    known: Accepted

    def at_it(self) -> None:
        document = self.database.conversions.find_one({"_id": self.known.id})
        if document is None:
            self._lost("there is no conversion")
            return
        state = document["state"]
        self.verdict.ends[state] += 1
        is_deleted = document.get("deleted_at") is not None
        if state not in ENDS:
            self._stuck(f"{state}, after {document['attempts']} attempts")
        if is_deleted and self.known.deleted is False:
            self._lost("deleted, though nobody asked for it")
        if not is_deleted and self.known.deleted:
            self._lost("it was deleted, and is there again")
        if not is_deleted:
            self._look_at_video(state)
            self._look_at_end(document)
        self._look_at_letters(document, is_deleted=is_deleted)

    def _look_at_video(self, state: str) -> None:
        content = self._stored("videos", self.known.id)
        if content is None and (self.known.sha256 or state not in ENDS):
            self._lost("its video is gone")
        elif content is None:
            return
        elif self.known.sha256 not in {"", sha256(content)}:
            self._lost("its video is not what was sent")

    def _look_at_end(self, document: Document) -> None:
        mp3s = self.database["mp3s.files"].distinct("_id", {"_id": {"$regex": f"^{self.known.id}-"}})
        if len(mp3s) > 1:
            self._duplicated(f"MP3s: {mp3s}")
        allowed = self.known.failures
        if document["state"] == "completed":
            if allowed:
                self._lost(f"completed, though its video can only fail: {sorted(allowed)}")
            self._look_at_mp3(document)
        if document["state"] == "failed" and allowed is not None:
            error = document["error"]["type"]
            if error not in allowed | USED_UP:
                self._lost(f"failed with {error}, and may fail only with {sorted(allowed | USED_UP)}")

    def _look_at_mp3(self, document: Document) -> None:
        said, content = document["mp3"], self._stored("mp3s", document["mp3_file_id"])
        if content is None:
            self._lost("its MP3 is not there")
        elif (said["bytes"], said["sha256"]) != (len(content), hashlib.sha256(content).hexdigest()):
            self._lost("its MP3 is not what was stored")
        elif self.known.seconds is not None and abs(said["duration_s"] - self.known.seconds) > _SLACK_S:
            self._lost(f"its MP3 lasts {said['duration_s']} s, and its sound {self.known.seconds} s")

    def _look_at_letters(self, document: Document, *, is_deleted: bool) -> None:
        told = {notice["event_id"] for notice in document.get("notices") or []}
        letters = [each for each in self.letters if each.event_id in told or each.filename == self.known.filename != ""]
        events = {each.event_id for each in letters}
        good = {each.event_id for each in letters if each.is_good_news}
        self.verdict.repeated_letters += len(letters) - len(events)
        if len(events) > 1 + self.known.retries or len(good) > 1:
            self._duplicated(f"letters: {sorted(events)} after {self.known.retries} retries")
        is_owed = is_deleted or document["state"] not in ENDS or "untold" in document
        if not is_owed and not (good if document["state"] == "completed" else events - good):
            _note(self.verdict, self.verdict.untold, self.known.id, f"nobody was told: {document['state']}")

    def _stored(self, bucket: str, file_id: str) -> bytes | None:
        try:
            with GridFSBucket(self.database, bucket_name=bucket).open_download_stream(file_id) as stream:
                return bytes(stream.read())
        except NoFile:
            return None
        except CorruptGridFile:
            return b""

    def _lost(self, reason: str) -> None:
        _note(self.verdict, self.verdict.lost, self.known.id, reason)

    def _stuck(self, reason: str) -> None:
        _note(self.verdict, self.verdict.stuck, self.known.id, reason)

    def _duplicated(self, reason: str) -> None:
        _note(self.verdict, self.verdict.duplicated, self.known.id, reason)


def _note(verdict: Verdict, where: list[str], conversion_id: str, reason: str) -> None:
    if conversion_id not in where:
        where.append(conversion_id)
    verdict.reasons.append(f"{conversion_id}: {reason}")


def _letter(message: EmailMessage) -> _Letter:
    about, _, filename = str(message["Subject"]).partition(": ")
    event_id = str(message["Message-ID"]).strip("<>").partition("@")[0]
    return _Letter(event_id, filename, is_good_news="ready" in about)
