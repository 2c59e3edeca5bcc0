"""The host as an application: what Lambda's Invoke API says to each call."""

import contextlib
import sys
import threading
import time
import types
from collections.abc import AsyncIterator, Callable, Iterator
from itertools import count
from typing import Any

import anyio
import httpx
import pytest

from functions.shared.logs import get_logger
from infra.host.app import MAX_ASYNCHRONOUS_BYTES, InvokeApi
from infra.host.calls import Calls
from infra.host.documents import Refused
from infra.invoke import MAX_PAYLOAD_BYTES, Context
from infra.template import Function
from tests.fakes.gateway import wait_until

LOGGER = get_logger("host")
PREFIX = "video2mp3-test-"
NAME = "ConvertFunction"


class Handler:
    """A handler that notes its calls and returns what `work` returns."""

    def __init__(self) -> None:
        self.events: list[Any] = []
        self.contexts: list[Context] = []
        self.work: Callable[[Any], Any] = lambda event: event

    def __call__(self, event: Any, context: Context) -> Any:
        self.events.append(event)
        self.contexts.append(context)
        return self.work(event)


@pytest.fixture
def handler(monkeypatch: pytest.MonkeyPatch) -> Handler:
    handler = Handler()
    module = types.ModuleType("functions_of_a_host")
    module.handler = handler  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, module.__name__, module)
    return handler


@pytest.fixture
def calls(handler: Handler) -> Calls:
    ids = count(1)
    function = Function(NAME, "functions_of_a_host.handler", 10, 512)
    return Calls({NAME: function}, prefix=PREFIX, new_id=lambda: f"call-{next(ids)}", logger=LOGGER)


def make_api(calls: Calls, *, max_calls: int = 10, room_timeout_s: float = 5, event_timeout_s: float = 5) -> Any:
    return InvokeApi(
        calls,
        max_calls=max_calls,
        new_id=lambda: "refused-1",
        logger=LOGGER,
        room_timeout_s=room_timeout_s,
        event_timeout_s=event_timeout_s,
    ).app()


@pytest.fixture
def api(calls: Calls) -> Any:
    return make_api(calls)


def send(api: Any, *, name: str = NAME, kind: str | None = None, **request: Any) -> httpx.Response:
    headers = {} if kind is None else {"X-Amz-Invocation-Type": kind}

    async def exchange() -> httpx.Response:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(api), base_url="http://host") as client:
            return await client.post(f"/2015-03-31/functions/{name}/invocations", headers=headers, **request)

    return anyio.run(exchange)


def look(api: Any) -> httpx.Response:
    async def exchange() -> httpx.Response:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(api), base_url="http://host") as client:
            return await client.get("/healthz")

    return anyio.run(exchange)


def assert_refused(answer: httpx.Response, status: int, error_type: str) -> None:
    """As every SDK reads it: https://docs.aws.amazon.com/lambda/latest/api/API_Invoke.html#API_Invoke_Errors ."""
    assert answer.status_code == status
    assert answer.headers["x-amzn-errortype"] == error_type
    assert answer.headers["x-amzn-requestid"] == "refused-1"
    assert answer.json()["Type"] == ("User" if status < 500 else "Service")
    assert answer.json()["message"]


@pytest.mark.parametrize("name", [NAME, PREFIX + NAME, f"arn:aws:lambda:us-east-1:000000000000:function:{NAME}:1"])
def test_a_call_is_answered_as_lambda_does(api: Any, name: str):
    """A function may be named as in the template, as it is deployed, or by its ARN."""
    answer = send(api, name=name, json={"a": [1]})

    assert answer.status_code == 200
    assert answer.json() == {"a": [1]}
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["x-amz-executed-version"] == "$LATEST"
    assert answer.headers["x-amzn-requestid"] == "call-1"
    assert "x-amz-function-error" not in answer.headers


def test_a_call_without_an_event_gets_an_empty_one(api: Any, handler: Handler):
    """As on Lambda."""
    assert send(api).json() == {}
    assert handler.events == [{}]


def test_a_function_sees_its_own_time_and_the_calls_id(api: Any, handler: Handler):
    """The log lines of a call and its answer carry one id."""
    answer = send(api, json=None)

    [context] = handler.contexts
    assert 9_000 < context.get_remaining_time_in_millis() <= 10_000
    assert context.aws_request_id == answer.headers["x-amzn-requestid"]


def test_a_function_that_raises_is_a_200_that_says_so(api: Any, handler: Handler):
    """The call worked, the function did not: https://docs.aws.amazon.com/lambda/latest/dg/python-exceptions.html ."""

    def fail(event: Any) -> Any:
        raise KeyError("secret")

    handler.work = fail
    answer = send(api, json={})

    assert answer.status_code == 200
    assert answer.headers["x-amz-function-error"] == "Unhandled"
    document = answer.json()
    assert (document["errorType"], document["errorMessage"]) == ("KeyError", "'secret'")
    assert document["requestId"] == answer.headers["x-amzn-requestid"]
    assert 'raise KeyError("secret")' in document["stackTrace"][-1]
    assert "infra/invoke.py" not in "".join(document["stackTrace"])


def test_a_function_that_exits_does_not_take_the_host_with_it(api: Any, handler: Handler):
    """Other calls are under way in this process."""

    def leave(event: Any) -> Any:
        raise SystemExit(3)

    handler.work = leave
    failed = send(api, json={})
    handler.work = lambda event: "there"

    assert failed.json()["errorType"] == "SystemExit"
    assert send(api, json={}).json() == "there"


def test_an_answer_over_the_limit_is_the_functions_failure(api: Any, handler: Handler):
    handler.work = lambda event: "x" * MAX_PAYLOAD_BYTES

    answer = send(api, json={})

    assert answer.status_code == 200
    assert answer.headers["x-amz-function-error"] == "Unhandled"
    assert answer.json()["errorType"] == "Function.ResponseSizeTooLarge"


def test_an_unknown_function_is_a_404(api: Any, handler: Handler):
    """A gateway that was told the wrong address must not call another function."""
    assert_refused(send(api, name="AuthFunction", json={}), 404, "ResourceNotFoundException")
    assert handler.events == []


@pytest.mark.parametrize("kind", [None, "RequestResponse", "Event", "DryRun"])
@pytest.mark.parametrize("content", [b"{", b"nonsense", b'"\xff"', b"NaN", b"[" * 100_000])
def test_an_event_that_is_not_json_is_a_400(api: Any, handler: Handler, kind: str | None, content: bytes):
    assert_refused(send(api, kind=kind, content=content), 400, "InvalidRequestContentException")
    assert handler.events == []


def test_an_invocation_type_that_does_not_exist_is_a_400(api: Any, handler: Handler):
    assert_refused(send(api, kind="Later", json={}), 400, "InvalidParameterValueException")
    assert handler.events == []


@pytest.mark.parametrize(
    ("kind", "limit"),
    [("RequestResponse", MAX_PAYLOAD_BYTES), ("DryRun", MAX_PAYLOAD_BYTES), ("Event", MAX_ASYNCHRONOUS_BYTES)],
)
def test_an_event_over_the_limit_is_a_413_and_one_at_it_is_not(api: Any, handler: Handler, kind: str, limit: int):
    """The limits are Lambda's, so what works here works there."""
    largest = b'"' + b"x" * (limit - 2) + b'"'

    assert send(api, kind=kind, content=largest).is_success
    handler.events.clear()
    refused = send(api, kind=kind, content=largest[:-1] + b'x"')

    assert_refused(refused, 413, "RequestTooLargeException")
    assert str(limit) in refused.json()["message"]
    assert handler.events == []


def test_an_event_that_never_ends_is_given_up(api: Any):
    """It would fill the memory, or the disk of whoever logs it."""
    given = 0

    async def parts() -> AsyncIterator[bytes]:
        nonlocal given
        while True:
            given += 1024 * 1024
            yield bytes(1024 * 1024)

    assert_refused(send(api, content=parts()), 413, "RequestTooLargeException")
    assert given < 100 * 1024 * 1024


def test_an_event_that_does_not_come_is_a_408(calls: Calls):
    """It would keep a connection for ever."""

    async def parts() -> AsyncIterator[bytes]:
        yield b"{"
        await anyio.sleep_forever()

    answer = send(make_api(calls, event_timeout_s=0.1), content=parts())

    assert_refused(answer, 408, "RequestTimeoutException")


def test_an_asynchronous_call_is_accepted_and_then_made(api: Any, handler: Handler):
    """Convert hands on conversions so."""
    answer = send(api, kind="Event", json={"a": 1})

    assert (answer.status_code, answer.content) == (202, b"")
    assert answer.headers["x-amzn-requestid"]
    assert handler.events == [{"a": 1}]


def test_a_dry_run_calls_nothing(api: Any, handler: Handler):
    """It asks whether a call would be accepted."""
    answer = send(api, kind="DryRun", json={})

    assert (answer.status_code, answer.content) == (204, b"")
    assert handler.events == []
    assert_refused(send(api, kind="DryRun", name="AuthFunction"), 404, "ResourceNotFoundException")


@pytest.fixture
def held(handler: Handler) -> Iterator[threading.Event]:
    """Calls last until this is set."""
    release = threading.Event()
    handler.work = lambda event: release.wait(10)
    yield release
    release.set()


@pytest.mark.parametrize("kind", ["RequestResponse", "Event"])
def test_one_call_too_many_is_a_429_until_another_ends(
    calls: Calls, handler: Handler, held: threading.Event, kind: str
):
    """A conversion takes gigabytes of disk; who wants more at once starts more hosts."""
    api = make_api(calls, max_calls=2, room_timeout_s=0.05)

    async def talk() -> tuple[httpx.Response, list[httpx.Response], httpx.Response]:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(api), base_url="http://host") as client:
            answers: list[httpx.Response] = []

            async def call() -> None:
                url, headers = f"/2015-03-31/functions/{NAME}/invocations", {"X-Amz-Invocation-Type": kind}
                answers.append(await client.post(url, json={}, headers=headers))

            async with anyio.create_task_group() as group:
                group.start_soon(call)
                group.start_soon(call)
                with anyio.fail_after(5):
                    while calls.running < 2:
                        await anyio.sleep(0.01)
                await call()
                refused = answers.pop()
                held.set()
            first = [*answers]
            await call()
            return refused, first, answers[-1]

    refused, answered, after = anyio.run(talk)

    assert_refused(refused, 429, "TooManyRequestsException")
    assert refused.json()["Reason"] == "ReservedFunctionConcurrentInvocationLimitExceeded"
    assert [answer.is_success for answer in answered] == [True, True]
    assert after.is_success
    assert len(handler.events) == 3


def test_calls_that_find_no_room_wait_a_little(calls: Calls, handler: Handler):
    """A page that loads makes several requests at once; none of them should be a 503."""
    running: list[int] = []

    def work(event: Any) -> Any:
        running.append(calls.running)
        time.sleep(0.02)
        return event

    handler.work = work
    api = make_api(calls, max_calls=2)

    async def burst() -> list[int]:
        statuses: list[int] = []
        async with httpx.AsyncClient(transport=httpx.ASGITransport(api), base_url="http://host") as client:

            async def call(kind: str) -> None:
                url, headers = f"/2015-03-31/functions/{NAME}/invocations", {"X-Amz-Invocation-Type": kind}
                statuses.append((await client.post(url, content=b"[1]", headers=headers)).status_code)

            async with anyio.create_task_group() as group:
                for kind in ["RequestResponse", "Event"] * 10:
                    group.start_soon(call, kind)
        return statuses

    assert sorted(anyio.run(burst)) == [200] * 10 + [202] * 10
    assert len(running) == 20
    assert max(running) == 2


def test_a_call_that_is_refused_gives_its_room_back(calls: Calls):
    """Else a few bad events would shut a host for good."""
    api = make_api(calls, max_calls=1, room_timeout_s=0.05)

    for kind in ("RequestResponse", "Event"):
        assert_refused(send(api, kind=kind, content=b"{"), 400, "InvalidRequestContentException")

    assert send(api, json={}).status_code == 200


def test_a_host_that_ends_takes_no_call_and_shortens_those_it_has(
    calls: Calls, handler: Handler, held: threading.Event
):
    """The caller goes to another host, and the function puts its things away."""
    api = make_api(calls)
    thread = threading.Thread(target=send, args=(api,), kwargs={"json": {}})
    thread.start()
    wait_until(lambda: calls.running == 1)
    calls.end(3)

    for kind in ("RequestResponse", "Event"):
        assert_refused(send(api, kind=kind, json={}), 503, "ServiceException")
    assert handler.contexts[0].get_remaining_time_in_millis() <= 3000
    held.set()
    thread.join(5)
    assert calls.running == 0
    assert len(handler.events) == 1


def test_what_was_accepted_before_the_end_is_done(calls: Calls, handler: Handler):
    """Its caller was told so, and is gone."""
    run = calls.begin(NAME)
    calls.end(3)

    assert calls.running == 1
    assert run([b"[1]"]).content == b"[1]"
    assert handler.contexts[0].get_remaining_time_in_millis() <= 3000
    assert calls.running == 0


@pytest.mark.parametrize("event", [b"{}", b"{"])
def test_a_call_that_was_begun_ends_whatever_comes_of_it(calls: Calls, event: bytes):
    """Else the host would never be done."""
    run = calls.begin(NAME)
    with contextlib.suppress(Refused):
        run([event])

    assert calls.running == 0


def test_a_host_whose_calls_are_all_stuck_is_not_well(handler: Handler, held: threading.Event):
    """A thread cannot be ended, so only a new process takes calls again; Kubernetes starts one."""
    function = Function(NAME, "functions_of_a_host.handler", 0, 512)
    calls = Calls({NAME: function}, prefix=PREFIX, new_id=lambda: "call-1", logger=LOGGER)
    api = make_api(calls, max_calls=2)
    threads = [threading.Thread(target=send, args=(api,), kwargs={"json": {}}) for _ in range(2)]
    threads[0].start()
    wait_until(lambda: calls.overdue == 1)
    one = look(api)
    threads[1].start()
    wait_until(lambda: calls.overdue == 2)
    all_of_them = look(api)
    held.set()
    for thread in threads:
        thread.join(5)

    assert (one.status_code, one.json()) == (200, {"status": "ok"})
    assert (all_of_them.status_code, all_of_them.json()) == (503, {"status": "stuck"})
    assert look(api).status_code == 200


def test_health_is_answered_by_the_host_itself(api: Any, handler: Handler):
    """It says that the process lives, and costs no call."""
    answer = look(api)

    assert (answer.status_code, answer.json()) == (200, {"status": "ok"})
    assert handler.events == []


def test_now_and_then_a_connection_ends(api: Any):
    """Callers keep their connections, and would never come to a host that was added."""
    ends = [send(api, json={}).headers.get("connection") for _ in range(400)]

    assert ends.count("close") == 2


def test_a_host_that_leaves_ends_each_connection_with_an_answer(calls: Calls):
    """A connection that is closed without a word may lose the call that is just being written on it."""
    api = InvokeApi(calls, max_calls=1, new_id=lambda: "r", logger=LOGGER)
    before = send(api.app(), json={}).headers
    api.leave()

    assert "connection" not in before
    for name, status in ((NAME, 200), ("unknown", 404)):
        answer = send(api.app(), name=name, json={})
        assert (answer.status_code, answer.headers["connection"]) == (status, "close")
