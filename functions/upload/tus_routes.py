"""Resumable uploads over HTTP.

https://tus.io/protocols/resumable-upload
"""

import functools
from collections.abc import Callable, Mapping
from http import HTTPStatus
from typing import Any

import msgspec
from chalice.app import Response

from functions.shared.conversions import Owner
from functions.shared.http import HttpFunction, View, caller, raw_body
from functions.shared.problems import MethodNotAllowed, NotFound
from functions.upload import tus
from functions.upload.appending import append
from functions.upload.concatenation import Joining, join
from functions.upload.deps import Deps
from functions.upload.finding import UploadExpired, find_upload
from functions.upload.keys import KeptAnswer
from functions.upload.repeats import Answered, Keyed, answer_once, fingerprint, read_key
from functions.upload.resumable import Creation, create_upload, refuse_other_bytes, terminate
from functions.upload.uploads import Upload

UPLOADS = "/v1/uploads"
UPLOAD = "/v1/uploads/{upload_id}"


def add_tus_routes(app: HttpFunction, deps: Callable[[], Deps]) -> None:
    """Add the routes of uploads to the function."""

    def ask(**_: str) -> Response:
        return _answer(HTTPStatus.NO_CONTENT, tus.about_service(deps().limits.max_upload_bytes))

    def create() -> Response:
        owner, headers = caller(app.current_request), _headers(app)
        key = read_key(app.current_request.to_original_event()["multiValueHeaders"] or {})
        token = deps().new_id()
        wanted = tus.read_creation(headers, raw_body(app.current_request), token)
        answered = answer_once(
            Keyed(key, UPLOADS, owner, token),
            lambda: fingerprint(*(headers.get(name) for name in tus.OF_A_CREATION)),
            lambda origin: created(wanted, owner, origin),
            lambda answer: upload_of(answer, owner) is not None,
            deps(),
        )
        upload = upload_of(answered.answer, owner) if answered.is_repeat else None
        if upload is None:
            return to_response(answered)
        if isinstance(wanted, Creation) and wanted.first:
            refuse_other_bytes(wanted.first, upload, deps())
        # The same answer, but for how far the upload is by now: there the client goes on.
        return to_response(answered._replace(answer=_created(upload)))

    def created(wanted: Creation | Joining, owner: Owner, origin: str | None) -> KeptAnswer:
        if isinstance(wanted, Joining):
            upload = join(wanted, owner, functools.partial(_remaining_s, app), deps())
        else:
            upload = create_upload(wanted, owner, deps(), origin=origin)
        return _created(upload)

    def upload_of(answer: KeptAnswer, owner: Owner) -> Upload | None:
        try:
            return find_upload(answer.headers["Location"].rpartition("/")[2], owner, deps())
        except (NotFound, UploadExpired):
            return None

    def show(upload_id: str) -> Response:
        return _answer(HTTPStatus.OK, tus.about_upload(find_upload(upload_id, caller(app.current_request), deps())))

    def add(upload_id: str) -> Response:
        owner = caller(app.current_request)
        addition = tus.read_addition(_headers(app), raw_body(app.current_request), deps().new_id())
        return _answer(HTTPStatus.NO_CONTENT, tus.about_progress(append(upload_id, addition, owner, deps())))

    def delete(upload_id: str) -> Response:
        terminate(upload_id, caller(app.current_request), deps())
        return _answer(HTTPStatus.NO_CONTENT, {})

    for path, views in (UPLOADS, {"POST": create}), (UPLOAD, {"HEAD": show, "PATCH": add, "DELETE": delete}):
        app.route(path, methods=["OPTIONS"])(_saying_version(ask, app))
        app.route(path, methods=sorted({*views, "POST"}))(_saying_version(_choosing(views, app), app))


def _choosing(views: Mapping[str, View], app: HttpFunction) -> View:
    """Refuse clients that speak another version, and give the others the view of the method that they mean.

    https://tus.io/protocols/resumable-upload#x-http-method-override is for clients that cannot send every method.
    """

    def choose(**params: str) -> Response:
        headers = _headers(app)
        tus.refuse_other_versions(headers)
        meant = headers.get("x-http-method-override", app.current_request.method).upper()
        if meant not in views:
            raise MethodNotAllowed(["OPTIONS", *views])
        return views[meant](**params)

    return choose


def _saying_version(view: View, app: HttpFunction) -> View:
    """Say in every answer, also in problems, which version is spoken."""
    answer_problems = app.answers_problems(view)

    @functools.wraps(view)
    def answer(**params: str) -> Response:
        response = answer_problems(**params)
        response.headers["Tus-Resumable"] = tus.VERSION
        return response

    return answer


def to_response(answered: Answered) -> Response:
    """Return an answer, which says whether it was given before."""
    status, headers, body = msgspec.structs.astuple(answered.answer)
    if answered.is_repeat:
        headers = {**headers, "Idempotent-Replayed": "true"}
    return Response(body, headers=headers, status_code=status)


def _created(upload: Upload) -> KeptAnswer:
    progress = {name: value for name, value in tus.about_progress(upload).items() if isinstance(value, str)}
    return KeptAnswer(int(HTTPStatus.CREATED), {**progress, "Location": f"{UPLOADS}/{upload.id}"}, "")


def _headers(app: HttpFunction) -> dict[str, str]:
    return tus.read_headers(app.current_request.to_original_event()["multiValueHeaders"] or {})


def _remaining_s(app: HttpFunction) -> float:
    return float(app.lambda_context.get_remaining_time_in_millis()) / 1000


def _answer(status: HTTPStatus, headers: Mapping[str, Any]) -> Response:
    return Response("", headers={"Cache-Control": "no-store", **headers}, status_code=int(status))
