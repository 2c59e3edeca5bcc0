"""On Lambda whoever gets a message hands it to an invocation of its own, which converts."""

import base64
import io
import json
import zipfile
from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import boto3
import pytest
from botocore.exceptions import ConnectTimeoutError, ReadTimeoutError
from botocore.stub import Stubber
from moto import mock_aws

from functions.convert.app import Settings, connect, create_handler
from functions.convert.hand_off import NotHandedOff
from functions.convert.lambda_hand_off import LambdaHandOff, connect_lambda
from functions.shared.conversions import State
from functions.shared.events import EventName
from functions.shared.rmq import MalformedMessage
from functions.shared.settings import from_env
from tests.conversions import conversion, event
from tests.fakes.convert import FakeHandOff
from tests.rmq_events import rmq_event
from tests.unit.test_convert import World

if TYPE_CHECKING:
    from mypy_boto3_lambda import LambdaClient

ARN = "arn:aws:lambda:eu-central-1:123456789012:function:video2mp3-dev-ConvertFunction"
QUEUE = "video_conversion_queue"


class Context:
    aws_request_id = "request-1"
    invoked_function_arn = ARN

    def __init__(self, remaining_s: float = 840) -> None:
        self.remaining_s = remaining_s

    def get_remaining_time_in_millis(self) -> int:
        return round(self.remaining_s * 1000)


class OnLambda(World):
    """Convert with hand-off, and two uploaded videos."""

    def __init__(self) -> None:
        super().__init__()
        self.upload(conversion("c2"))
        self.hand_off = FakeHandOff()
        self.deps = replace(self.deps, hand_off=self.hand_off)
        self._handler = create_handler(lambda: self.deps)

    def call(self, rmq: dict[str, Any], remaining_s: float = 840) -> None:
        self._handler(rmq, Context(remaining_s))

    def handed_off(self) -> dict[str, Any]:
        """Return what the function hands off when it gets the message of `c1`."""
        self.call(rmq_event(QUEUE, event()))
        return self.hand_off.taken.pop()[1]


@pytest.fixture
def world() -> OnLambda:
    return OnLambda()


def test_each_message_is_handed_to_an_invocation_of_its_own_and_nothing_is_converted(world: OnLambda):
    """The next message is taken when this returns, so ten videos are converted at once and not one after the other."""
    messages = rmq_event(QUEUE, event(), event(conversion_id="c2"))

    world.call(messages)

    assert world.encoder.calls == []
    assert world.conversion.state == State.QUEUED
    arns, events = zip(*world.hand_off.taken, strict=True)
    assert arns == (ARN, ARN)
    one_by_one = [each["rmqMessagesByQueue"][f"{QUEUE}::/"] for each in events]
    assert one_by_one == [[message] for message in messages["rmqMessagesByQueue"][f"{QUEUE}::/"]]
    assert {each["eventSource"] for each in events} == {"aws:rmq"}


def test_what_was_handed_off_is_converted_in_place(world: OnLambda):
    """Handed off again it would go round for ever, and be paid for."""
    world.call(world.handed_off())

    assert world.conversion.state == State.COMPLETED
    assert world.hand_off.taken == []


def test_a_message_that_could_not_be_handed_off_comes_back(world: OnLambda):
    """It is in the queue, where it is safe; sweep would find it only after a quarter of an hour."""
    world.hand_off.down = True

    with pytest.raises(NotHandedOff):
        world.call(rmq_event(QUEUE, event()))

    assert world.conversion.state == State.QUEUED


def test_of_messages_that_cannot_all_be_read_none_is_handed_off(world: OnLambda):
    """They all come back, and would be handed off again and again beside the one that is broken."""
    with pytest.raises(MalformedMessage):
        world.call(rmq_event(QUEUE, event(), event(EventName.CONVERSION_COMPLETED)))

    assert world.hand_off.taken == []


def test_nothing_in_a_message_makes_it_look_handed_off(world: OnLambda):
    """Who may only publish must not be able to have one conversion hold up all others."""
    marker = (world.handed_off().keys() - rmq_event(QUEUE).keys()).pop()
    rmq = rmq_event(QUEUE, event())
    (message,) = rmq["rmqMessagesByQueue"][f"{QUEUE}::/"]
    body = {**json.loads(base64.b64decode(message["data"])), marker: True}
    message["data"] = base64.b64encode(json.dumps(body).encode()).decode()
    message["basicProperties"]["headers"] = {marker: True}
    message["basicProperties"][marker] = message[marker] = True

    world.call(rmq)

    assert len(world.hand_off.taken) == 1
    assert world.encoder.calls == []


def test_elsewhere_messages_are_converted_in_place():
    """A consumer that acknowledges at once would take all messages of a queue, and lose them with its process."""
    world = World()

    create_handler(lambda: world.deps)(rmq_event(QUEUE, event()), Context())

    assert world.conversion.state == State.COMPLETED


def test_what_was_handed_off_twice_is_converted_once(world: OnLambda):
    """Lambda calls at least once; and a hand-off whose answer was lost is made again."""
    handed_off = world.handed_off()

    world.call(handed_off)
    world.call(handed_off)

    assert len(world.encoder.calls) == 1


@pytest.mark.parametrize(("given", "is_on"), [("true", True), ("1", True), ("false", False), (None, False)])
def test_it_is_a_setting(given: str | None, is_on: bool, monkeypatch: pytest.MonkeyPatch):
    """On in template.yaml, and off wherever else the function runs."""
    environ = {"MONGODB_URL": "mongodb://127.0.0.1:9", "AMQP_URL": "amqp://127.0.0.1:9", "AWS_DEFAULT_REGION": "x-1"}
    environ |= {} if given is None else {"HAND_OFF": given}
    monkeypatch.delenv("HAND_OFF", raising=False)
    for name, value in environ.items():
        monkeypatch.setenv(name, value)

    deps = connect()

    assert from_env(Settings, environ).hand_off is is_on
    assert isinstance(deps.hand_off, LambdaHandOff) is is_on
    deps.outbox._collection.database.client.close()  # type: ignore[attr-defined]


# Lambda's side


@pytest.fixture
def aws(monkeypatch: pytest.MonkeyPatch) -> Iterator["LambdaClient"]:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "testing")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-central-1")
    monkeypatch.delenv("AWS_ENDPOINT_URL", raising=False)
    with mock_aws(config={"lambda": {"use_docker": False}}):
        yield connect_lambda()


def test_lambda_takes_a_hand_off(aws: "LambdaClient"):
    """By the ARN that the context tells."""
    code = io.BytesIO()
    with zipfile.ZipFile(code, "w") as archive:
        archive.writestr("app.py", "def handler(event, context): pass")
    role = boto3.client("iam").create_role(RoleName="r", AssumeRolePolicyDocument="{}")["Role"]["Arn"]
    made = aws.create_function(
        FunctionName="video2mp3-dev-ConvertFunction",
        Runtime="python3.13",
        Role=role,
        Handler="app.handler",
        Code={"ZipFile": code.getvalue()},
    )

    LambdaHandOff(aws).hand_off(made["FunctionArn"], rmq_event(QUEUE, event()))


def test_it_is_one_asynchronous_call_with_the_event(aws: "LambdaClient"):
    """A synchronous one would wait for the conversion, and repeats by boto3 would keep the other messages waiting."""
    given = rmq_event(QUEUE, event())
    payload = json.dumps(given, separators=(",", ":")).encode()
    config: Any = aws.meta.config

    with Stubber(aws) as stub:
        stub.add_response(
            "invoke", {"StatusCode": 202}, {"FunctionName": ARN, "InvocationType": "Event", "Payload": payload}
        )
        LambdaHandOff(aws).hand_off(ARN, given)

    assert config.retries["total_max_attempts"] == 1
    assert config.connect_timeout + config.read_timeout < 20


@pytest.mark.parametrize(
    "code",
    ["TooManyRequestsException", "ServiceException", "AccessDeniedException", "ResourceNotFoundException"],
)
def test_what_lambda_refuses_is_not_handed_off(aws: "LambdaClient", code: str):
    """The message comes back, later when the function may be called again."""
    with Stubber(aws) as stub:
        stub.add_client_error("invoke", code, http_status_code=429)
        with pytest.raises(NotHandedOff, match=code):
            LambdaHandOff(aws).hand_off(ARN, rmq_event(QUEUE, event()))


def test_an_answer_other_than_accepted_is_no_hand_off(aws: "LambdaClient"):
    """200 means that somebody called the function and waited."""
    with Stubber(aws) as stub:
        stub.add_response("invoke", {"StatusCode": 200})
        with pytest.raises(NotHandedOff, match="200"):
            LambdaHandOff(aws).hand_off(ARN, rmq_event(QUEUE, event()))


@pytest.mark.parametrize("error", [ConnectTimeoutError, ReadTimeoutError])
def test_a_call_without_an_answer_is_no_hand_off(aws: "LambdaClient", monkeypatch: pytest.MonkeyPatch, error: Any):
    """It may have been one all the same, which does no harm."""

    def invoke(**_: object) -> None:
        raise error(endpoint_url="https://lambda")

    monkeypatch.setattr(aws, "invoke", invoke)

    with pytest.raises(NotHandedOff):
        LambdaHandOff(aws).hand_off(ARN, rmq_event(QUEUE, event()))
