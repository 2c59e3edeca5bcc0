"""All recipes. To import this module is to register them."""

from tests.inputs import changes, codecs, downmix, gaps, lengths, starts, tagging, tracks, unfinished  # noqa: F401
from tests.inputs.recipe import RECIPES

__all__ = ["RECIPES"]
