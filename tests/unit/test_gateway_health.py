"""/healthz, which the gateway answers by itself, and /readyz, which it asks a function for."""

import asyncio
import gc
import threading
import time
from typing import Any

import anyio
import anyio.to_thread
import httpx
import pytest

from infra.gateway.threads import MAX_THREADS
from infra.invoke import AnswerTooLarge, FunctionFailed, FunctionUnavailable
from tests.fakes.gateway import LOGIN, OK, FakeFunctions, assert_problem, make_gateway, send

JSON = {"Content-Type": "application/json"}
READY: dict[str, Any] = {"statusCode": 200, "headers": JSON, "body": '{"status":"ok","checks":{}}'}
NOT_READY: dict[str, Any] = {**READY, "statusCode": 503, "body": '{"status":"unavailable","checks":{}}'}


def test_healthz_says_that_this_process_lives_whatever_functions_do():
    """Starting the gateway again would not bring a function back."""
    functions = FakeFunctions(FunctionUnavailable("nobody there"))

    answer = send(make_gateway(functions), "GET", "/healthz")

    assert (answer.status_code, answer.json()) == (200, {"status": "ok"})
    assert functions.called() == []


@pytest.mark.parametrize("said", [READY, NOT_READY])
def test_readyz_is_what_the_function_says(said: dict[str, Any]):
    """A 503 with what is down is an answer, too."""
    functions = FakeFunctions(said)

    answer = send(make_gateway(functions), "GET", "/readyz?a=b", headers={"X-Any": "thing"})

    assert (answer.status_code, answer.text) == (said["statusCode"], said["body"])
    assert functions.called() == ["HealthFunction"]
    assert functions.event["queryStringParameters"] is None
    assert "x-any" not in functions.event["headers"]


def test_head_of_readyz_has_the_status_and_no_body():
    """Monitoring that sends HEAD must see the same as what sends GET."""
    answer = send(make_gateway(FakeFunctions(NOT_READY)), "HEAD", "/readyz")

    assert (answer.status_code, answer.content) == (503, b"")
    assert answer.headers["content-length"] == str(len(NOT_READY["body"]))


@pytest.mark.parametrize(
    "said",
    [
        FunctionUnavailable("nobody there"),
        FunctionFailed("HealthFunction", "ImportError", "no pika"),
        AnswerTooLarge("much"),
        {"statusCode": 500, "headers": JSON, "body": "{}"},
        {"statusCode": 404, "headers": JSON, "body": "{}"},
        "nonsense",
    ],
)
def test_a_broken_function_is_not_ready(said: Any):
    """Whoever asks wants to know whether to send people here; why not is in the log."""
    assert_problem(send(make_gateway(FakeFunctions(said)), "GET", "/readyz"), "unavailable")


def test_readyz_is_seen_while_every_thread_is_taken():
    """A deployment under load would be taken out of service, and the load would go to the others."""
    let_go = threading.Event()
    busy = threading.Semaphore(0)

    def answer(event: Any) -> Any:
        if event["path"] == "/readyz":
            return READY
        busy.release()
        let_go.wait(20)
        return OK

    gateway = make_gateway(FakeFunctions(answer))

    async def exchange() -> int:
        transport = httpx.ASGITransport(gateway)
        async with httpx.AsyncClient(transport=transport, base_url="http://t", timeout=20) as client:
            async with anyio.create_task_group() as group:
                for _ in range(MAX_THREADS):
                    group.start_soon(client.post, LOGIN)
                while busy._value < MAX_THREADS:
                    await anyio.sleep(0.01)
                status = (await client.get("/readyz")).status_code
                let_go.set()
            return status

    try:
        assert anyio.run(exchange) == 200
    finally:
        let_go.set()


def test_many_who_ask_at_once_share_one_call_and_each_gets_the_answer():
    """Anybody may ask, and a function that hangs must not take a thread for each who does."""

    def slow(_: Any) -> Any:
        time.sleep(0.2)
        return READY

    functions = FakeFunctions(slow)
    gateway = make_gateway(functions)

    async def ask() -> list[tuple[int, int]]:
        found: list[tuple[int, int]] = []
        async with httpx.AsyncClient(transport=httpx.ASGITransport(gateway), base_url="http://t") as client:

            async def one(method: str) -> None:
                answer = await client.request(method, "/readyz")
                found.append((answer.status_code, len(answer.content)))

            async with anyio.create_task_group() as group:
                for number in range(20):
                    group.start_soon(one, "HEAD" if number % 2 else "GET")
        return found

    assert sorted(anyio.run(ask)) == sorted([(200, 0), (200, len(READY["body"]))] * 10)
    assert functions.called() == ["HealthFunction"]


def test_nobody_hears_of_a_check_that_nobody_waits_for():
    """A load balancer that goes away takes no notice of a function that does, too."""
    complaints: list[Any] = []
    asked, let_go = threading.Event(), threading.Event()

    def fail(_: Any) -> Any:
        asked.set()
        let_go.wait(10)
        raise FunctionUnavailable("nobody there")

    async def ask_and_leave() -> None:
        transport = httpx.ASGITransport(make_gateway(FakeFunctions(fail)))
        async with httpx.AsyncClient(transport=transport, base_url="http://t") as client:
            request = asyncio.create_task(client.get("/readyz"))
            assert await anyio.to_thread.run_sync(asked.wait, 10)
            request.cancel()
            await asyncio.wait([request])

    async def wait() -> None:
        asyncio.get_running_loop().set_exception_handler(lambda _, context: complaints.append(context))
        await ask_and_leave()
        let_go.set()
        await anyio.sleep(0.05)
        gc.collect()

    anyio.run(wait)

    assert complaints == []
