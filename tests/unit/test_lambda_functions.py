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

from functions.shared.settings import InvalidSettings
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


@pytest.mark.parametrize(("code", "status"), [("ServiceException", 500), ("504", 504)])
def test_some_answers_say_nothing_of_whether_the_function_was_called(stubbed, code: str, status: int):
    """A host that ends while a function runs can say no more, nor can a proxy that did not wait for it."""
    functions, stub = stubbed
    stub.add_client_error("invoke", code, "why", status)

    with pytest.raises(AnswerLost):
        functions.invoke("AuthFunction", {})


def test_an_event_that_cannot_be_read_is_the_callers_mistake(stubbed):
    """It will not get better: the message that it was made of must not wait for ever, and hold up its queue."""
    functions, stub = stubbed
    stub.add_client_error("invoke", "InvalidRequestContentException", "Could not parse request body", 400)

    with pytest.raises(ValueError, match="cannot be read"):
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

    def __init__(self, *, closes: bool, host: str = "127.0.0.1") -> None:
        self.requests: list[bytes] = []
        self._closes = closes
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self._socket = socket.create_server((host, 0), family=family)
        self.url = f"http://{f'[{host}]' if ':' in host else host}:{self._socket.getsockname()[1]}"
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


def requests_of_a_call(listener: Listener) -> list[bytes]:
    """Make a call whose answer is lost, and return what the listener, which is closed, was sent for it."""
    client = connect_lambda(listener.url, read_timeout_s=0.3)
    try:
        with pytest.raises(AnswerLost):
            LambdaFunctions({AUTH.name: client}).invoke("AuthFunction", {})
    finally:
        client.close()
        listener.close()
    return listener.requests


@pytest.mark.parametrize("closes", [True, False])
def test_a_call_is_made_once_even_if_its_answer_is_lost(closes: bool):
    """It may have done its work, and the second time would be a second mail, or a second slice."""
    assert len(requests_of_a_call(Listener(closes=closes))) == 1


@pytest.mark.parametrize("credentials", [True, False])
def test_only_who_has_credentials_signs(credentials: bool, monkeypatch: pytest.MonkeyPatch):
    """Hosts do not look at signatures, and making one reads all of a slice."""
    if credentials:
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE")
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "a secret")

    [request] = requests_of_a_call(Listener(closes=True))

    assert (b"AWS4-HMAC-SHA256" in request) is credentials


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
        ("https://lambda.eu-west-1.api.aws", "eu-west-1"),
        ("http://auth:9000", "us-east-1"),
    ],
)
def test_the_region_is_that_of_the_address(url: str, region: str, monkeypatch: pytest.MonkeyPatch):
    """A call that is signed for another is refused."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "a secret")
    client = connect_lambda(url, read_timeout_s=1)

    assert client.meta.region_name == region
    client.close()


@pytest.mark.parametrize(
    ("url", "environ", "said"),
    [
        ("http://auth:9000", {"AWS_ACCESS_KEY_ID": "AKIDEXAMPLE"}, "AWS_SECRET_ACCESS_KEY"),
        ("http://auth:9000", {"AWS_PROFILE": "nobody"}, "nobody"),
        ("http://auth:9000", {"AWS_DEFAULT_REGION": "over there"}, "over there"),
        ("http://the_host:9000", {}, "Invalid endpoint"),
        # AWS would refuse every call, also once there are some.
        (
            "https://lambda.eu-west-1.amazonaws.com",
            {"AWS_EC2_METADATA_DISABLED": "true"},
            "Unable to locate credentials",
        ),
    ],
)
def test_what_a_call_cannot_be_made_with_is_said_at_the_start(url, environ, said, monkeypatch: pytest.MonkeyPatch):
    """A process that fails at once, with a sentence, is seen by whoever deploys it."""
    for name, value in environ.items():
        monkeypatch.setenv(name, value)

    with pytest.raises(InvalidSettings, match=said) as refused:
        connect_functions({AUTH.name: AUTH}, url)

    assert url in str(refused.value)


def test_a_host_may_have_an_address_of_ipv6():
    [request] = requests_of_a_call(Listener(closes=True, host="::1"))

    assert request.startswith(b"POST /2015-03-31/functions/AuthFunction/invocations ")


def test_a_function_is_waited_for_as_long_as_it_may_take():
    """Whoever gives up sooner does not know what came of it."""
    slow = Function("ConvertFunction", "functions.convert.app.handler", 840, 2048)
    functions = connect_functions({AUTH.name: AUTH, slow.name: slow}, "http://auth:9000")

    waits = {name: vars(client.meta.config)["_user_provided_options"] for name, client in functions._clients.items()}
    assert {name: given["read_timeout"] for name, given in waits.items()} == {
        "AuthFunction": 34,
        "ConvertFunction": 845,
    }
