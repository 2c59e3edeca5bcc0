"""Inputs that people really have, as they go through the whole service. Nothing is faked."""

import shutil
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from infra.local.stack import RunningStack
from tests.inputs.everything import RECIPES
from tests.inputs.expected import Outcome, differences
from tests.inputs.listening import listen
from tests.inputs.recipe import Recipe
from tests.reports import Report
from tests.tus import new_person
from video2mp3 import Client, Conversion, State

# Their variants go through the encoder alone, in tests/contract.
KNOWN = [recipe for recipe in RECIPES if not recipe.is_variant]


@pytest.fixture(scope="module")
def person(stack: RunningStack) -> Iterator[Client]:
    somebody = new_person(stack.url).person
    yield somebody
    somebody.close()


@pytest.fixture(scope="module")
def uploaded(
    request: pytest.FixtureRequest, person: Client, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Mapping[str, str]]:
    """The ids of the conversions by the name of the input, of which many are under way at once."""
    folder = tmp_path_factory.mktemp("inputs")
    wanted = _chosen(request.session.items)
    with ThreadPoolExecutor(2) as makers:
        inputs = makers.map(lambda recipe: recipe.made_in(folder), wanted)
        yield {path.name: person.upload(path).id for path in inputs}
    shutil.rmtree(folder)


@pytest.fixture(scope="module")
def lines(report: Report) -> Iterator[list[str]]:
    """What is printed about each input at the end of the run."""
    lines: list[str] = []
    yield lines
    report.add("Inputs that people really have, and what came out", *lines)


@pytest.mark.parametrize("recipe", KNOWN, ids=lambda recipe: recipe.name)
def test_what_people_have_becomes_what_they_mean(
    person: Client, uploaded: Mapping[str, str], lines: list[str], tmp_path: Path, recipe: Recipe
) -> None:
    """Each input stands for many files, which the docstring of its recipe describes."""
    conversion = person.wait(uploaded[recipe.name], timeout_s=120)
    outcome = _outcome(person, conversion, tmp_path / "a.mp3")
    wrong = differences(recipe.expected, outcome)
    lines.append(f"{recipe.name:<64} {_described(outcome)}{'  WRONG' if wrong else ''}")

    assert not wrong, recipe.why
    assert conversion.attempts == 1
    if outcome.heard and conversion.mp3:
        assert conversion.mp3.duration_s == pytest.approx(outcome.heard.seconds, abs=0.03)
        assert conversion.mp3.sample_rate_hz == outcome.heard.rate_hz
        assert conversion.mp3.channels == len(outcome.heard.samples)


def _chosen(items: Iterable[pytest.Item]) -> list[Recipe]:
    """Return the recipes whose tests run, which may be few."""
    here = [item for item in items if isinstance(item, pytest.Function) and item.path == Path(__file__)]
    names = {item.callspec.id for item in here}
    return [recipe for recipe in KNOWN if recipe.name in names]


def _outcome(person: Client, conversion: Conversion, mp3: Path) -> Outcome:
    if conversion.state is not State.COMPLETED:
        return Outcome(None, failure=conversion.error.type if conversion.error else str(conversion.state))
    person.save(conversion.id, mp3)
    return Outcome(listen(mp3), tuple(note.code for note in conversion.warnings))


def _described(outcome: Outcome) -> str:
    if outcome.heard is None:
        return f"{outcome.failure}"
    return f"{outcome.heard.seconds:5.1f} s  {', '.join(outcome.warnings)}"
