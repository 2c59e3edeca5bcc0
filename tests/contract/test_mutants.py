"""Files in which some bytes were changed at random: none takes a worker down, or is tried again and again."""

import math
import os
import random
import shutil
import struct
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from functions.convert.failures import ConversionFailed
from tests.attempts import attempt
from tests.damage import KINDS, SEED, Combination, Kind
from tests.media import ffmpeg
from tests.reports import Report

_CODECS = {
    "mp4": ("aac", "flac"),
    "mov": ("pcm_s16le",),
    "fragmented mp4": ("aac",),
    "3gp": ("libopencore_amrnb",),
    "mkv": ("aac", "libvorbis"),
    "webm": ("libopus",),
    "ts": ("aac",),
    "m2ts": ("ac3",),
    "mpg": ("mp2",),
    "flv": ("libmp3lame",),
    "avi": ("libmp3lame",),
    "wmv": ("wmav2",),
    "mxf": ("pcm_s16le",),
    "ogg": ("libopus",),
    "mp3": ("libmp3lame",),
    "flac": ("flac",),
    "wv": ("wavpack",),
    "wav": ("adpcm_ms",),
    "caf": ("alac",),
    "aac": ("aac",),
    "nut": ("libvorbis",),
    "aiff": ("pcm_s16be",),
}
_FITTING = {
    *("corrupt-media", "duration-exceeded", "encrypted-media", "invalid-media", "no-audio-track"),
    *("too-many-streams", "truncated-media", "unsupported-media"),
}
_LONGEST_S = 20
_OF_EACH = 25
# Heads and tails hold what describes the rest, and are a small part of a file.
_EDGE_BYTES = 2048
_MOST_BYTES_CHANGED = 48


class Mutant(NamedTuple):
    """A file of one kind, with bytes changed as this seed says."""

    kind: Kind
    seed: str

    def __str__(self) -> str:
        return self.seed

    def made_of(self, data: bytes) -> bytes:
        """Return the file with its changes."""
        chance = random.Random(self.seed)
        start, end = chance.choice([(0, len(data)), (0, _EDGE_BYTES), (len(data) - _EDGE_BYTES, len(data))])
        changed = bytearray(data)
        for _ in range(chance.randint(1, _MOST_BYTES_CHANGED)):
            changed[chance.randrange(max(start, 0), min(end, len(data)))] = chance.choice(
                [0, 0xFF, chance.randrange(256)]
            )
        return bytes(changed)


def _all() -> list[Mutant]:
    kinds = [kind for kind in KINDS if kind.codec in _CODECS.get(kind.label or kind.ending, ())]
    return [Mutant(kind, f"{SEED} {kind.name} {number}") for kind in kinds for number in range(_OF_EACH)]


_CHOSEN = _all() if os.environ.get("ALL_COMBINATIONS") else random.Random(SEED).sample(_all(), 50)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    folder = tmp_path_factory.mktemp("mutants")
    yield folder
    shutil.rmtree(folder)


@pytest.fixture(scope="module")
def tally(report: Report) -> Iterator[Counter[str]]:
    tally: Counter[str] = Counter()
    yield tally
    formats = len({mutant.kind for mutant in _CHOSEN})
    ends = ", ".join(f"{ended} {count}" for ended, count in sorted(tally.items()))
    report.add("Mutants", f"{tally.total()} of {formats} formats: {ends}")


@pytest.mark.parametrize("mutant", _CHOSEN, ids=str)
def test_a_mutant_ends_in_one_attempt(folder: Path, tmp_path: Path, tally: Counter[str], mutant: Mutant) -> None:
    """A file that makes a worker fail is tried again, and would make the next one fail."""
    whole = folder / f"{mutant.kind.name}.{mutant.kind.ending}"
    if not whole.exists():
        Combination(mutant.kind).write(whole)
    video = tmp_path / whole.name
    video.write_bytes(mutant.made_of(whole.read_bytes()))

    started = time.monotonic()
    ended = _end_of_an_attempt(video)

    tally[ended] += 1
    assert ended in {"completed", *_FITTING}
    assert time.monotonic() - started < _LONGEST_S


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, 1e10, 1e30])
def test_samples_that_are_no_sound_end_in_one_attempt(tmp_path: Path, value: float) -> None:
    """Programs that mix in floats store what they computed, and damage makes any number of them. LAME expects sound."""
    video = tmp_path / "a.wav"
    ffmpeg("-f", "lavfi", "-i", "sine=duration=2:sample_rate=48000", "-c:a", "pcm_f32le", str(video))
    data = bytearray(video.read_bytes())
    for number in range(24_000, 30_000, 3):
        struct.pack_into("<f", data, data.index(b"data") + 8 + 4 * number, value)
    video.write_bytes(data)

    assert _end_of_an_attempt(video) in {"completed", "corrupt-media"}


def _end_of_an_attempt(video: Path) -> str:
    try:
        attempt(video, video.with_suffix(".made.mp3"))
    except ConversionFailed as failed:
        return failed.failure.type
    return "completed"
