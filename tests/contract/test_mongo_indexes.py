"""The indexes, against the questions that functions really ask."""

import uuid
from datetime import timedelta

from pymongo import MongoClient
from pymongo.monitoring import CommandFailedEvent, CommandListener, CommandStartedEvent, CommandSucceededEvent

from functions.download.library import Position
from functions.download.mongo_library import MongoLibrary
from functions.shared.conversions import State
from functions.shared.events import Event, EventName
from functions.shared.files import GridFSFiles
from functions.shared.mongo import Document
from functions.shared.mongo_conversions import MongoConversions, MongoOutbox
from functions.sweep.mongo_abandoned import MongoAbandonedUploads
from functions.sweep.mongo_backlog import MongoBacklog
from functions.sweep.mongo_expired import MongoExpiredConversions
from functions.sweep.mongo_leftovers import MongoLeftoverMp3s, MongoLeftoverVideos
from functions.sweep.mongo_stalled import MongoStalledConversions
from functions.sweep.mongo_tombstones import MongoTombstones
from functions.upload.gridfs_slices import GridFSSlices
from functions.upload.mongo_uploads import MongoUploads
from functions.upload.mongo_usage import MongoUsage
from functions.upload.uploads import Progress
from infra.mongo.schema import BUCKETS, CONVERSIONS, UPLOADS, ensure_indexes
from tests.conversions import conversion, event
from tests.uploads import upload


def test_no_question_reads_a_whole_collection_and_no_index_is_idle(mongo):
    """The server's profiler is asked how it answered. With a million conversions a scan takes seconds, each minute."""
    conversions = MongoConversions(mongo)
    for number in range(50):
        one = conversion(f"c{number}")
        conversions.add(one, [announce(one.id)] if number == 0 else [])
        MongoUploads(mongo).add(upload(f"c{number}"))
    newest = conversion("c1")
    assert [conversions.add_once(conversion(name), [], "o1") for name in ("d1", "d2")] == ["d1", "d1"]
    mongo.command("profile", 2)

    MongoLibrary(mongo).newest(newest.owner.id, None, 10, None)
    MongoLibrary(mongo).newest(newest.owner.id, State.QUEUED, 10, Position(newest.created_at, newest.id))
    assert conversions.added_for("o1") == "d1"
    MongoOutbox(mongo).owed(EventName.VIDEO_UPLOADED, 10)
    MongoStalledConversions(mongo).reclaim(10, announce)
    MongoStalledConversions(mongo).reannounce(10, announce, timedelta(days=10_000))
    MongoStalledConversions(mongo).renotify(10, timedelta(), timedelta(days=3))
    assert MongoBacklog(mongo).in_state(State.QUEUED).number == 51
    MongoTombstones(mongo).unpurged(10, timedelta())
    MongoAbandonedUploads(mongo).expired(10, timedelta(days=-10_000))
    MongoExpiredConversions(mongo).delete(10)
    MongoUsage(mongo).used_by(newest.owner.id)
    send_in_slices(MongoUploads(mongo), GridFSSlices(mongo), "c1", [b"a", b"b"])
    for bucket in BUCKETS:
        files = GridFSFiles(mongo, bucket)
        files.put("f1", [b"content"])
        assert b"".join(files.read("f1")) == b"content"
    MongoLeftoverVideos(mongo).clear(10, timedelta())
    MongoLeftoverMp3s(mongo).clear(10, timedelta())

    mongo.command("profile", 0)
    answered = list(mongo.system.profile.find({"planSummary": {"$exists": True}}))
    # A driver looks once whether a bucket is empty: "any one file" needs no index.
    scans = [a for a in answered if a["planSummary"].startswith("COLLSCAN") and a["command"].get("limit") != 1]
    sorts = [a for a in answered if a.get("hasSortStage")]
    assert len(answered) > 20
    assert (scans, sorts) == ([], [])
    for collection, indexes in ((mongo.conversions, CONVERSIONS), (mongo.uploads, UPLOADS)):
        used = {stats["name"] for stats in collection.aggregate([{"$indexStats": {}}]) if stats["accesses"]["ops"]}
        assert {index.document["name"] for index in indexes} <= used


def test_indexes_are_made_once(mongo):
    """Every `make run` and every deployment asks for them again."""
    before = [list(mongo[name].list_indexes()) for name in mongo.list_collection_names()]

    ensure_indexes(mongo)

    assert [list(mongo[name].list_indexes()) for name in mongo.list_collection_names()] == before


def test_an_index_may_take_longer_than_a_function(servers):
    """A collection that has grown takes minutes, and the deployment must not fail over it."""
    limits = CommandLimits()
    client: MongoClient[Document] = MongoClient(servers.mongodb, timeoutMS=5_000, event_listeners=[limits])
    name = f"test_{uuid.uuid4().hex}"
    try:
        ensure_indexes(client[name])
    finally:
        client.drop_database(name)
        client.close()

    assert min(limits.of["createIndexes"]) > 60_000
    assert max(limits.of["ping"]) <= 5_000


class CommandLimits(CommandListener):
    """How many milliseconds the server was given, by command."""

    def __init__(self) -> None:
        self.of: dict[str, list[int]] = {}

    def started(self, event: CommandStartedEvent) -> None:
        self.of.setdefault(event.command_name, []).append(event.command["maxTimeMS"])

    def succeeded(self, event: CommandSucceededEvent) -> None:
        pass

    def failed(self, event: CommandFailedEvent) -> None:
        pass


def send_in_slices(uploads: MongoUploads, slices: GridFSSlices, upload_id: str, parts: list[bytes]) -> None:
    for part in parts:
        held = uploads.hold(upload_id, "t1")
        digests = slices.write(held, part)
        offset = held.upload.offset + len(part)
        uploads.advance(held, Progress(offset, offset, held.upload.expires_at, digests), keep=True)
    slices.finish(uploads.hold(upload_id, "t1"), offset, uploads.digests(upload_id))
    assert b"".join(slices.read(upload_id, 0, offset)) == b"".join(parts)
    slices.delete(upload_id)
    uploads.delete(upload_id)


def announce(conversion_id: str) -> Event:
    return event(EventName.VIDEO_UPLOADED, conversion_id)
