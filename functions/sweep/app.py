"""sweep, as EventBridge calls it every minute."""

import uuid
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import msgspec

from functions.shared.clock import utc_now
from functions.shared.counted_events import CountedEvents
from functions.shared.environment import environment
from functions.shared.files import GridFSFiles
from functions.shared.logs import get_logger, log_keys
from functions.shared.metrics import connect_metrics, flushing
from functions.shared.mongo import connect_mongo
from functions.shared.mongo_conversions import MongoOutbox
from functions.shared.once import once
from functions.shared.rabbit_events import RabbitEvents
from functions.shared.settings import Positive, from_env
from functions.sweep.mongo_abandoned import MongoAbandonedUploads
from functions.sweep.mongo_backlog import MongoBacklog
from functions.sweep.mongo_expired import MongoExpiredConversions
from functions.sweep.mongo_leftovers import MongoLeftoverMp3s, MongoLeftoverVideos
from functions.sweep.mongo_stalled import MongoStalledConversions
from functions.sweep.mongo_tombstones import MongoTombstones
from functions.sweep.rabbit_queues import queue_lengths
from functions.sweep.sweep import Deps, sweep


class Settings(msgspec.Struct, frozen=True):
    """What sweep is told by its environment."""

    mongodb_url: str
    amqp_url: str
    reannounce_s: Positive = 900


def create_handler(deps: Callable[[], Deps]) -> Callable[[dict[str, Any], Any], dict[str, int]]:
    """Return the handler. Nothing in the scheduled event matters."""

    def handler(event: dict[str, Any], context: Any) -> dict[str, int]:  # noqa: ARG001
        with log_keys(deps().logger, request_id=context.aws_request_id):
            return sweep(deps())

    return flushing(handler)


def connect() -> Deps:
    """Make the clients. Raises InvalidSettings."""
    settings = from_env(Settings, environment())
    database = connect_mongo(settings.mongodb_url)
    metrics = connect_metrics("sweep")
    return Deps(
        outbox=MongoOutbox(database),
        events=CountedEvents(RabbitEvents(settings.amqp_url), metrics),
        stalled=MongoStalledConversions(database),
        tombstones=MongoTombstones(database),
        abandoned=MongoAbandonedUploads(database),
        expired=MongoExpiredConversions(database),
        leftover_videos=MongoLeftoverVideos(database),
        leftover_mp3s=MongoLeftoverMp3s(database),
        videos=GridFSFiles(database, "videos"),
        mp3s=GridFSFiles(database, "mp3s"),
        reannounce_after=timedelta(seconds=settings.reannounce_s),
        clock=utc_now,
        new_id=lambda: str(uuid.uuid4()),
        logger=get_logger("sweep"),
        backlog=MongoBacklog(database),
        queues=lambda: queue_lengths(settings.amqp_url),
        metrics=metrics,
    )


handler = create_handler(once(connect))
