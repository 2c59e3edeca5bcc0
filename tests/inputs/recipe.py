"""How a recipe is written: a function that makes an input, what it stands for, and what must come out."""

import functools
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NamedTuple, TypeVar

from tests.inputs.expected import Expected

Maker = TypeVar("Maker", bound=Callable[..., None])


class Recipe(NamedTuple):
    """One input. If several expectations are right, one of them must be met.

    `is_variant` marks those for whose kind another recipe stands.
    """

    name: str
    why: str
    make: Callable[[Path], None]
    expected: tuple[Expected, ...]
    is_variant: bool

    def made_in(self, folder: Path) -> Path:
        """Return the input, which is made if it is not there."""
        path = folder / self.name
        if not path.exists():
            self.make(path)
        return path


RECIPES: list[Recipe] = []


def gives(
    ending: str, expected: Expected, *or_else: Expected, label: str = "", **arguments: object
) -> Callable[[Maker], Maker]:
    """Register a function as a recipe for files with this ending; `arguments` are those of the function.

    A function may have several of these, which `label` tells apart.
    """
    return _register(ending, label, (expected, *or_else), arguments, is_variant=False)


def also_gives(
    ending: str, expected: Expected, *or_else: Expected, label: str = "", **arguments: object
) -> Callable[[Maker], Maker]:
    """Register a variant of what the function makes."""
    return _register(ending, label, (expected, *or_else), arguments, is_variant=True)


def _register(
    ending: str, label: str, expected: tuple[Expected, ...], arguments: Mapping[str, object], *, is_variant: bool
) -> Callable[[Maker], Maker]:
    def register(make: Maker) -> Maker:
        words = "-".join([make.__name__, label])
        name = re.sub(r"[^A-Za-z0-9.]+", "-", words).strip("-") + f".{ending}"
        assert name not in {recipe.name for recipe in RECIPES}, name
        why = (make.__doc__ or "").strip().splitlines()[0]
        RECIPES.append(Recipe(name, why, functools.partial(make, **arguments), expected, is_variant))
        return make

    return register
