"""Functions called in process, as strictly as Lambda would."""

import sys
import threading
import weakref
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from infra.invoke import (
    MAX_PAYLOAD_BYTES,
    AnswerTooLarge,
    Context,
    EventTooLarge,
    FunctionFailed,
    FunctionUnavailable,
    InProcessFunctions,
)
from infra.template import Function

MODULE = """
import datetime
import threading
imports = []
imports.append(1)
contexts = []

def echo(event, context):
    contexts.append(context)
    return event

def times(event, context):
    return "x" * event

def tupled(event, context):
    return {"a": (1, 2), 3: "three"}

def fails(event, context):
    raise KeyError("secret")

def bytes_(event, context):
    return b"raw"

def nan(event, context):
    return float("nan")

def leaves(event, context):
    raise SystemExit(3)

def dated(event, context):
    return {"at": [datetime.datetime.now(datetime.UTC)]}
"""


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    (tmp_path / "functions_of_a_test.py").write_text(MODULE)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "functions_of_a_test", raising=False)
    return "functions_of_a_test"


@pytest.fixture
def functions(module: str) -> InProcessFunctions:
    names = ("echo", "times", "tupled", "fails", "bytes_", "nan", "leaves", "dated", "absent")
    handlers = {name: Function(name, f"{module}.{name}", 29, 512) for name in names}
    handlers["nowhere"] = Function("nowhere", "no.such.module.handler", 29, 512)
    return InProcessFunctions(handlers, new_id=lambda: "request-1")


def test_a_function_is_imported_at_its_first_call(functions: InProcessFunctions, module: str):
    """So one that cannot start does not keep the others from serving, and start-up stays fast."""
    assert module not in sys.modules

    assert functions.invoke("echo", {"a": 1}) == {"a": 1}
    assert module in sys.modules


def test_an_import_happens_once_even_if_many_call_at_once(functions: InProcessFunctions, module: str):
    """Two connections pools where one was meant would be hard to see."""
    threads = [threading.Thread(target=functions.invoke, args=("echo", None)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert sys.modules[module].imports == [1]


def test_event_and_answer_go_through_json(functions: InProcessFunctions):
    """Tuples, number keys and shared objects work in Python and not on Lambda."""
    event = {"list": [1]}

    answer = functions.invoke("echo", event)

    assert answer == event
    assert answer is not event
    assert functions.invoke("tupled", None) == {"a": [1, 2], "3": "three"}


@pytest.mark.parametrize(
    "event", [b"raw", {"a": {1, 2}}, float("nan"), [{"a": -float("inf")}], "\ud800", {(1, 2): 3}, datetime.now(UTC)]
)
def test_an_event_that_is_not_json_is_refused(functions: InProcessFunctions, event: Any):
    """It is the caller's mistake, so it must not look like the function's."""
    with pytest.raises((TypeError, ValueError)):
        functions.invoke("echo", event)


@pytest.mark.parametrize(
    ("name", "error_type"),
    [
        ("fails", "KeyError"),
        ("bytes_", "TypeError"),
        ("nan", "ValueError"),
        ("absent", "AttributeError"),
        ("nowhere", "ModuleNotFoundError"),
        ("leaves", "SystemExit"),
        ("dated", "TypeError"),
    ],
)
def test_a_function_that_fails_says_how(functions: InProcessFunctions, name: str, error_type: str):
    """As Lambda reports it: the type and the message. One that cannot be imported or that exits fails too."""
    with pytest.raises(FunctionFailed) as failed:
        functions.invoke(name, None)

    assert failed.value.error_type == error_type
    assert failed.value.__cause__ is not None


def test_a_function_that_failed_to_start_is_tried_again(functions: InProcessFunctions, module: str):
    """Lambda, too, starts it anew at the next call."""
    with pytest.raises(FunctionFailed):
        functions.invoke("absent", None)
    sys.modules[module].absent = lambda event, context: "there"  # type: ignore[attr-defined]

    assert functions.invoke("absent", None) == "there"


def test_an_unknown_function_is_unavailable(functions: InProcessFunctions):
    """The name comes from the template, so it is not the event's fault."""
    with pytest.raises(FunctionUnavailable, match="unknown"):
        functions.invoke("unknown", None)


def test_an_event_over_lambdas_limit_is_refused_and_one_at_it_is_not(functions: InProcessFunctions):
    """Two bytes are the quotes of the JSON string."""
    assert functions.invoke("echo", "x" * 10) == "x" * 10
    with pytest.raises(EventTooLarge):
        functions.invoke("times", "x" * (MAX_PAYLOAD_BYTES - 1))
    largest = "x" * (MAX_PAYLOAD_BYTES - 2)
    assert functions.invoke("echo", largest) == largest


def test_the_limit_counts_bytes_and_not_letters(functions: InProcessFunctions):
    """An é is two bytes of UTF-8."""
    with pytest.raises(EventTooLarge):
        functions.invoke("echo", "é" * (MAX_PAYLOAD_BYTES // 2))


def test_an_answer_over_lambdas_limit_is_refused(functions: InProcessFunctions):
    """It would work here and fail on AWS."""
    assert len(functions.invoke("times", MAX_PAYLOAD_BYTES - 2)) == MAX_PAYLOAD_BYTES - 2
    with pytest.raises(AnswerTooLarge):
        functions.invoke("times", MAX_PAYLOAD_BYTES - 1)


def test_a_context_is_like_lambdas(functions: InProcessFunctions, module: str):
    """Functions read these: https://docs.aws.amazon.com/lambda/latest/dg/python-context.html ."""
    functions.invoke("echo", None)

    context = sys.modules[module].contexts[-1]
    assert context.function_name == "echo"
    assert context.aws_request_id == "request-1"
    assert context.memory_limit_in_mb == 512
    assert context.invoked_function_arn == "arn:aws:lambda:us-east-1:000000000000:function:echo"
    assert 28_000 < context.get_remaining_time_in_millis() <= 29_000


def test_a_host_that_ends_moves_the_deadline_forward_and_never_back():
    """So a function that works for long learns that it must stop."""
    now = 100.0
    context = Context(Function("f", "f", 60, 128), request_id="r", timeout_s=60, monotonic=lambda: now)
    assert context.get_remaining_time_in_millis() == 60_000

    context.shorten(25)
    assert context.get_remaining_time_in_millis() == 25_000
    context.shorten(40)
    assert context.get_remaining_time_in_millis() == 25_000
    now = 200.0
    assert context.get_remaining_time_in_millis() == 0


def test_a_host_can_hand_in_the_context(functions: InProcessFunctions, module: str):
    """Triggers keep it, to shorten it when they must end."""
    context = functions.context("echo")

    functions.invoke("echo", None, context)

    assert sys.modules[module].contexts[-1] is context


def test_an_event_is_let_go_of_while_the_function_works(functions: InProcessFunctions, module: str):
    """A slice of a video is some megabytes, and several are worked on at a time."""

    class Event(dict[str, str]):
        pass

    references: list[weakref.ref[Event]] = []
    alive: list[bool] = []

    def event() -> Event:
        made = Event(body="x")
        references.append(weakref.ref(made))
        return made

    def look(received: Any, context: Any) -> None:
        alive.append(references[0]() is not None)

    functions.invoke("echo", None)
    sys.modules[module].absent = look  # type: ignore[attr-defined]
    functions.invoke("absent", event())

    assert alive == [False]
