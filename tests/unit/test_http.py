"""HTTP functions: Chalice with its traps closed."""

import json
import os
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import msgspec
import pytest
from chalice.app import Response

from functions.shared import http
from functions.shared.conversions import Owner
from functions.shared.http import JSON, HttpFunction, HttpSettings, caller, no_content, query, raw_body, read_json
from functions.shared.problems import TooLarge
from functions.shared.settings import from_env
from tests.events import body_of, header, http_event, json_of

ANN = Owner(id="ann", email="ann@example.com")
BINARY = bytes(range(256))


class Wish(msgspec.Struct, forbid_unknown_fields=True):
    name: str
    count: int = 1


def app_with(
    view: Callable[[HttpFunction], Response], methods: tuple[str, ...] = ("GET",), name: str = "tests"
) -> HttpFunction:
    """Return a function that answers /things/{thing} with `view`."""
    app = HttpFunction(name)

    @app.route("/things/{thing}", methods=list(methods))
    def answer(thing: str) -> Response:
        return view(app)

    return app


def call(app: HttpFunction, method: str = "GET", path: str = "/things/{thing}", **kwargs):
    return app(http_event(method, path, {"thing": "x"} if "{" in path else None, **kwargs), None)


def test_an_answer_is_what_lambda_can_send():
    """Lambda makes JSON of it: bytes in it would end the call with an error."""
    answer = call(app_with(lambda _: Response(msgspec.json.encode({"a": "é"}), headers=dict(JSON))))

    assert json.loads(json.dumps(answer))["body"] == '{"a":"é"}'
    assert answer["statusCode"] == 200


@pytest.mark.parametrize("accept", [None, "application/json", "text/html", "audio/mpeg;q=0.1", "nonsense"])
def test_a_binary_answer_does_not_depend_on_accept(accept):
    """Chalice answers 400 to a browser that does not name the type; nobody else does."""
    app = app_with(lambda _: Response(BINARY, headers={"Content-Type": "audio/mpeg"}))

    answer = call(app, headers={"Accept": accept} if accept else {})

    assert (answer["statusCode"], answer["isBase64Encoded"]) == (200, True)
    assert body_of(answer) == BINARY


@pytest.mark.parametrize("content_type", ["multipart/form-data; boundary=x", "application/offset+octet-stream", ""])
def test_a_view_gets_any_content_type_as_bytes(content_type):
    """Chalice answers 415 to all but JSON, in a format of its own."""

    def echo(app: HttpFunction) -> Response:
        return Response(raw_body(app.current_request), headers={"Content-Type": "application/octet-stream"})

    answer = call(app_with(echo, methods=("POST",)), "POST", body=BINARY, headers={"Content-Type": content_type})

    assert (answer["statusCode"], body_of(answer)) == (200, BINARY)


def test_no_content_is_no_content():
    """Chalice would send `null`."""
    answer = call(app_with(lambda _: no_content()))

    assert (answer["statusCode"], answer["body"]) == (204, "")


def test_a_method_that_a_path_lacks_is_a_405_that_names_the_others():
    answer = call(app_with(lambda _: no_content(), methods=("GET", "HEAD")), "DELETE")

    assert (answer["statusCode"], json_of(answer)["type"]) == (405, "/problems/method-not-allowed")
    assert header(answer, "Allow") == "GET, HEAD"
    assert header(answer, "Content-Type") == "application/problem+json"


def test_a_path_that_the_function_lacks_is_a_404():
    answer = call(app_with(lambda _: no_content()), path="/others")

    assert (answer["statusCode"], json_of(answer)["type"]) == (404, "/problems/not-found")


def test_a_problem_becomes_an_answer():
    def refuse(_app):
        raise TooLarge("Send less.")

    answer = call(app_with(refuse))

    assert (answer["statusCode"], json_of(answer)["detail"]) == (413, "Send less.")
    assert header(answer, "Cache-Control") == "no-store"


def test_an_unforeseen_error_is_a_500_that_tells_nothing_and_a_log_that_tells_all(capsys):
    """The caller gets a request id to report; what went wrong is for the log."""

    def fail(_app):
        raise RuntimeError("the password of the database is hunter2")

    # A name of its own, because a logger keeps the standard output of the test that named it first.
    answer = call(app_with(fail, name="failing"))

    assert (answer["statusCode"], json_of(answer)["type"]) == (500, "/problems/internal")
    assert "hunter2" not in answer["body"]
    [line] = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert "hunter2" in line["exception"]
    assert line["request_id"] == http_event("GET", "/")["requestContext"]["requestId"]


def test_threads_may_share_a_function():
    """The gateway calls one app from many threads; Chalice keeps the current request on the app."""
    together = threading.Barrier(8, timeout=30)

    def echo(app: HttpFunction) -> Response:
        before = query(app.current_request, "n")
        together.wait()
        after = query(app.current_request, "n")
        return Response(f"{before} {after} {app.lambda_context}", headers={"Content-Type": "text/plain"})

    app = app_with(echo)

    def ask(number: int) -> str:
        event = http_event("GET", "/things/{thing}", {"thing": "x"}, query={"n": str(number)})
        return str(app(event, f"context-{number}")["body"])

    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(ask, range(64)))

    assert answers == [f"{number} {number} context-{number}" for number in range(64)]


def test_a_function_leaves_the_environment_alone():
    """Chalice appends its name to AWS_EXECUTION_ENV, once for each app."""
    before = dict(os.environ)

    HttpFunction("tests")

    assert dict(os.environ) == before


def test_the_caller_is_whom_the_authorizer_let_in():
    app = app_with(lambda app: Response(repr(caller(app.current_request))))

    assert call(app, caller=ANN)["body"] == repr(ANN)


@pytest.mark.parametrize("authorizer", [None, {}, {"user_id": "ann"}, {"user_id": "", "email": ""}])
def test_without_a_known_caller_the_answer_is_401(authorizer):
    event = http_event("GET", "/things/{thing}", {"thing": "x"})
    event["requestContext"]["authorizer"] = authorizer

    answer = app_with(lambda app: Response(caller(app.current_request).id))(event, None)

    assert (answer["statusCode"], json_of(answer)["type"]) == (401, "/problems/invalid-token")
    assert header(answer, "WWW-Authenticate") == "Bearer"


@pytest.mark.parametrize(
    ("body", "status", "code", "field"),
    [
        ({"name": "a"}, 204, None, None),
        ({"name": 1}, 422, "invalid-input", "name"),
        ({"name": "a", "count": "1"}, 422, "invalid-input", "count"),
        ({"name": {"$gt": ""}}, 422, "invalid-input", "name"),
        ({}, 422, "invalid-input", "name"),
        ({"name": "a", "is_admin": True}, 422, "invalid-input", "is_admin"),
        ([], 422, "invalid-input", "(body)"),
        ("null", 422, "invalid-input", "(body)"),
        ("", 400, "bad-request", None),
        (None, 400, "bad-request", None),
        ("{", 400, "bad-request", None),
        (b'{"name": "\xff"}', 400, "bad-request", None),
        ('{"name": "\\ud800"}', 400, "bad-request", None),
        ('{"name": ' + "[" * 30_000, 422, "invalid-input", "name"),
        ('{"other": ' + "[" * 30_000, 422, "invalid-input", "other"),
        ("[" * 100_000, 413, "too-large", None),
        ('{"name": "' + "a" * 70_000 + '"}', 413, "too-large", None),
    ],
)
def test_a_json_body_is_read_or_the_fault_is_named(body, status, code, field):
    def read(app: HttpFunction) -> Response:
        read_json(app.current_request, Wish)
        return no_content()

    answer = call(app_with(read, methods=("POST",)), "POST", body=body)

    assert answer["statusCode"] == status
    if code:
        problem = json_of(answer)
        assert problem["type"] == f"/problems/{code}"
        assert [error["field"] for error in problem.get("errors", [])] == ([field] if field else [])


def test_how_long_json_may_be_is_a_setting(monkeypatch: pytest.MonkeyPatch):
    """A deployment may want less, or more for clients of its own."""
    monkeypatch.setattr(http, "_settings", lambda: from_env(HttpSettings, {"MAX_JSON_BYTES": "13"}))

    def read(app: HttpFunction) -> Response:
        read_json(app.current_request, Wish)
        return no_content()

    app = app_with(read, methods=("POST",))

    assert call(app, "POST", body='{"name": "a"}')["statusCode"] == 204
    refused = call(app, "POST", body='{"name": "ab"}')
    assert refused["statusCode"] == 413
    assert "13 bytes" in json_of(refused)["detail"]


@pytest.mark.parametrize(
    ("stage_path", "given", "sent"),
    [
        ("", "/things/y", "/things/y"),
        ("/prod", "/things/y", "/prod/things/y"),
        ("/video/api", "/things/y", "/video/api/things/y"),
        ("/prod", "https://copies.example/y", "https://copies.example/y"),
    ],
)
@pytest.mark.parametrize("name", ["Location", "Content-Location"])
def test_a_path_in_the_answer_is_one_that_the_client_can_ask_for(name: str, stage_path: str, given: str, sent: str):
    """On AWS the address begins with the stage, and a path without it leads out of the service."""
    app = app_with(lambda _: Response("", headers={name: given}, status_code=201))

    assert header(call(app, stage_path=stage_path), name) == sent


@pytest.mark.parametrize("path", ["/prod/things/x/", "/prod/things/a%2Fb"])
def test_what_is_odd_in_a_path_does_not_move_the_stage(path: str):
    """API Gateway leaves a path in its context as the client wrote it."""
    app = app_with(lambda _: Response("", headers={"Location": "/things/y"}, status_code=201))
    event = http_event("GET", "/things/{thing}", {"thing": "x"})
    event["requestContext"]["path"] = path

    assert header(app(event, None), "Location") == "/prod/things/y"
