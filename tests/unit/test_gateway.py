"""The gateway in process: routes, limits, what every answer has, and any request at all."""

import json
import threading
from typing import Any

import anyio
import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from functions.shared.logs import get_logger
from infra.gateway.app import Gateway
from infra.gateway.limits import MAX_BODY_BYTES, MAX_HEAD_BYTES
from infra.invoke import EventTooLarge
from tests.fakes.gateway import LOGIN, ME, MP3, OK, REQUEST_ID, TOKEN, FakeFunctions, assert_problem, make_gateway, send


@pytest.mark.parametrize(
    ("method", "path", "function"),
    [
        ("POST", "/v1/conversions", "UploadFunction"),
        ("GET", "/v1/conversions", "DownloadFunction"),
        ("HEAD", "/v1/conversions/c1/mp3", "DownloadFunction"),
        ("POST", "/v1/auth/logout", "AuthFunction"),
    ],
)
def test_the_template_says_which_function_answers(method: str, path: str, function: str):
    """One path may belong to several functions, by its methods."""
    functions = FakeFunctions()

    assert send(make_gateway(functions), method, path, headers=TOKEN).status_code == 200
    assert functions.called() == ["AuthorizerFunction", function]


@pytest.mark.parametrize(
    "path",
    [
        "/v2",
        "/v2/auth/me",
        "/v1/auth/me/",
        "/v1//auth/me",
        "/v1/conversions/",
        "/v1/conversions/a/b",
        "/%00",
        "/v1/auth/me%0a",
    ],
)
def test_an_unknown_path_is_a_404(path: str):
    """In problem+json, like every other error, and without calling anything."""
    functions = FakeFunctions()

    assert_problem(send(make_gateway(functions), "GET", path, headers=TOKEN), "not-found")
    assert not functions.calls


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("PUT", "/v1/conversions", "GET, OPTIONS, POST"),
        ("GET", LOGIN, "OPTIONS, POST"),
        ("PUT", MP3, "GET, HEAD, OPTIONS"),
        ("BREW", "/healthz", "GET, HEAD"),
    ],
)
def test_a_wrong_method_is_a_405_that_says_the_right_ones(method: str, path: str, allowed: str):
    """RFC 9110 wants Allow."""
    answer = send(make_gateway(FakeFunctions()), method, path)

    assert_problem(answer, "method-not-allowed")
    assert answer.headers["allow"] == allowed


@pytest.mark.parametrize(("method", "path"), [("GET", ME), ("GET", "/nowhere"), ("POST", LOGIN), ("GET", "/healthz")])
def test_every_answer_carries_its_request_id_and_forbids_sniffing(method: str, path: str):
    """The id is how a person's report is found in the log; it is the event's."""
    answer = send(make_gateway(FakeFunctions()), method, path)

    assert answer.headers["x-request-id"] == REQUEST_ID
    assert answer.headers["x-content-type-options"] == "nosniff"


def test_a_foreign_page_gets_no_leave_to_read_answers():
    """There are no CORS headers for anyone, unless CORS_ORIGIN names somebody."""
    answer = send(make_gateway(FakeFunctions()), "POST", LOGIN, headers={"Origin": "https://evil.example"})

    assert not [name for name in answer.headers if name.startswith("access-control-")]


def test_the_log_names_the_route_and_no_token(caplog: pytest.LogCaptureFixture):
    """A download link's token in a log would be a key lying around."""
    gateway = make_gateway(FakeFunctions())

    send(gateway, "GET", "/v1/downloads/sEcReT?x=sEcReT", headers={"Authorization": "Bearer sEcReT"})
    send(gateway, "GET", "/v1/downloads/sEcReT/", headers=TOKEN)

    formatter = get_logger("gateway").registered_formatter
    written = [formatter.format(record) for record in caplog.records if record.name == "gateway"]
    lines = [json.loads(line) for line in written]
    wanted = ("message", "method", "path", "status", "request_id")
    assert [[line[key] for key in wanted] for line in lines] == [
        ["request", "GET", "/v1/downloads/{token}", 200, REQUEST_ID],
        ["request", "GET", "-", 404, REQUEST_ID],
    ]
    assert lines[0]["bytes"] == len(OK["body"])
    assert all(line["ms"] >= 0 for line in lines)
    assert "sEcReT" not in "".join(written)


def test_a_body_at_the_limit_passes_and_one_over_it_is_a_413_that_says_the_limit():
    """The limit is Lambda's, minus what else an event holds."""
    functions = FakeFunctions()
    gateway = make_gateway(functions)

    assert send(gateway, "POST", LOGIN, content=bytes(MAX_BODY_BYTES)).status_code == 200
    problem = assert_problem(send(gateway, "POST", LOGIN, content=bytes(MAX_BODY_BYTES + 1)), "too-large")

    assert str(MAX_BODY_BYTES) in problem["detail"]
    assert len(functions.calls) == 1


def test_an_event_that_is_too_large_all_the_same_is_a_413():
    """Text can grow in JSON; the function's door has the last word."""
    gateway = make_gateway(FakeFunctions(EventTooLarge("big")))

    assert_problem(send(gateway, "POST", LOGIN, content=b"x"), "too-large")


@pytest.mark.parametrize(
    ("url", "headers"),
    [(ME, {"X-Long": "x" * MAX_HEAD_BYTES}), ("/" + "x" * MAX_HEAD_BYTES, {}), (ME + "?q=" + "x" * MAX_HEAD_BYTES, {})],
)
def test_a_head_over_the_limit_is_a_400_that_says_the_limit(url: str, headers: dict[str, str]):
    """API Gateway takes 10,240 bytes of address and headers."""
    problem = assert_problem(send(make_gateway(FakeFunctions()), "GET", url, headers=headers), "bad-request")

    assert str(MAX_HEAD_BYTES) in problem["detail"]


def test_functions_run_beside_each_other_and_not_on_the_event_loop():
    """One slow call must not stop the others, nor /healthz."""
    together = threading.Barrier(8, timeout=5)
    functions = FakeFunctions(lambda _: (together.wait(), OK)[1])
    gateway = make_gateway(functions)

    async def exchange() -> list[int]:
        statuses: list[int] = []
        async with httpx.AsyncClient(transport=httpx.ASGITransport(gateway), base_url="http://t") as client:

            async def call() -> None:
                statuses.append((await client.post(LOGIN)).status_code)

            async with anyio.create_task_group() as group:
                for _ in range(8):
                    group.start_soon(call)
        return statuses

    assert anyio.run(exchange) == [200] * 8


header_names = st.from_regex(r"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,12}", fullmatch=True)
header_values = st.text(st.characters(min_codepoint=0x20, max_codepoint=0xFF, exclude_characters="\x7f"), max_size=30)
paths = st.one_of(
    st.sampled_from(["/v1/conversions", "/v1/conversions/x/mp3", LOGIN, ME, "/readyz", "*", ""]),
    st.text(st.characters(min_codepoint=0x21, max_codepoint=0x7E), max_size=40).map(lambda path: "/" + path),
    st.binary(max_size=20).map(lambda raw: "/v1/downloads/" + "".join(f"%{byte:02x}" for byte in raw)),
)


@settings(max_examples=100, deadline=None)
@given(
    target=st.one_of(
        st.tuples(st.just("POST"), st.just(LOGIN)),
        st.tuples(st.sampled_from(["GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "X"]), paths),
    ),
    query=st.binary(max_size=40),
    headers=st.lists(st.tuples(header_names, header_values), max_size=6),
    known=st.dictionaries(
        st.sampled_from(["authorization", "content-length", "content-type", "host", "transfer-encoding"]),
        header_values | st.just("Bearer good") | st.integers(0).map(str),
        max_size=3,
    ),
    body=st.lists(st.binary(max_size=50), max_size=3),
)
def test_no_request_is_a_500(
    target: tuple[str, str],
    query: bytes,
    headers: list[tuple[str, str]],
    known: dict[str, str],
    body: list[bytes],
):
    """Whatever arrives, the answer says what is wrong with it. Straight into ASGI: no client would send these."""
    gateway = make_gateway(FakeFunctions())
    status = status_of(gateway, *target, query=query, headers=[*headers, *known.items()], body=body)

    assert 200 <= status < 500


def status_of(
    gateway: Gateway, method: str, path: str, *, query: bytes, headers: list[tuple[str, str]], body: list[bytes]
) -> int:

    messages = [{"type": "http.request", "body": part, "more_body": True} for part in body]
    messages.append({"type": "http.request", "body": b"", "more_body": False})
    sent: list[Any] = []

    async def receive() -> Any:
        return messages.pop(0)

    async def send_on(message: Any) -> None:
        sent.append(message)

    scope = {
        "type": "http",
        "http_version": "1.1",
        "method": method,
        "scheme": "http",
        "path": path,
        "raw_path": path.encode(),
        "query_string": query,
        "headers": [(name.lower().encode(), value.encode("latin-1")) for name, value in headers],
        "client": ("127.0.0.1", 1),
        "server": ("127.0.0.1", 8080),
    }
    anyio.run(gateway, scope, receive, send_on)
    status: int = sent[0]["status"]
    return status
