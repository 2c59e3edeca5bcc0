"""Any container, codec, start, gap and harm: no sound is missing without a word, and each second is where it was."""

import os
import random
import subprocess
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import imageio_ffmpeg
import pytest

from functions.convert.encoder import Encoded
from functions.convert.failures import ConversionFailed
from functions.convert.media.listing import packets, streams
from functions.convert.mp3.frames import HEADER_BYTES, frame_of
from functions.shared.conversions import Method
from functions.shared.options import Damaged, Options
from tests.attempts import attempt
from tests.damage import SEED, SOUND_S, TENTH_S, UNHARMED, WHOLE, Combination, Tenths, combinations, find_tenths
from tests.inputs.listening import listen
from tests.media import ffmpeg
from tests.reports import Report

_HAS_ALL = bool(os.environ.get("ALL_COMBINATIONS"))
_ALL = combinations()
_CHOSEN = _ALL if _HAS_ALL else random.Random(SEED).sample(_ALL, 40)

# Nobody has to be told of less than this and a piece of sound, in seconds.
_UNTOLD_S = 0.1
# Around a gap a codec needs a moment to find its way again.
_EDGE_S = 0.25
_OF_WHAT_IS_MISSING = {"gaps-filled", "damaged", "cut-off", "unfinished-recording"}
_CUT_FAILURES = {"truncated-media", "corrupt-media"}
_ZEROS_FAILURES = {"corrupt-media", "truncated-media", "invalid-media"}


class Result(NamedTuple):
    """What came of a combination: how it ended, and what is wrong with that."""

    ended: str
    violations: list[str]


@pytest.fixture(scope="module")
def tally(report: Report) -> Iterator[Counter[str]]:
    tally: Counter[str] = Counter()
    yield tally
    ends = ", ".join(f"{ended} {tally[ended]}" for ended in ("completed", "completed with a warning", "failed"))
    report.add("Whole sound", f"{tally.total()} combinations: {ends}")


@pytest.mark.parametrize("combination", _CHOSEN, ids=str)
def test_no_sound_is_missing_without_a_word(tmp_path: Path, tally: Counter[str], combination: Combination) -> None:
    """Whatever happened to a recording: it fails for a reason that fits, or its MP3 has all that is told of it."""
    video = tmp_path / f"video.{combination.kind.ending}"
    combination.write(video)

    result = _convert(combination, video, tmp_path / "a.mp3")

    tally[result.ended] += 1
    assert not result.violations


def _convert(combination: Combination, video: Path, mp3: Path) -> Result:
    try:
        encoded = attempt(video, mp3, Options(damaged=Damaged.ACCEPT if combination.is_accepted else Damaged.REFUSE))
    except ConversionFailed as failed:
        return Result("failed", _wrong_failure(combination, failed))
    ended = "completed with a warning" if encoded.notes else "completed"
    violations = [
        *_wrong_length(combination, encoded, video),
        *_wrong_sound(combination, encoded, video, mp3),
        *_wrong_warnings(combination, encoded),
        *_changed_samples(combination, encoded, video, mp3),
    ]
    return Result(ended, violations)


def _wrong_failure(combination: Combination, failed: ConversionFailed) -> list[str]:
    harm = combination.harm
    fitting = set() if harm is UNHARMED else _ZEROS_FAILURES if harm.has_zeros else _CUT_FAILURES
    failure = failed.failure
    return [] if failure.type in fitting else [f"failed with {failure.type}: {failure.detail}"]


def _wrong_length(combination: Combination, encoded: Encoded, video: Path) -> Iterator[str]:
    """Yield by how much the MP3 is not as long as the sound, from the start of the file."""
    expected = _end_s(combination, video)
    facts = encoded.facts
    tolerance = (1152 if facts.sample_rate_hz >= 32_000 else 576) / facts.sample_rate_hz + combination.kind.piece_s
    if combination.harm.has_zeros and not combination.kind.has_clock:
        tolerance += _UNTOLD_S
    difference = facts.duration_s - expected
    is_told = bool(encoded.notes) and combination.harm is not UNHARMED
    may_be_longer = is_told and not combination.kind.has_clock and not combination.kind.promises
    if (difference > tolerance and not may_be_longer) or (difference < -tolerance and not is_told):
        yield f"{facts.duration_s:.3f} s, not {expected:.3f} s"


def _wrong_sound(combination: Combination, encoded: Encoded, video: Path, mp3: Path) -> Iterator[str]:
    """Yield which tenths of a second are not where they were, or are missing without a word."""
    kind, start, harm = combination.kind, combination.start, combination.harm
    found = find_tenths(listen(mp3), start.late_s or kind.delay_s)
    lost = [*found.silent, *found.wrong]
    if harm.kept < 1 and not kind.promises:
        # Nobody knows of what was cut off.
        reached_s = _end_s(combination, video) - start.late_s
        lost = [number for number in lost if (number + 2) * TENTH_S < reached_s]
    lost_s = len(lost) * TENTH_S
    if harm.has_zeros and not kind.has_clock:
        # Nothing says where the sound behind them was.
        lost_s = max(_end_s(combination, video) - encoded.facts.duration_s, len(found.silent) * TENTH_S)
    elif misplaced := [
        number for number in found.wrong if number in lost and not _is_at_a_hole(number, found, combination)
    ]:
        yield f"something else at tenths {misplaced}"
    is_told = bool(_OF_WHAT_IS_MISSING & {note.code for note in encoded.notes})
    was_recorded = kind.zeros_are_sound and harm.has_zeros
    if lost_s > _UNTOLD_S + kind.piece_s and not is_told and not was_recorded:
        yield f"{lost_s:.1f} s are missing without a word: {found.silent} silent, {found.wrong} something else"


def _is_at_a_hole(number: int, found: Tenths, combination: Combination) -> bool:
    """Say whether a tenth is where a codec finds its way: at the start, at silence, or where bytes or packets lack."""
    edge_s = _EDGE_S + combination.kind.piece_s
    at_s = number * TENTH_S
    holes = [*combination.gap.holes, *combination.harm.holes]
    return (
        at_s < combination.kind.piece_s
        or any(abs(number - silent) * TENTH_S <= edge_s for silent in found.silent)
        or any(hole[0] - edge_s <= at_s <= hole[1] + edge_s for hole in holes)
    )


def _wrong_warnings(combination: Combination, encoded: Encoded) -> Iterator[str]:
    """Yield what is told although it is not so, and that a late start is not told."""
    codes = {note.code for note in encoded.notes}
    # Some fragments keep the first packet at the start, and say that it lasts until the sound begins.
    if combination.start.late_s and not codes & {"sound-starts-late", "gaps-filled"}:
        yield "the late start is not told"
    allowed = {"sound-starts-late"} if combination.start.late_s else set()
    if combination.gap is not WHOLE:
        # A codec that lacks what came before may be loud for a moment.
        allowed |= {"gaps-filled", "limited"}
    if combination.harm is UNHARMED and codes - allowed:
        yield f"warned of {', '.join(sorted(codes - allowed))}"


def _changed_samples(combination: Combination, encoded: Encoded, video: Path, mp3: Path) -> Iterator[str]:
    """Yield whether sound of which nothing is missing became other frames than a plain ffmpeg makes of it."""
    starts_at_once = not combination.start.late_s and not combination.kind.delay_s
    if not combination.is_whole or not starts_at_once or encoded.method is Method.COPIED:
        return
    plain = mp3.with_name("plain.mp3")
    as_here = ("-af", "aresample=osf=flt", "-c:a", "libmp3lame", "-q:a", "2", "-id3v2_version", "0")
    ffmpeg("-i", str(video), "-map", "0:a:0", *as_here, str(plain))
    if _sound_frames(mp3.with_suffix(".frames").read_bytes()) != _sound_frames(plain.read_bytes()):
        yield "the frames are not those of a plain ffmpeg"


def _sound_frames(mp3: bytes) -> bytes:
    """Return the frames behind the Info frame, in which lengths are told."""
    info = frame_of(mp3[:HEADER_BYTES])
    assert info
    return mp3[info.bytes :]


def _end_s(combination: Combination, video: Path) -> float:
    """Return when the sound ends, from the start of the file: of a cut file, when its last packet does."""
    if combination.harm.kept == 1:
        return combination.start.late_s + SOUND_S
    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-v", "quiet", "-i", str(video), "-map", "0", "-c", "copy"]
    listing = subprocess.run([*command, "-f", "framecrc", "-"], capture_output=True, timeout=60, check=False).stdout
    sound = [number for number, stream in enumerate(streams(listing)) if stream.kind == "audio"]
    return max((packet.end_s for packet in packets(listing.splitlines()) if packet.stream in sound), default=0.0)
