"""Pages of other origins: a browser lets their scripts see an answer only if it says so, whoever gives it."""

import re

import pytest

from functions.auth.app import app as auth
from functions.download.app import app as download
from functions.shared import http
from functions.shared.http import HttpFunction, HttpSettings
from functions.shared.settings import InvalidSettings, from_env
from functions.upload.app import create_app as create_upload
from infra.template import load_document, load_template
from tests.events import http_event
from tests.fakes.gateway import ME, FakeFunctions, make_gateway, send
from tests.tus_function import upload_deps

APPS: dict[str, HttpFunction] = {
    "AuthFunction": auth,
    "UploadFunction": create_upload(upload_deps),
    "DownloadFunction": download,
}
FOR_PEOPLE = [route for route in load_template().routes if route.path.startswith("/v1/")]
ASKED = [(route.path, route.function) for route in FOR_PEOPLE if route.method == "OPTIONS"]


def test_browsers_can_ask_at_every_path_without_a_token():
    """They ask first before they send one."""
    asked = [route for route in FOR_PEOPLE if route.method == "OPTIONS"]

    assert {route.path for route in asked} == {route.path for route in FOR_PEOPLE}
    assert not any(route.guarded for route in asked)


@pytest.fixture
def page(monkeypatch: pytest.MonkeyPatch) -> str:
    """The origin of a page that may call."""
    origin = "https://page.example.org"
    monkeypatch.setattr(http, "_settings", lambda: from_env(HttpSettings, {"CORS_ORIGIN": origin}))
    return origin


@pytest.mark.parametrize(("path", "function"), ASKED)
def test_a_browser_that_asks_may_send_what_we_take(path: str, function: str, page: str):
    """The star means every header but Authorization. With the methods it is the same for every path."""
    parameters = dict.fromkeys(re.findall(r"{(\w+)}", path), "x")

    answer = APPS[function](http_event("OPTIONS", path, parameters), None)

    assert answer["statusCode"] == 204
    assert not answer["body"]
    assert answer["headers"]["Access-Control-Allow-Origin"] == page
    assert answer["headers"]["Access-Control-Allow-Headers"] == "Authorization, *"
    allowed = set(answer["headers"]["Access-Control-Allow-Methods"].split(", "))
    assert {route.method for route in FOR_PEOPLE if route.path == path} - {"OPTIONS"} <= allowed


def test_a_problem_can_be_read_there_too(page: str):
    """Else a script only learns that something failed."""
    answer = auth(http_event("POST", "/v1/auth/register", body="{"), None)

    assert answer["statusCode"] >= 400
    assert answer["headers"]["Access-Control-Allow-Origin"] == page
    assert answer["headers"]["Access-Control-Expose-Headers"] == "*"
    assert "Access-Control-Allow-Methods" not in answer["headers"]


@pytest.mark.parametrize("method", ["OPTIONS", "POST"])
def test_without_the_setting_no_other_page_may_call(method: str, monkeypatch: pytest.MonkeyPatch):
    """Nobody gets leave by accident. Neither does a setting that cannot be read give any."""
    monkeypatch.setattr(http, "_settings", lambda: from_env(HttpSettings, {"CORS_ORIGIN": "page.example.org"}))
    wrong = auth(http_event(method, "/v1/auth/register", body="{"), None)
    monkeypatch.setattr(http, "_settings", lambda: from_env(HttpSettings, {}))
    none = auth(http_event(method, "/v1/auth/register", body="{"), None)

    for answer in wrong, none:
        assert not [name for name in answer["headers"] if name.startswith("Access-Control-")]


@pytest.mark.parametrize(
    "origin", ["page.example.org", "https://page.example.org/", "https://a.example https://b.example"]
)
def test_a_setting_that_is_no_origin_is_refused(origin: str):
    """Browsers compare letter by letter, and would only say that something is wrong."""
    with pytest.raises(InvalidSettings, match="CORS_ORIGIN"):
        from_env(HttpSettings, {"CORS_ORIGIN": origin})


def test_what_our_gateway_answers_by_itself_can_be_read_there_too():
    """A token that has expired is the most common problem, and no function sees it."""
    answer = send(make_gateway(FakeFunctions(), cors_origin="https://page.example.org"), "GET", ME)

    assert answer.status_code == 401
    assert answer.headers.get_list("access-control-allow-origin") == ["https://page.example.org"]
    assert answer.headers["access-control-expose-headers"] == "*"


def test_what_api_gateway_answers_by_itself_says_the_same():
    """If nobody is named, the headers are not there."""
    allowed = {"Fn::If": ["HasCorsOrigin", {"Fn::Sub": "'${CorsOrigin}'"}, {"Ref": "AWS::NoValue"}]}
    document = load_document()

    for kind, response in document["Resources"]["Api"]["Properties"]["GatewayResponses"].items():
        assert response["ResponseParameters"]["Headers"]["Access-Control-Allow-Origin"] == allowed, kind
    for function in APPS:
        variables = document["Resources"][function]["Properties"]["Environment"]["Variables"]
        assert variables["CORS_ORIGIN"] == {"Ref": "CorsOrigin"}
