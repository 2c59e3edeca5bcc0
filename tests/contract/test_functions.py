"""Functions: in this process, behind a host of ours, and behind an AWS as ministack plays it."""

import base64
import io
import os
import sys
import zipfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import boto3
import pytest

from infra.invoke import (
    MAX_PAYLOAD_BYTES,
    AnswerLost,
    AnswerTooLarge,
    EventTooLarge,
    FunctionFailed,
    Functions,
    FunctionUnavailable,
    InProcessFunctions,
)
from infra.lambda_functions import connect_functions
from infra.template import Function, Template
from tests.host_process import running_host, write_functions
from tests.ministack import running_ministack, use_aws

SOURCE = """
def echo(event, context):
    return event

def times(event, context):
    return "x" * event

def fails(event, context):
    raise ValueError(f"no {event}")

def leaves(event, context):
    raise SystemExit(3)

def odd(event, context):
    return {1, 2}

def tells(event, context):
    return {
        "name": context.function_name,
        "left_ms": context.get_remaining_time_in_millis(),
        "id": context.aws_request_id,
        "arn": context.invoked_function_arn,
    }
"""
NAMES = ("echo", "times", "fails", "leaves", "odd", "tells", "absent")
PREFIX = "video2mp3-test-"
TIMEOUT_S = 10


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("functions")


@pytest.fixture(scope="module")
def template(folder: Path) -> Template:
    return write_functions(folder, SOURCE, *NAMES, timeout_s=TIMEOUT_S)


@pytest.fixture
def in_process(template: Template, folder: Path, monkeypatch: pytest.MonkeyPatch) -> Functions:
    monkeypatch.syspath_prepend(folder)
    for name in ("sample", "sample.calls"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    return InProcessFunctions(template.functions)


@pytest.fixture(scope="module")
def behind_a_host(folder: Path, template: Template) -> Iterator[Functions]:
    nobody = {"AWS_CONFIG_FILE": os.devnull, "AWS_SHARED_CREDENTIALS_FILE": os.devnull}
    with running_host(folder, FUNCTION_PREFIX=PREFIX) as host, pytest.MonkeyPatch.context() as patch:
        use_aws(nobody, patch)
        yield connect_functions(_and_one_more(template), host.url, prefix=PREFIX)


@pytest.fixture(scope="module")
def on_aws(folder: Path, template: Template, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Functions]:
    with running_ministack(tmp_path_factory.mktemp("ministack")) as environ, pytest.MonkeyPatch.context() as patch:
        use_aws(environ, patch)
        _deploy(folder, template)
        yield connect_functions(_and_one_more(template), environ["AWS_ENDPOINT_URL"], prefix=PREFIX)


def _deploy(folder: Path, template: Template) -> None:
    zipped = io.BytesIO()
    with zipfile.ZipFile(zipped, "w") as package:
        for path in (folder / "sample").glob("*.py"):
            package.write(path, path.relative_to(folder))
    client = boto3.client("lambda")
    for name, function in template.functions.items():
        client.create_function(
            FunctionName=f"{PREFIX}{name}",
            Runtime="python3.13",
            Role="arn:aws:iam::000000000000:role/test",
            Handler=function.handler,
            Timeout=function.timeout_s,
            Code={"ZipFile": zipped.getvalue()},
        )
    client.close()


def _and_one_more(template: Template) -> dict[str, Function]:
    """The functions, with one that only the caller knows."""
    return {**template.functions, "unknown": Function("unknown", "sample.calls.echo", TIMEOUT_S, 128)}


@pytest.fixture(params=["in_process", "behind_a_host", "on_aws"])
def functions(request: pytest.FixtureRequest) -> Functions:
    found: Functions = request.getfixturevalue(request.param)
    return found


@pytest.fixture(params=["in_process", "behind_a_host"])
def ours(request: pytest.FixtureRequest) -> Functions:
    """Where Lambda's limits and its refusals are ours to keep."""
    found: Functions = request.getfixturevalue(request.param)
    return found


@pytest.mark.parametrize(
    "event", [None, True, 0, -1.5, "", "żółć 🎬 \x00\x7f\u2028", [], {}, {"a": [1, {"b": None}], "ü": "\\u00fc"}]
)
def test_event_and_answer_arrive_as_they_were_sent(functions: Functions, event: Any):
    """Whatever JSON can say."""
    assert functions.invoke("echo", event) == event


def test_a_slice_of_a_video_arrives_whole(functions: Functions):
    """4 MiB of any bytes are the largest thing that the gateway sends."""
    event = {"body": base64.b64encode(os.urandom(4 * 1024 * 1024)).decode(), "isBase64Encoded": True}

    assert functions.invoke("echo", event) == event


def test_a_function_that_raises_says_why(functions: Functions):
    """By one such word the authorizer tells that nobody is logged in."""
    with pytest.raises(FunctionFailed) as failed:
        functions.invoke("fails", "good")

    assert failed.value.error_message == "no good"


def test_a_function_that_raises_says_what(ours: Functions):
    """By the name of its exception convert tells that a message is malformed. ministack has one name for all."""
    with pytest.raises(FunctionFailed) as failed:
        ours.invoke("fails", "good")

    assert failed.value.error_type == "ValueError"


@pytest.mark.parametrize("name", ["leaves", "odd", "absent"])
def test_whatever_a_function_does_wrong_is_its_failure(functions: Functions, name: str):
    """It exits, its answer is no JSON, it cannot be imported: none of it is an outage."""
    with pytest.raises(FunctionFailed):
        functions.invoke(name, None)


@pytest.mark.parametrize("event", [None, "x" * 6_000_000])
def test_a_function_that_is_not_there_is_unavailable(functions: Functions, event: Any):
    """The name comes from the template, so it is not the event's fault, however large; it may be there soon."""
    with pytest.raises(FunctionUnavailable) as refused:
        functions.invoke("unknown", event)

    assert not isinstance(refused.value, AnswerLost)


@pytest.mark.parametrize("event", [b"raw", {"a": {1, 2}}, {b"a": 1}, float("nan"), [{"a": -float("inf")}], "\ud800"])
def test_an_event_that_is_not_json_is_the_callers_mistake(functions: Functions, event: Any):
    """So it must not look like the function's."""
    with pytest.raises((TypeError, ValueError)):
        functions.invoke("echo", event)


def test_an_event_over_lambdas_limit_is_refused_and_one_at_it_is_not(ours: Functions):
    """Two bytes are the quotes of the JSON string."""
    largest = "x" * (MAX_PAYLOAD_BYTES - 2)

    assert ours.invoke("echo", largest) == largest
    with pytest.raises(EventTooLarge):
        ours.invoke("echo", largest + "x")


def test_an_answer_over_lambdas_limit_is_refused_and_one_at_it_is_not(ours: Functions):
    """The caller must know that the function did its work."""
    assert len(ours.invoke("times", MAX_PAYLOAD_BYTES - 2)) == MAX_PAYLOAD_BYTES - 2
    with pytest.raises(AnswerTooLarge):
        ours.invoke("times", MAX_PAYLOAD_BYTES - 1)


def test_a_function_sees_the_context_that_lambda_gives(functions: Functions):
    """Convert watches its time, and every log line carries the id."""
    first, second = functions.invoke("tells", None), functions.invoke("tells", None)

    assert first["name"].removeprefix(PREFIX) == "tells"
    assert first["arn"].endswith(f":function:{first['name']}")
    assert TIMEOUT_S * 1000 - 3000 < first["left_ms"] <= TIMEOUT_S * 1000
    assert first["id"] != second["id"]


def test_many_threads_get_their_own_answers(functions: Functions):
    """A gateway calls from many threads, and one answer for another would be somebody else's account."""
    with ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(lambda number: functions.invoke("echo", {"n": number}), range(100)))

    assert answers == [{"n": number} for number in range(100)]
