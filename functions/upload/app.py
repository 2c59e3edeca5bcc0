"""Upload over HTTP."""

import os
import uuid
from collections.abc import Callable

import msgspec
from chalice.app import Response

from functions.shared.clock import utc_now
from functions.shared.files import GridFSFiles
from functions.shared.http import JSON, HttpFunction, caller, raw_body
from functions.shared.logs import get_logger
from functions.shared.mongo import connect_mongo
from functions.shared.mongo_conversions import MongoConversions, MongoOutbox
from functions.shared.once import once
from functions.shared.rabbit_events import RabbitEvents
from functions.shared.settings import from_env
from functions.upload.accept import Deps, accept_video
from functions.upload.forms import read_form
from functions.upload.options import to_options


class Settings(msgspec.Struct, frozen=True):
    """Where the servers are."""

    mongodb_url: str
    amqp_url: str


def connect() -> Deps:
    """Connect to the servers that the environment names."""
    settings = from_env(Settings, os.environ)
    database = connect_mongo(settings.mongodb_url)
    return Deps(
        conversions=MongoConversions(database),
        videos=GridFSFiles(database, "videos"),
        events=RabbitEvents(settings.amqp_url),
        outbox=MongoOutbox(database),
        clock=utc_now,
        new_id=lambda: uuid.uuid4().hex,
        logger=get_logger("upload"),
    )


def create_app(deps: Callable[[], Deps]) -> HttpFunction:
    """Make the function. `deps` is called at each request."""
    app = HttpFunction("upload")

    @app.route("/v1/conversions", methods=["POST"])
    def create() -> Response:
        request = app.current_request
        owner = caller(request)
        form = read_form(request.headers.get("content-type", ""), [raw_body(request)])
        options = to_options(form.fields)
        conversion = accept_video(form.video.parts, form.video.filename, options, owner, deps())
        return Response(
            conversion.to_json(), headers={**JSON, "Location": f"/v1/conversions/{conversion.id}"}, status_code=202
        )

    return app


app = create_app(once(connect))
