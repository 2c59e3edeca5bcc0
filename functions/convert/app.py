"""The function convert: called with messages of video_conversion_queue, and by itself with those that it hands off."""

import os
import socket
import uuid
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import msgspec

from functions.convert.convert import Deps, convert
from functions.convert.counted_claims import CountedClaims
from functions.convert.encoder import FfmpegEncoder
from functions.convert.hand_off import to_hand_off, was_handed_off
from functions.convert.heartbeat import Deadline
from functions.convert.lambda_hand_off import LambdaHandOff, connect_lambda
from functions.convert.mongo_claims import MongoClaims
from functions.convert.pauses import Pauses
from functions.shared.clock import utc_now
from functions.shared.counted_events import CountedEvents
from functions.shared.environment import environment
from functions.shared.events import EventName
from functions.shared.files import GridFSFiles
from functions.shared.logs import get_logger, log_keys
from functions.shared.metrics import connect_metrics, flushing
from functions.shared.mongo import connect_mongo
from functions.shared.mongo_conversions import MongoOutbox
from functions.shared.once import once
from functions.shared.rabbit_events import RabbitEvents
from functions.shared.rmq import events_in
from functions.shared.settings import Days, Positive, from_env


class Settings(msgspec.Struct, frozen=True):
    """The settings of convert. A conversion is tried `max_attempts` times in all, with growing pauses.

    It is kept for `retention_days` after its end. With `hand_off` each message is handed to an asynchronous invocation
    of its own, which only AWS Lambda has.
    """

    mongodb_url: str
    amqp_url: str
    lease_s: Positive = 30
    max_attempts: Positive = 3
    retry_pause_s: Positive = 10
    max_duration_s: Positive = 8 * 3600
    retention_days: Days = 30
    hand_off: bool = False


def connect() -> Deps:
    """Make the real dependencies from the environment."""
    settings = from_env(Settings, environment())
    database = connect_mongo(settings.mongodb_url)
    metrics = connect_metrics("convert")
    claims = MongoClaims(database, lease_s=settings.lease_s, retention=timedelta(days=settings.retention_days))
    return Deps(
        claims=CountedClaims(claims, metrics),
        videos=GridFSFiles(database, "videos"),
        mp3s=GridFSFiles(database, "mp3s"),
        encoder=FfmpegEncoder(max_duration_s=settings.max_duration_s),
        events=CountedEvents(RabbitEvents(settings.amqp_url), metrics),
        outbox=MongoOutbox(database),
        clock=utc_now,
        new_id=lambda: str(uuid.uuid4()),
        logger=get_logger("convert"),
        holder=f"{socket.gethostname()}:{os.getpid()}",
        lease_s=settings.lease_s,
        max_attempts=settings.max_attempts,
        pauses=Pauses(first_s=settings.retry_pause_s),
        hand_off=LambdaHandOff(connect_lambda()) if settings.hand_off else None,
        metrics=metrics,
    )


def create_handler(deps: Callable[[], Deps]) -> Callable[[dict[str, Any], Any], None]:
    """Return the Lambda handler for `aws:rmq` events."""

    def handler(event: dict[str, Any], context: Any) -> None:
        handed_off = was_handed_off(event)
        deadline = Deadline(lambda: context.get_remaining_time_in_millis() / 1000, may_be_stopping=not handed_off)
        # All are read before anything is done: what cannot be read brings the others back, too.
        uploads = list(events_in(event, EventName.VIDEO_UPLOADED))
        hand_off = None if handed_off else deps().hand_off
        for uploaded, own_event in zip(uploads, to_hand_off(event), strict=True):
            keys = {"request_id": context.aws_request_id, "conversion_id": uploaded.conversion_id}
            with log_keys(deps().logger, **keys):
                if hand_off is None:
                    convert(uploaded, deps(), deadline)
                else:
                    hand_off.hand_off(context.invoked_function_arn, own_event)
                    deps().logger.info("handed off")

    return flushing(handler)


handler = create_handler(once(connect))
