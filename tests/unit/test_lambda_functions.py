"""Calls through the Lambda Invoke API: what the caller is told of each way in which one can fail."""

import contextlib
import io
import socket
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from botocore.response import StreamingBody
from botocore.stub import Stubber

from infra.invoke import AnswerLost, AnswerTooLarge, EventTooLarge, FunctionFailed, FunctionUnavailable
from infra.lambda_functions import LambdaFunctions, connect_functions, connect_lambda
from infra.local.processes import free_port
from infra.template import Function
from tests.ministack import use_aws

AUTH = Function("AuthFunction", "functions.auth.app.app", 29, 512)


@pytest.fixture(autouse=True)
def no_credentials(monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> None:
    files = {"AWS_CONFIG_FILE": "/dev/null", "AWS_SHARED_CREDENTIALS_FILE": "/dev/null"}
    use_aws(files, monkeypatch)


@pytest.fixture
def stubbed() -> Iterator[tuple[LambdaFunctions, Stubber]]:
    client = connect_lambda("http://127.0.0.1:9", read_timeout_s=1)
    with Stubber(client) as stub:
        yield LambdaFunctions({AUTH.name: client}, prefix="v-"), stub
    client.close()


def answer(payload: bytes, *, failed: bool = False, length: int | None = None) -> dict[str, Any]:
    body = StreamingBody(io.BytesIO(payload), len(payload) if length is None else length)
    return {"StatusCode": 200, "Payload": body} | ({"FunctionError": "Unhandled"} if failed else {})


def test_a_function_is_called_by_its_deployed_name(stubbed):
    """Several stages live in one account."""
    functions, stub = stubbed
    stub.add_response("invoke", answer(b'{"a":1}'), {"FunctionName": "v-AuthFunction", "Payload": b'{"b":2}'})

    assert functions.invoke("AuthFunction", {"b": 2}) == {"a": 1}
    stub.assert_no_pending_responses()


@pytest.mark.parametrize(
    ("code", "status", "raised"),
    [
        ("RequestTooLargeException", 413, EventTooLarge),
        ("RequestEntityTooLargeException", 413, EventTooLarge),
        ("ResourceNotFoundException", 404, FunctionUnavailable),
        ("AccessDeniedException", 403, FunctionUnavailable),
        ("ResourceConflictException", 409, FunctionUnavailable),
        ("TooManyRequestsException", 429, FunctionUnavailable),
        ("EC2ThrottledException", 502, FunctionUnavailable),
        ("ServiceUnavailable", 503, FunctionUnavailable),
    ],
)
def test_a_call_that_is_refused_did_not_happen(stubbed, code: str, status: int, raised: type[Exception]):
    """So a message can wait, and a client can try again."""
    functions, stub = stubbed
    stub.add_client_error("invoke", code, "why", status)

    with pytest.raises(raised, match="why") as refused:
        functions.invoke("AuthFunction", {})

    assert not isinstance(refused.value, AnswerLost)
    assert refused.value.__cause__ is not None


def test_a_500_says_nothing_of_whether_the_function_was_called(stubbed):
    """A host that ends while a function runs can say no more."""
    functions, stub = stubbed
    stub.add_client_error("invoke", "ServiceException", "why", 500)

    with pytest.raises(AnswerLost):
        functions.invoke("AuthFunction", {})


@pytest.mark.parametrize(
    ("payload", "error_type", "error_message"),
    [
        (b'{"errorMessage":"no","errorType":"KeyError","stackTrace":[]}', "KeyError", "no"),
        # As Lambda says that the time is up, and that the process died.
        (b'{"errorMessage":"2026-11-22 Task timed out after 3.00 seconds"}', "Unhandled", "2026-11-22 Task timed out"),
        (b'{"errorType":"Runtime.ExitError","errorMessage":"exit status 3"}', "Runtime.ExitError", "exit status 3"),
        (b"{}", "Unhandled", ""),
    ],
)
def test_a_function_that_failed_is_told_from_one_that_is_away(stubbed, payload, error_type, error_message):
    """Its failure may be for good, an outage is not."""
    functions, stub = stubbed
    stub.add_response("invoke", answer(payload, failed=True))

    with pytest.raises(FunctionFailed) as failed:
        functions.invoke("AuthFunction", {})

    assert failed.value.error_type == error_type
    assert failed.value.error_message.startswith(error_message)


def test_an_answer_over_the_limit_is_told_from_a_failure(stubbed):
    """The function did its work."""
    functions, stub = stubbed
    payload = b'{"errorType":"Function.ResponseSizeTooLarge","errorMessage":"Response payload size exceeded"}'
    stub.add_response("invoke", answer(payload, failed=True))

    with pytest.raises(AnswerTooLarge):
        functions.invoke("AuthFunction", {})


@pytest.mark.parametrize(
    "given", [answer(b"<html>"), answer(b""), answer(b"<html>", failed=True), answer(b"[1", length=3)]
)
def test_what_is_no_answer_of_lambda_is_a_lost_answer(stubbed, given: dict[str, Any]):
    """A proxy on the way answered, or the connection broke."""
    functions, stub = stubbed
    stub.add_response("invoke", given)

    with pytest.raises(AnswerLost):
        functions.invoke("AuthFunction", {})


def test_a_function_that_no_endpoint_has_is_unavailable(stubbed):
    functions, _ = stubbed

    with pytest.raises(FunctionUnavailable, match="OtherFunction"):
        functions.invoke("OtherFunction", {})


def test_an_endpoint_that_is_not_there_was_never_reached():
    """A container that is starting; nothing was lost."""
    functions = connect_functions({AUTH.name: AUTH}, f"http://127.0.0.1:{free_port()}")

    with pytest.raises(FunctionUnavailable) as refused:
        functions.invoke("AuthFunction", {})

    assert not isinstance(refused.value, AnswerLost)


class Listener:
    """Takes connections and one request on each, and then does nothing, or goes away."""

    def __init__(self, *, closes: bool) -> None:
        self.requests: list[bytes] = []
        self._closes = closes
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._socket.getsockname()[1]}"
        self._connections: list[socket.socket] = []
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = self._socket.accept()
                self.requests.append(connection.recv(65536))
                self._connections.append(connection)
                if self._closes:
                    connection.close()

    def close(self) -> None:
        self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()
        for connection in self._connections:
            connection.close()
        self._thread.join(5)


@pytest.mark.parametrize("closes", [True, False])
def test_a_call_is_made_once_even_if_its_answer_is_lost(closes: bool):
    """It may have done its work, and the second time would be a second mail, or a second slice."""
    listener = Listener(closes=closes)
    client = connect_lambda(listener.url, read_timeout_s=0.3)
    try:
        with pytest.raises(AnswerLost):
            LambdaFunctions({AUTH.name: client}).invoke("AuthFunction", {})
    finally:
        client.close()
        listener.close()

    assert len(listener.requests) == 1


@pytest.mark.parametrize("credentials", [True, False])
def test_only_who_has_credentials_signs(credentials: bool, monkeypatch: pytest.MonkeyPatch):
    """Hosts do not look at signatures, and making one reads all of a slice."""
    if credentials:
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE")
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "a secret")
    listener = Listener(closes=True)
    client = connect_lambda(listener.url, read_timeout_s=1)
    try:
        with pytest.raises(AnswerLost):
            LambdaFunctions({AUTH.name: client}).invoke("AuthFunction", {})
    finally:
        client.close()
        listener.close()

    assert (b"AWS4-HMAC-SHA256" in listener.requests[0]) is credentials


def test_nobody_is_asked_for_the_machines_own_role(monkeypatch: pytest.MonkeyPatch):
    """On a machine that is not AWS's nobody answers, which takes seconds at each start."""
    metadata = Listener(closes=True)
    monkeypatch.setenv("AWS_EC2_METADATA_SERVICE_ENDPOINT", metadata.url)

    connect_lambda("http://auth:9000", read_timeout_s=1).close()
    metadata.close()

    assert metadata.requests == []


@pytest.mark.parametrize(
    ("url", "region"),
    [
        ("https://lambda.eu-central-1.amazonaws.com", "eu-central-1"),
        ("https://lambda-fips.us-west-2.amazonaws.com", "us-west-2"),
        ("https://vpce-0a1-b2.lambda.ap-south-1.vpce.amazonaws.com", "ap-south-1"),
        ("https://lambda.cn-north-1.amazonaws.com.cn", "cn-north-1"),
        ("http://auth:9000", "us-east-1"),
    ],
)
def test_the_region_is_that_of_the_address(url: str, region: str, monkeypatch: pytest.MonkeyPatch):
    """A call that is signed for another is refused."""
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    client = connect_lambda(url, read_timeout_s=1)

    assert client.meta.region_name == region
    client.close()


def test_a_function_is_waited_for_as_long_as_it_may_take():
    """Whoever gives up sooner does not know what came of it."""
    slow = Function("ConvertFunction", "functions.convert.app.handler", 840, 2048)
    functions = connect_functions({AUTH.name: AUTH, slow.name: slow}, "http://auth:9000")

    waits = {name: vars(client.meta.config)["_user_provided_options"] for name, client in functions._clients.items()}
    assert {name: given["read_timeout"] for name, given in waits.items()} == {
        "AuthFunction": 34,
        "ConvertFunction": 845,
    }
