"""Where functions are called: what FUNCTION_ENDPOINTS says, and what is said when it cannot be read."""

import os
import subprocess
import sys
import weakref
from typing import Any

import pytest

from functions.shared.logs import get_logger
from functions.shared.settings import InvalidSettings
from infra.endpoints import ChosenFunctions, choose_functions, parse_endpoints
from infra.gateway.__main__ import Settings, create_gateway
from infra.invoke import FunctionUnavailable
from infra.local.processes import free_port
from infra.template import load_template
from tests.fakes.gateway import LOGIN, assert_problem, send

FUNCTIONS = load_template().functions


class Place:
    """Functions that answer where they are."""

    def __init__(self, name: str) -> None:
        self.name = name

    def invoke(self, function_name: str, event: Any) -> Any:
        return f"{function_name} at {self.name}"


def test_without_endpoints_every_function_is_in_this_process():
    """As on a laptop."""
    here = Place("here")

    assert choose_functions(FUNCTIONS, here, parse_endpoints("", FUNCTIONS), prefix="") is here


def test_each_function_can_be_somewhere_else():
    text = " AuthFunction=http://auth:9000, AuthorizerFunction=http://auth:9000 ,UploadFunction=https://[::1]:443/x,"

    assert parse_endpoints(text, FUNCTIONS) == {
        "AuthFunction": "http://auth:9000",
        "AuthorizerFunction": "http://auth:9000",
        "UploadFunction": "https://[::1]:443/x",
    }


def test_the_star_is_all_that_are_not_named():
    """An emulator has every function at one address."""
    endpoints = parse_endpoints("*=http://aws:4566,AuthFunction=http://auth:9000", FUNCTIONS)

    assert endpoints.keys() == FUNCTIONS.keys()
    assert endpoints.pop("AuthFunction") == "http://auth:9000"
    assert set(endpoints.values()) == {"http://aws:4566"}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("AuthFunktion=http://auth:9000", "no function 'AuthFunktion'"),
        ("http://auth:9000", "not like name=url"),
        ("AuthFunction=http://a:1,AuthFunction=http://b:1", "'AuthFunction' is there twice"),
        ("*=http://a:1,*=http://b:1", "'*' is there twice"),
        ("AuthFunction=auth:9000", "needs a URL like http://host:9000"),
        ("AuthFunction=", "needs a URL"),
        ("AuthFunction=http://", "needs a URL"),
        ("AuthFunction=http://auth:port", "needs a URL"),
        ("AuthFunction=http://auth:0", "needs a URL"),
        ("AuthFunction=http://user:secret@auth", "needs a URL"),
        ("AuthFunction=http://auth?a=b", "needs a URL"),
        ("AuthFunction=ftp://auth", "needs a URL"),
        ("AuthFunction=http://[auth", "needs a URL"),
    ],
)
def test_what_cannot_be_read_is_named_with_its_variable(text: str, said: str):
    """Whoever deploys it sees at the start which one to correct."""
    with pytest.raises(InvalidSettings) as refused:
        parse_endpoints(text, FUNCTIONS)

    assert "FUNCTION_ENDPOINTS" in str(refused.value)
    assert said in str(refused.value)
    assert "secret" not in str(refused.value)


def test_a_function_is_called_where_it_is():
    functions = ChosenFunctions({"a": Place("one"), "b": Place("two")})

    assert functions.invoke("a", None) == "a at one"
    assert functions.invoke("b", None) == "b at two"
    with pytest.raises(FunctionUnavailable):
        functions.invoke("c", None)


def test_an_event_on_its_way_is_held_by_nobody_but_who_is_called():
    """A slice of a video is some megabytes, and several are worked on at a time."""

    class Event(dict[str, str]):
        pass

    class Looks:
        alive = True

        def invoke(self, function_name: str, event: Any) -> Any:
            reference = weakref.ref(event)
            del event
            self.alive = reference() is not None

    looks = Looks()

    ChosenFunctions({"a": looks}).invoke("a", Event(body="x"))

    assert not looks.alive


def test_a_gateway_whose_functions_are_all_elsewhere_needs_none_of_their_settings():
    """It has no key to anybody's account, nor a password of a database that it does not read."""
    settings = Settings(mongodb_url="mongodb://127.0.0.1:9/x", function_endpoints=f"*=http://127.0.0.1:{free_port()}")
    gateway = create_gateway(settings, get_logger("gateway"))

    answer = send(gateway, "POST", LOGIN, json={"email": "a@example.com", "password": "correct horse battery"})

    assert_problem(answer, "unavailable")
    assert int(answer.headers["retry-after"]) > 0


def test_a_gateway_that_was_told_nonsense_does_not_start_and_says_so():
    """A container that fails at once is seen by whoever deploys it."""
    environ = {**os.environ, "MONGODB_URL": "mongodb://127.0.0.1:9/x", "FUNCTION_ENDPOINTS": "Auth=http://auth:9000"}
    command = [sys.executable, "-m", "infra.gateway"]

    ended = subprocess.run(command, env=environ, capture_output=True, text=True, timeout=60, check=False)

    assert ended.returncode == 1
    assert "The gateway cannot start: The environment variable FUNCTION_ENDPOINTS cannot be used" in ended.stderr
    assert "Traceback" not in ended.stderr
