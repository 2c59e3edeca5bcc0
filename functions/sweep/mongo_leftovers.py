"""Leftovers, in GridFS.

A video is owned by the upload or the conversion of its id: an upload has its document before it has bytes, and a video
of a form is noted as a deleted upload before it is stored. A deleted conversion owns its files until it is purged.

An MP3 is owned by the conversion that names it, or that is held under the fence by which it is stored. Fences only
grow, so one that is not owned once will never be.
"""

import re
from datetime import timedelta

from pymongo import ASCENDING, DESCENDING
from pymongo.database import Database
from pymongo.errors import DuplicateKeyError

from functions.shared.conversions import State
from functions.shared.files import GridFSFiles
from functions.shared.mongo import Document, mongo_errors
from functions.shared.mongo_conversions import NOT_DELETED
from functions.sweep.mongo_stalled import ago

_NOW = "$$NOW"
_MP3 = re.compile(r"(.+)-([0-9]{1,18})")


class MongoLeftoverVideos:
    """The bucket `videos`. Implements Leftovers.

    One that is left over is noted as a deleted upload. So whoever would write under its id is told that it is taken,
    and sweep deletes it later, as all such, if no conversion has come of it even then.
    """

    def __init__(self, database: Database[Document]) -> None:
        self._bucket = _Bucket(database, "videos")
        self._uploads = database.uploads
        self._conversions = database.conversions

    def clear(self, look_at: int, left_for: timedelta) -> list[str]:
        """See Leftovers."""
        with mongo_errors():
            file_ids, at_end = self._bucket.following(look_at)
            owned = self._owned(file_ids)
            left = [each for each in file_ids if each not in owned and self._bucket.is_old(each, left_for)]
            noted = [file_id for file_id in left if self._note(file_id)]
            self._bucket.go_on_after("" if at_end else file_ids[-1])
        return noted

    def _owned(self, file_ids: list[str]) -> set[str]:
        uploads = self._uploads.find({"_id": {"$in": file_ids}}, {"_id": True})
        conversions = self._conversions.find({"_id": {"$in": file_ids}, "purged_at": None}, {"_id": True})
        return {document["_id"] for found in (uploads, conversions) for document in found}

    def _note(self, file_id: str) -> bool:
        # An upload that has begun since is not matched, and so inserted, which its id forbids.
        nothing = {"_id": file_id, "expires_at": {"$exists": False}}
        try:
            self._uploads.update_one(nothing, [{"$set": {"deleted_at": _NOW, "expires_at": _NOW}}], upsert=True)
        except DuplicateKeyError:
            return False
        return True


class MongoLeftoverMp3s:
    """The bucket `mp3s`. Implements Leftovers. What has another name than MP3s have is left alone."""

    def __init__(self, database: Database[Document]) -> None:
        self._bucket = _Bucket(database, "mp3s")
        self._files = GridFSFiles(database, "mp3s")
        self._conversions = database.conversions

    def clear(self, look_at: int, left_for: timedelta) -> list[str]:
        """See Leftovers."""
        with mongo_errors():
            file_ids, at_end = self._bucket.following(look_at)
            left = [each for each in self._not_owned(file_ids) if self._bucket.is_old(each, left_for)]
        for file_id in left:
            self._files.delete(file_id)
        with mongo_errors():
            self._bucket.go_on_after("" if at_end else file_ids[-1])
        return left

    def _not_owned(self, file_ids: list[str]) -> list[str]:
        named = {file_id: match for file_id in file_ids if (match := _MP3.fullmatch(file_id))}
        found = self._conversions.find(
            {"_id": {"$in": [match[1] for match in named.values()]}, **NOT_DELETED},
            {"state": True, "fence": True, "mp3_file_id": True},
        )
        conversions = {document["_id"]: document for document in found}
        return [each for each, match in named.items() if not _is_owned(each, int(match[2]), conversions.get(match[1]))]


def _is_owned(file_id: str, fence: int, conversion: Document | None) -> bool:
    if conversion is None:
        return False
    is_held = fence == conversion["fence"] and conversion["state"] == State.CONVERTING.value
    # A fence that is still to come is one of a database that was restored: then nobody knows.
    is_to_come = fence > conversion["fence"]
    return conversion.get("mp3_file_id") == file_id or is_held or is_to_come


class _Bucket:
    """A walk through the ids of a bucket, in their order. Only indexes are read, and where it is stands in `sweeps`."""

    def __init__(self, database: Database[Document], name: str) -> None:
        self._name = name
        self._files = database[name].files
        self._chunks = database[name].chunks
        self._sweeps = database.sweeps

    def following(self, count: int) -> tuple[list[str], bool]:
        """Return the next ids, and whether they are the last."""
        place = self._sweeps.find_one({"_id": self._name}) or {"after": ""}
        after: str = place["after"]
        whole = self._files.find({"_id": {"$gt": after}}, {"_id": True}, sort=[("_id", ASCENDING)], limit=count)
        file_ids = sorted({*(file["_id"] for file in whole), *self._of_chunks(after, count)})[:count]
        return file_ids, len(file_ids) < count

    def go_on_after(self, file_id: str) -> None:
        """Remember where the next call begins."""
        self._sweeps.update_one({"_id": self._name}, {"$set": {"after": file_id}}, upsert=True)

    def is_old(self, file_id: str, left_for: timedelta) -> bool:
        """Whether nothing was stored under an id since. What was stored earliest and latest tells: chunks are many."""
        file = self._files.find_one({"_id": file_id}, {"is_old": _until("$uploadDate", left_for)})
        ends = [
            self._chunks.find_one(
                {"files_id": file_id}, {"is_old": _until({"$toDate": "$_id"}, left_for)}, sort=[("n", direction)]
            )
            for direction in (ASCENDING, DESCENDING)
        ]
        return all(each["is_old"] for each in (file, *ends) if each is not None)

    def _of_chunks(self, after: str, count: int) -> list[str]:
        found: list[str] = []
        # One seek in the index for each: a file can have many thousands of chunks.
        while len(found) < count and (
            chunk := self._chunks.find_one(
                {"files_id": {"$gt": found[-1] if found else after}},
                {"_id": False, "files_id": True},
                sort=[("files_id", ASCENDING), ("n", ASCENDING)],
            )
        ):
            found.append(chunk["files_id"])
        return found


def _until(time: object, left_for: timedelta) -> Document:
    return {"$lte": [time, ago(left_for)]}
