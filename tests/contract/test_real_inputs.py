"""Variants of what people really have, with the real ffmpeg. The best known ones go through the whole service."""

import os
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from functions.convert.encoder import FfmpegEncoder
from functions.convert.failures import ConversionFailed
from functions.convert.video import StoredVideo
from functions.shared.conversions import Video
from functions.shared.options import Options
from tests.conversions import conversion
from tests.fakes.shared import FakeFiles
from tests.inputs.everything import RECIPES
from tests.inputs.expected import Outcome, differences
from tests.inputs.listening import listen
from tests.inputs.recipe import Recipe
from tests.media import ffmpeg

_ALL = [recipe for recipe in RECIPES if recipe.is_variant]
# Each kind is there in any case: those of a kind follow one another.
VARIANTS = _ALL if os.environ.get("ALL_COMBINATIONS") else _ALL[::3]
# Of these either an MP3 or a refusal is right.
_MAY_BE_REFUSED = [
    recipe
    for recipe in RECIPES
    if any(each.failure for each in recipe.expected) and any(each.seconds for each in recipe.expected)
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    folder = tmp_path_factory.mktemp("inputs")
    yield folder
    shutil.rmtree(folder)


@pytest.mark.parametrize("recipe", VARIANTS, ids=lambda recipe: recipe.name)
def test_what_people_have_becomes_what_they_mean(folder: Path, tmp_path: Path, recipe: Recipe) -> None:
    """A kind of input is understood in every container, codec and value in which it comes."""
    outcome = _outcome(recipe.made_in(folder), tmp_path / "a.mp3")

    assert not differences(recipe.expected, outcome), recipe.why


@pytest.mark.parametrize("recipe", _MAY_BE_REFUSED, ids=lambda recipe: recipe.name)
def test_nothing_is_refused_that_plain_ffmpeg_converts_rightly(folder: Path, tmp_path: Path, recipe: Recipe) -> None:
    """A reason is better than a bad MP3, but no better than a good one."""
    source = recipe.made_in(folder)
    mp3 = tmp_path / "plain.mp3"
    try:
        ffmpeg("-i", str(source), "-q:a", "2", str(mp3))
    except AssertionError:
        return  # it does not convert it at all

    # Where a word is needed, plain ffmpeg has none.
    without_tags = [replace(each, tags={}, frames=()) for each in recipe.expected if each.seconds]
    plain_is_right = not differences(without_tags, Outcome(listen(mp3)))
    refused = _outcome(source, tmp_path / "a.mp3").failure

    assert not (refused and plain_is_right), recipe.why


def _outcome(source: Path, mp3: Path) -> Outcome:
    files = FakeFiles()
    files.put("c1", [source.read_bytes()])
    video = StoredVideo(files, conversion(video=Video(bytes=source.stat().st_size, sha256=None)))
    with mp3.with_suffix(".frames").open("w+b") as frames:
        try:
            encoded = FfmpegEncoder(max_duration_s=8 * 3600).encode(video, frames, Options(), lambda _: None)
        except ConversionFailed as error:
            return Outcome(None, failure=error.failure.type)
        frames.seek(0)
        mp3.write_bytes(encoded.tag + frames.read())
    return Outcome(listen(mp3), tuple(note.code for note in encoded.notes))
