"""The one table of problems."""

import importlib
import json
import pkgutil
import re
from collections.abc import Iterator
from http import HTTPStatus

import pytest

import functions
from functions.shared.problems import PROBLEMS, FieldError, InternalProblem, InvalidInput, Problem, Unavailable


def every_problem() -> list[type[Problem]]:
    for module in pkgutil.walk_packages(functions.__path__, "functions."):
        importlib.import_module(module.name)
    return sorted(_subclasses(Problem), key=lambda problem: f"{problem.__module__}.{problem.__name__}")


def _subclasses(problem: type[Problem]) -> Iterator[type[Problem]]:
    for subclass in problem.__subclasses__():
        if subclass.__module__.startswith("functions."):
            yield subclass
        yield from _subclasses(subclass)


@pytest.mark.parametrize("problem", every_problem(), ids=lambda problem: problem.__name__)
def test_every_problem_has_a_status(problem):
    """A code that the table lacks would be a KeyError in the middle of an answer."""
    assert problem.code in PROBLEMS
    assert (problem.code == Problem.code) == (problem is InternalProblem), "It has no code of its own."


@pytest.mark.parametrize("code", PROBLEMS)
def test_a_code_reads_like_a_path_and_means_an_error(code):
    assert re.fullmatch(r"[a-z]+(-[a-z]+)*", code)
    assert PROBLEMS[code].status >= HTTPStatus.BAD_REQUEST
    assert PROBLEMS[code].title


def test_the_body_is_a_problem_document():
    """RFC 9457 says what it holds; the fields that are wrong are our addition."""
    problem = InvalidInput(FieldError("quality", "Use one of: v0, v2."), FieldError("speed", "There is no such field."))

    assert json.loads(problem.to_json()) == {
        "type": "/problems/invalid-input",
        "title": "The input is not valid",
        "status": 422,
        "detail": "Correct and send again: quality, speed.",
        "errors": [
            {"field": "quality", "message": "Use one of: v0, v2."},
            {"field": "speed", "message": "There is no such field."},
        ],
    }


def test_a_problem_without_fields_names_none():
    assert "errors" not in json.loads(Unavailable("The storage").to_json())


def test_a_server_that_does_not_answer_is_worth_another_try():
    assert Unavailable("The storage").headers == {"Retry-After": "5"}
