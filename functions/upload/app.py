"""Upload over HTTP: forms, resumable uploads as tus has them, and what a person stores."""

import uuid
from collections.abc import Callable
from datetime import timedelta
from typing import Annotated
from urllib.parse import parse_qsl

import msgspec
from chalice.app import Response

from functions.shared.clock import utc_now
from functions.shared.conversions import Conversion
from functions.shared.counted_events import CountedEvents
from functions.shared.environment import environment
from functions.shared.files import GridFSFiles
from functions.shared.forms import MAX_PARTS, read_form
from functions.shared.http import JSON, HttpFunction, HttpSettings, caller, no_content, raw_body
from functions.shared.logs import conversion_keys, get_logger
from functions.shared.metrics import connect_metrics
from functions.shared.mongo import connect_mongo
from functions.shared.mongo_conversions import MongoConversions, MongoOutbox
from functions.shared.once import once
from functions.shared.problems import TooLarge
from functions.shared.rabbit_events import RabbitEvents
from functions.shared.settings import Days, Positive, from_env
from functions.upload.accept import accept_stored_video, accept_video, drop_surplus, says_form, says_upload
from functions.upload.deps import Deps, Limits
from functions.upload.fields import read_fields
from functions.upload.finishing import conversion_of
from functions.upload.gridfs_slices import GridFSSlices
from functions.upload.keys import KeptAnswer
from functions.upload.mongo_keys import MongoIdempotencyKeys
from functions.upload.mongo_uploads import LARGEST_BYTES, MongoUploads
from functions.upload.mongo_usage import MongoUsage
from functions.upload.quotas import show_usage
from functions.upload.repeats import Keyed, answer_once, read_key
from functions.upload.tus_routes import add_tus_routes, to_response

CONVERSIONS = "/v1/conversions"
USAGE = "/v1/usage"


class Settings(HttpSettings, frozen=True, kw_only=True):
    """Where the servers are, and the limits: see Limits. An upload waits `upload_idle_s` seconds for its next bytes.

    `retention_days` is only shown here; convert applies it.
    """

    mongodb_url: str
    amqp_url: str
    max_upload_bytes: Annotated[int, msgspec.Meta(gt=0, le=LARGEST_BYTES)] = 20 * 1024**3
    quota_bytes: Positive = 100 * 1024**3
    upload_idle_s: Positive = 24 * 3600
    retention_days: Days = 30


def connect() -> Deps:
    """Connect to the servers that the environment names."""
    settings = from_env(Settings, environment())
    database = connect_mongo(settings.mongodb_url)
    metrics = connect_metrics("upload")
    return Deps(
        conversions=MongoConversions(database),
        videos=GridFSFiles(database, "videos"),
        uploads=MongoUploads(database),
        slices=GridFSSlices(database),
        usage=MongoUsage(database),
        keys=MongoIdempotencyKeys(database),
        events=CountedEvents(RabbitEvents(settings.amqp_url), metrics),
        outbox=MongoOutbox(database),
        limits=Limits(
            settings.max_upload_bytes,
            settings.quota_bytes,
            timedelta(seconds=settings.upload_idle_s),
            settings.retention_days,
        ),
        clock=utc_now,
        new_id=lambda: uuid.uuid4().hex,
        logger=get_logger("upload"),
        metrics=metrics,
    )


def create_app(deps: Callable[[], Deps]) -> HttpFunction:
    """Make the function. `deps` is called at each request."""
    app = HttpFunction("upload")

    @app.route(CONVERSIONS, methods=["POST"])
    def create_from_form() -> Response:
        request = app.current_request
        owner, key = caller(request), read_key(request.to_original_event()["multiValueHeaders"] or {})
        # Only the gateway says it, in place of a video that was too long for one event.
        if upload_id := request.headers.get("x-stored-upload"):
            app.logger.thread_safe_append_keys(**conversion_keys({"upload_id": upload_id}))
            fields = read_fields(_decode_fields(raw_body(request)))
            answered = answer_once(
                # The same token whenever the gateway tries again.
                Keyed(key, CONVERSIONS, owner, f"form {upload_id}"),
                lambda: says_upload(upload_id, fields, owner, deps()),
                lambda origin: _accepted(accept_stored_video(upload_id, fields, owner, deps(), origin=origin)),
                is_there,
                deps(),
            )
            if answered.is_repeat:
                drop_surplus(upload_id, owner, deps())
            return to_response(answered)
        form = read_form(request.headers.get("content-type", ""), [raw_body(request)])
        parts, filename, fields = form.video.parts, form.video.filename, read_fields(form.fields)
        answered = answer_once(
            Keyed(key, CONVERSIONS, owner, deps().new_id() if key else ""),
            lambda: says_form(parts, filename, fields),
            lambda origin: _accepted(accept_video(parts, filename, fields, owner, deps(), origin=origin)),
            is_there,
            deps(),
        )
        return to_response(answered)

    def is_there(answer: KeptAnswer) -> bool:
        return conversion_of(answer.headers["Location"].rpartition("/")[2], deps()) is not None

    @app.route(USAGE, methods=["GET"])
    def usage() -> Response:
        report = show_usage(caller(app.current_request), deps())
        return Response(msgspec.json.encode(report), headers=dict(JSON), status_code=200)

    @app.route(USAGE, methods=["OPTIONS"])
    def ask_usage() -> Response:
        return no_content()

    add_tus_routes(app, deps)
    return app


def _decode_fields(body: bytes) -> dict[str, str]:
    try:
        return dict(parse_qsl(body.decode(errors="replace"), keep_blank_values=True, max_num_fields=MAX_PARTS))
    except ValueError as error:
        # An answer that names each would be larger than Lambda sends.
        raise TooLarge(f"A form may have {MAX_PARTS} parts; this one has more.") from error


def _accepted(conversion: Conversion) -> KeptAnswer:
    headers = {**JSON, "Location": f"{CONVERSIONS}/{conversion.id}"}
    return KeptAnswer(202, headers, conversion.to_json().decode())


app = create_app(once(connect))
