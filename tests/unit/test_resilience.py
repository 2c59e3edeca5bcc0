"""docs/resilience.md: its figures, held against the code. Its table of routes is held against what was observed."""

import importlib
import inspect
import re
from pathlib import Path

import pytest

TEXT = (Path(__file__).parents[2] / "docs/resilience.md").read_text()
FIGURES = re.findall(r"(\d[\d.]*)(?: m?s)? \(`([a-z_0-9.]+)\.(\w+)(?:\((\w+)\))?`\)", TEXT)


@pytest.mark.parametrize(
    ("figure", "module", "name", "parameter"), FIGURES, ids=[".".join(each[1:]) for each in FIGURES]
)
def test_a_figure_is_the_one_in_the_code(figure: str, module: str, name: str, parameter: str):
    """It is read by somebody who wonders for how long something may hang, and there it must be right."""
    found = getattr(importlib.import_module(module), name)
    if parameter:
        found = inspect.signature(found).parameters[parameter].default

    assert float(figure) == found


def test_every_name_in_code_has_its_figure():
    """One that the pattern above does not find would be compared with nothing."""
    named = re.findall(r"\(`((?:functions|infra)\.[^`]+)`\)", TEXT)

    assert len(named) == len(FIGURES) >= 20
