"""Conversions and their MP3s over HTTP, one by one or several in a ZIP."""

import hashlib
import uuid
from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from http import HTTPStatus
from typing import Annotated
from urllib.parse import urlencode

import msgspec
from chalice.app import Request, Response

from functions.download import rules
from functions.download.deps import Deps
from functions.download.dispositions import attachment
from functions.download.mongo_library import MongoLibrary
from functions.download.pages import checked_ids, read_ids_request, read_page_request
from functions.download.parcels import Parcel, mp3_parcel
from functions.download.ranges import Representation, Selection, http_date, is_known, select
from functions.download.s3_copies import S3Copies, connect_s3
from functions.download.sending import lend, read
from functions.shared.clock import utc_now
from functions.shared.conversions import Conversion
from functions.shared.counted_events import CountedEvents
from functions.shared.environment import environment
from functions.shared.files import GridFSFiles
from functions.shared.http import JSON, HttpFunction, HttpSettings, caller, no_content, raw_body, read_json
from functions.shared.links import Links, link_keys
from functions.shared.logs import get_logger, log_keys
from functions.shared.metrics import connect_metrics
from functions.shared.mongo import connect_mongo
from functions.shared.mongo_conversions import MongoOutbox
from functions.shared.once import once
from functions.shared.rabbit_events import RabbitEvents
from functions.shared.settings import from_env

Headers = dict[str, str | list[str]]

# With base64, 4 MiB stay under the 6 MB that Lambda lets out.
MAX_INLINE_BYTES = 4 * 1024 * 1024
# Lists the pieces that the caller of the function sends in its place: stored bytes by their file and range, and bytes
# of the function's own body by their number. Clients never see it.
STORED_FILE = "X-Stored-File"


class Settings(HttpSettings, frozen=True, kw_only=True):
    """Where the servers are, and how links are signed: `link_keys` are separated by commas, the first signs.

    `download_bucket` is the S3 bucket from which clients fetch large MP3s and ZIPs. Without one they are streamed by
    the caller of the function, the gateway.
    """

    mongodb_url: str
    amqp_url: str
    link_keys: str
    public_url: str = "http://127.0.0.1:8080"
    download_bucket: str = ""


class LinkRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The body of a request for a link: one minute to thirty days."""

    ttl_seconds: Annotated[int, msgspec.Meta(ge=60, le=30 * 24 * 3600)] = 3 * 24 * 3600


class ZipLinkRequest(LinkRequest, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The body of a request for a link to a ZIP: the same, plus the conversions."""

    ids: list[str]


def connect() -> Deps:
    """Connect to the servers that the environment names."""
    settings = from_env(Settings, environment())
    database = connect_mongo(settings.mongodb_url)
    metrics = connect_metrics("download")
    return Deps(
        library=MongoLibrary(database),
        videos=GridFSFiles(database, "videos"),
        mp3s=GridFSFiles(database, "mp3s"),
        copies=S3Copies(connect_s3(), settings.download_bucket) if settings.download_bucket else None,
        events=CountedEvents(RabbitEvents(settings.amqp_url), metrics),
        outbox=MongoOutbox(database),
        links=Links(link_keys(settings.link_keys), settings.public_url, utc_now),
        clock=utc_now,
        new_id=lambda: uuid.uuid4().hex,
        logger=get_logger("download"),
    )


def create_app(deps: Callable[[], Deps]) -> HttpFunction:
    """Make the function. `deps` is called at each request."""
    app = HttpFunction("download")

    @app.route("/v1/conversions", methods=["GET"])
    def list_all() -> Response:
        request = app.current_request
        person = caller(request)
        parameters: Mapping[str, str] = request.query_params or {}
        if "ids" in parameters:
            return _watched(rules.find_conversions(read_ids_request(parameters), person, deps()), request)
        page = rules.list_conversions(read_page_request(parameters), person, deps())
        items = [conversion.to_dict() for conversion in page.items]
        return _json({"items": items, "next_cursor": page.next_cursor})

    @app.route("/v1/conversions/{conversion_id}", methods=["GET"])
    def show(conversion_id: str) -> Response:
        return _json(rules.show_conversion(conversion_id, caller(app.current_request), deps()).to_dict())

    @app.route("/v1/conversions/{conversion_id}", methods=["DELETE"])
    def delete(conversion_id: str) -> Response:
        rules.delete_conversion(conversion_id, caller(app.current_request), deps())
        return no_content()

    @app.route("/v1/conversions/{conversion_id}/retry", methods=["POST"])
    def retry(conversion_id: str) -> Response:
        conversion = rules.retry_conversion(conversion_id, caller(app.current_request), deps())
        return _json(conversion.to_dict(), HTTPStatus.ACCEPTED)

    @app.route("/v1/conversions/{conversion_id}/mp3", methods=["GET", "HEAD"])
    def mp3(conversion_id: str) -> Response:
        request = app.current_request
        return _send(mp3_parcel(rules.find_mp3(conversion_id, caller(request), deps())), app, deps())

    @app.route("/v1/conversions/{conversion_id}/link", methods=["POST"])
    def link(conversion_id: str) -> Response:
        request = app.current_request
        person = caller(request)
        wanted = read_json(request, LinkRequest) if raw_body(request) else LinkRequest()
        made = rules.make_link(conversion_id, timedelta(seconds=wanted.ttl_seconds), person, deps())
        return _json({"url": made.url, "expires_at": made.expires_at}, HTTPStatus.CREATED)

    @app.route("/v1/downloads/{token}", methods=["GET", "HEAD"])
    def linked(token: str) -> Response:
        stored = rules.find_linked_mp3(token, deps())
        # Nobody else on the way knows whose the link is.
        with log_keys(app.logger, conversion_id=stored.conversion_id):
            app.logger.info("fetched by link")
            return _send(mp3_parcel(stored), app, deps())

    @app.route("/v1/conversions/zip", methods=["GET", "HEAD"])
    def zip_file() -> Response:
        request = app.current_request
        person, ids = caller(request), read_ids_request(request.query_params or {})
        return _send(rules.find_zip(ids, person, deps()), app, deps())

    @app.route("/v1/conversions/zip/link", methods=["POST"])
    def zip_link() -> Response:
        request = app.current_request
        person, wanted = caller(request), read_json(request, ZipLinkRequest)
        ttl = timedelta(seconds=wanted.ttl_seconds)
        made = rules.make_zip_link(checked_ids(wanted.ids), ttl, person, deps())
        return _json({"url": made.url, "expires_at": made.expires_at}, HTTPStatus.CREATED)

    @app.route("/v1/downloads/zip/{token}", methods=["GET", "HEAD"])
    def linked_zip(token: str) -> Response:
        parcel = rules.find_linked_zip(token, deps())
        app.logger.info("fetched by link", extra={"mp3s": len(parcel.mp3s), "bytes": parcel.length})
        return _send(parcel, app, deps())

    app.answer_preflights()
    return app


def _json(body: object, status: HTTPStatus = HTTPStatus.OK) -> Response:
    return Response(msgspec.json.encode(body), headers=dict(JSON), status_code=int(status))


def _watched(conversions: Sequence[Conversion], request: Request) -> Response:
    """Answer a client that polls. As long as nothing has changed, there is nothing to send."""
    body = msgspec.json.encode({"items": [conversion.to_dict() for conversion in conversions], "next_cursor": None})
    etag = f'"{hashlib.sha256(body).hexdigest()}"'
    headers: Headers = {"ETag": etag, "Cache-Control": "private, no-cache"}
    if is_known(etag, _request_headers(request).get("if-none-match", "")):
        return Response("", headers=headers, status_code=int(HTTPStatus.NOT_MODIFIED))
    return Response(body, headers={"Content-Type": "application/json", **headers}, status_code=int(HTTPStatus.OK))


def _send(parcel: Parcel, app: HttpFunction, deps: Deps) -> Response:
    request, context = app.current_request, app.lambda_context

    def remaining_s() -> float:
        return float(context.get_remaining_time_in_millis()) / 1000

    file = Representation(parcel.etag, parcel.last_modified, parcel.length)
    selection = select(request.method, _request_headers(request), file)
    headers: Headers = {
        "ETag": file.etag,
        "Last-Modified": http_date(file.last_modified),
        "Accept-Ranges": "bytes",
        "Cache-Control": "private, no-cache",
    }
    if selection.status is HTTPStatus.NOT_MODIFIED:
        return Response("", headers=headers, status_code=int(selection.status))
    headers |= _about_the_body(parcel, selection)
    body = b""
    if request.method == "GET" and selection.end - selection.start <= MAX_INLINE_BYTES:
        body = read(parcel, selection.start, selection.end, deps)
    elif request.method == "GET" and deps.copies is not None:
        # While it is being copied, the client asks here again.
        return _redirect(lend(parcel, deps.copies, remaining_s, deps) or _address(request))
    elif request.method == "GET":
        headers[STORED_FILE], body = _instead_of_the_body(parcel, selection)
    return Response(body, headers=headers, status_code=int(selection.status))


def _instead_of_the_body(parcel: Parcel, selection: Selection) -> tuple[str, bytes]:
    """Return the header that lists the pieces of a long body, and those of its bytes that are not stored."""
    listed, body = [], []
    for piece in parcel.cut(selection.start, selection.end):
        if isinstance(piece, bytes):
            listed.append(str(len(piece)))
            body.append(piece)
        else:
            listed.append(f"mp3s/{piece.stored.file_id};{piece.start}-{piece.end}")
    return ",".join(listed), b"".join(body)


def _address(request: Request) -> str:
    """Return the path and the query of a request."""
    path: str = request.context["resourcePath"].format_map(request.uri_params or {})
    return f"{path}?{urlencode(request.query_params)}" if request.query_params else path


def _redirect(url: str) -> Response:
    """Send the client on, with the same request and so with its Range. The URL is good for all who have it."""
    headers: Headers = {
        "Location": url,
        "Content-Type": "text/plain",
        "Cache-Control": "no-store",
        # The address that led here may be a link with a token.
        "Referrer-Policy": "no-referrer",
    }
    return Response(b"", headers=headers, status_code=int(HTTPStatus.TEMPORARY_REDIRECT))


def _about_the_body(parcel: Parcel, selection: Selection) -> Headers:
    headers: Headers = {
        "Content-Type": parcel.content_type,
        "Content-Length": str(selection.end - selection.start),
        "Content-Disposition": attachment(parcel.filename),
        "X-Content-Type-Options": "nosniff",
    }
    if selection.status is HTTPStatus.PARTIAL_CONTENT:
        headers["Content-Range"] = f"bytes {selection.start}-{selection.end - 1}/{parcel.length}"
    return headers


def _request_headers(request: Request) -> Mapping[str, str]:
    values = request.to_original_event()["multiValueHeaders"] or {}
    return {name.lower(): ", ".join(value) for name, value in values.items()}


app = create_app(once(connect))
