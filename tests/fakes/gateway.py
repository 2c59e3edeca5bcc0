"""A gateway whose functions are fakes, and two ways to send it a request: in process, and over a socket."""

import contextlib
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import anyio
import httpx
import uvicorn

from functions.shared.files import Files
from functions.shared.logs import get_logger
from functions.shared.metrics import NO_METRICS, Metrics
from functions.shared.problems import PROBLEMS
from infra.gateway.__main__ import Settings, create_server
from infra.gateway.app import Gateway
from infra.gateway.limits import Limits
from infra.gateway.stored_files import StoredFiles
from infra.invoke import FunctionFailed
from infra.template import Template, load_template
from tests.fakes.shared import FakeClock, FakeFiles

REQUEST_ID = "c6af9ac6-7b61-11e6-9a41-93e8deadbeef"
ME, LOGIN, MP3 = "/v1/auth/me", "/v1/auth/login", "/v1/conversions/c1/mp3"
TOKEN = {"Authorization": "Bearer good"}
OK: dict[str, Any] = {"statusCode": 200, "headers": {"Content-Type": "application/json"}, "body": "{}"}


class FakeFunctions:
    """Answers `answer` from every function, except that the authorizer lets `Bearer good` in; keeps the calls."""

    def __init__(self, answer: Any = OK) -> None:
        self.answer = answer
        self.calls: list[tuple[str, Any]] = []
        self.authorizer: Callable[[Any], Any] = authorize

    @property
    def event(self) -> Any:
        """The event of the last call that was not the authorizer's."""
        return next(event for name, event in reversed(self.calls) if name != "AuthorizerFunction")

    def called(self) -> list[str]:
        return [name for name, _ in self.calls]

    def invoke(self, function_name: str, event: Any) -> Any:
        self.calls.append((function_name, event))
        if function_name == "AuthorizerFunction":
            return self.authorizer(event)
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer(event) if callable(self.answer) else self.answer


def authorize(event: Any) -> Any:
    if event["authorizationToken"] != "Bearer good":
        raise FunctionFailed("AuthorizerFunction", "Exception", "Unauthorized")
    return policy("Allow", event["methodArn"])


def policy(effect: str, resource: Any) -> dict[str, Any]:
    return {
        "principalId": "u1",
        "policyDocument": {
            "Version": "2012-10-17",
            "Statement": [{"Action": "execute-api:Invoke", "Effect": effect, "Resource": resource}],
        },
        "context": {"user_id": "u1", "email": "ada@example.org", "session_id": "s1"},
    }


def make_gateway(
    functions: FakeFunctions,
    *,
    files: Files | None = None,
    template: Template | None = None,
    limits: Limits | None = None,
    cors_origin: str = "",
    metrics: Metrics = NO_METRICS,
) -> Gateway:
    logger = get_logger("gateway")
    return Gateway(
        template or load_template(),
        functions,
        StoredFiles({"mp3s": lambda: files or FakeFiles()}),
        limits or Limits(),
        clock=FakeClock(),
        new_id=lambda: REQUEST_ID,
        logger=logger,
        cors_origin=cors_origin,
        metrics=metrics,
    )


def send(gateway: Any, method: str, url: str, **request: Any) -> httpx.Response:
    """Send one request in process. The client's address is 203.0.113.9."""

    async def exchange() -> httpx.Response:
        transport = httpx.ASGITransport(gateway, client=("203.0.113.9", 4711))
        async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1:8080") as client:
            return await client.request(method, url, **request)

    return anyio.run(exchange)


def assert_problem(answer: httpx.Response, code: str) -> dict[str, Any]:
    """Assert that an answer is the problem `code`, and return it."""
    assert answer.status_code == PROBLEMS[code].status
    assert answer.headers["content-type"] == "application/problem+json"
    problem: dict[str, Any] = answer.json()
    assert problem["type"] == f"/problems/{code}"
    assert problem["title"] == PROBLEMS[code].title
    return problem


@contextlib.contextmanager
def served(gateway: Gateway, *, drain_s: int = 5, **limits: Any) -> Iterator[int]:
    """Serve a gateway on a socket as `python -m infra.gateway` does, and yield its port.

    `limits` are those of the connections; those of bodies are the gateway's own.
    """
    settings = Settings(mongodb_url="", port=0, drain_s=drain_s, **limits)
    server = create_server(gateway, settings)
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        wait_until(lambda: server.started)
        yield _port(server)
    finally:
        server.should_exit = True
        thread.join(10)
    assert not thread.is_alive(), "the server did not end"


def _port(server: uvicorn.Server) -> int:
    port: int = server.servers[0].sockets[0].getsockname()[1]
    return port


def wait_until(condition: Callable[[], bool], timeout_s: float = 10) -> None:
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.01)
