"""Variants of what people really have, with the real ffmpeg. The best known ones go through the whole service."""

import os
import shutil
from collections.abc import Iterator
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

_ALL = [recipe for recipe in RECIPES if recipe.is_variant]
# Each kind is there in any case: those of a kind follow one another.
VARIANTS = _ALL if os.environ.get("ALL_COMBINATIONS") else _ALL[::3]


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
