"""The indexes of the database, each with the question that it answers."""

import pymongo
from pymongo import ASCENDING, DESCENDING, IndexModel
from pymongo.database import Database

from functions.shared.mongo import Document

BUCKETS = ("videos", "mp3s")

# An index of a large collection takes longer than anything that a function does.
BUILD_S = 600

CONVERSIONS = (
    # A person's conversions, newest first, from any cursor on.
    IndexModel([("owner.id", ASCENDING), ("created_at", DESCENDING), ("_id", DESCENDING)], name="of_owner"),
    # Who owes events of a name, oldest first. Nearly nobody does, so the index is nearly empty.
    IndexModel(
        [("pending_events.event", ASCENDING), ("updated_at", ASCENDING)],
        name="owing_event",
        partialFilterExpression={"pending_events.event": {"$exists": True}},
    ),
    # Who was not told how it ended, by when that was. This too is nearly empty.
    IndexModel([("completed_at", ASCENDING)], name="untold", partialFilterExpression={"untold": {"$exists": True}}),
    # What has been in a state for long, as what is being converted without a lease; and what was last converted.
    IndexModel([("state", ASCENDING), ("updated_at", ASCENDING)], name="in_state"),
    # What waits for a worker: for how long, and since when it was not announced. Few do, so these are nearly empty.
    IndexModel([("queued_at", ASCENDING)], name="queued", partialFilterExpression={"state": "queued"}),
    IndexModel([("announced_at", ASCENDING)], name="announced", partialFilterExpression={"state": "queued"}),
    # What was deleted and may still have files.
    IndexModel(
        [("purged_at", ASCENDING), ("deleted_at", ASCENDING)],
        name="deleted",
        partialFilterExpression={"deleted_at": {"$type": "date"}},
    ),
    # What has been kept long enough.
    IndexModel([("expires_at", ASCENDING)], name="expiring", partialFilterExpression={"expires_at": {"$type": "date"}}),
    # How much a person has stored. The sizes are in the index, so that no document is read.
    IndexModel([("owner.id", ASCENDING), ("video.bytes", ASCENDING), ("mp3.bytes", ASCENDING)], name="stored_by_owner"),
    # One conversion for each origin, whoever else adds one.
    IndexModel(
        [("origin", ASCENDING)],
        name="created_once",
        unique=True,
        partialFilterExpression={"origin": {"$exists": True}},
    ),
)

UPLOADS = (
    # How much a person's uploads will store. Here too the index says all; a document holds a megabyte of digests.
    IndexModel(
        [
            ("owner.id", ASCENDING),
            ("kind", ASCENDING),
            ("length", ASCENDING),
            ("offset", ASCENDING),
            ("expires_at", ASCENDING),
        ],
        name="stored_by_owner",
    ),
    # What has expired.
    IndexModel([("expires_at", ASCENDING)], name="expiring"),
)

IDEMPOTENCY_KEYS = (
    # MongoDB deletes each when its time has come.
    IndexModel([("expires_at", ASCENDING)], name="expiring", expireAfterSeconds=0),
)

# The two that the GridFS specification asks for, by the names that drivers give them:
# https://github.com/mongodb/specifications/blob/master/source/gridfs/gridfs-spec.md#indexes
FILES = IndexModel([("filename", ASCENDING), ("uploadDate", ASCENDING)])
CHUNKS = IndexModel([("files_id", ASCENDING), ("n", ASCENDING)], unique=True)


def ensure_indexes(database: Database[Document]) -> None:
    """Make the indexes that are missing. Raises pymongo.errors.OperationFailure if one exists differently."""
    # Nobody should wait that long for a server that is not there.
    database.command("ping")
    with pymongo.timeout(BUILD_S):
        database.conversions.create_indexes(list(CONVERSIONS))
        database.uploads.create_indexes(list(UPLOADS))
        database.idempotency_keys.create_indexes(list(IDEMPOTENCY_KEYS))
        for bucket in BUCKETS:
            database[bucket].files.create_indexes([FILES])
            database[bucket].chunks.create_indexes([CHUNKS])
