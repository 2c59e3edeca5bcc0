"""What must come out of an input, and how what came out differs from it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from tests.inputs.listening import Heard, rms

# The codes of warnings.
FILLED = ("gaps-filled", "damaged")
UNFINISHED = ("unfinished-recording",)
OTHER_TRACK = ("other-track",)

# How far a level may be off: a quarter of a decibel, which a lossy source alone can cause.
_LEVEL = 0.03
_SILENT = 0.004
# A decoder rings around the edges of a gap, and time stamps are rounded to packets.
_EDGE_S = 0.12


class Part(NamedTuple):
    """A stretch, in seconds, and the tones that must be heard in it, left and right: all of these, and no others."""

    start_s: float
    end_s: float
    left: frozenset[int] = frozenset()
    right: frozenset[int] = frozenset()


@dataclass(frozen=True)
class Expected:
    """What must come out. What is None or empty is not looked at.

    Lengths are in seconds. `left` and `right` are the tones, in Hz, that are heard anywhere in the channel; those of
    mono are in `left`. Levels are relative to full scale. `tags` gives frames of ID3 by name and what they say, and
    `no_frames` those that must be missing. `warnings` are codes, one of which must be there, `quiet`
    that there may be none, and `failure` those of failures
    that are as right as the MP3, or the only right ones if there is no length.
    """

    seconds: float | None = None
    tolerance: float = 0.1
    left: tuple[int, ...] | None = None
    right: tuple[int, ...] | None = None
    parts: tuple[Part, ...] = ()
    silent: tuple[tuple[float, float], ...] = ()
    channels: int | None = None
    rate_hz: int | None = None
    rms: float | None = None
    peak_at_most: float | None = None
    tags: Mapping[str, str] = field(default_factory=dict)
    frames: tuple[str, ...] = ()
    no_frames: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    quiet: bool = False
    failure: tuple[str, ...] = ()


def part(start_s: float, end_s: float, left: int | None = None, right: int | None = None) -> Part:
    """Return a stretch with one tone on each side, or none."""
    return Part(start_s, end_s, *(frozenset() if tone is None else frozenset({tone}) for tone in (left, right)))


def stereo(seconds: float, **more: Any) -> Expected:
    """Expect 440 Hz on the left and 880 Hz on the right, and nothing else."""
    return Expected(**{"seconds": seconds, "left": (440,), "right": (880,), "channels": 2, **more})


def tones(*each: int, seconds: float = 1.0, seconds_of_all: float | None = None, **more: Any) -> Expected:
    """Expect these tones one after the other, each for so many seconds, on both sides."""
    edge = 0.1 * seconds
    parts = tuple(part(n * seconds + edge, (n + 1) * seconds - edge, hz, hz) for n, hz in enumerate(each))
    return Expected(**{"seconds": seconds_of_all or len(each) * seconds, "parts": parts, **more})


def mono(seconds: float, tone: int = 440, **more: Any) -> Expected:
    """Expect one tone."""
    return Expected(**{"seconds": seconds, "left": (tone,), "right": (tone,), **more})


def fails(*codes: str) -> Expected:
    """Expect a failure with one of these codes."""
    return Expected(failure=codes)


class Outcome(NamedTuple):
    """What came out: an MP3 with the codes of its warnings, or the code of a failure."""

    heard: Heard | None
    warnings: tuple[str, ...] = ()
    failure: str | None = None


def differences(expected: Sequence[Expected], outcome: Outcome) -> list[str]:
    """Return in words what is not as expected: nothing if one expectation is met, else how the first one is missed."""
    found = [_differences(each, outcome) for each in expected]
    return found[0] if all(found) else []


def _differences(expected: Expected, outcome: Outcome) -> list[str]:
    if outcome.heard is None:
        return [] if outcome.failure in expected.failure else [f"failed with {outcome.failure}"]
    if expected.seconds is None:
        return [f"{outcome.heard.seconds:.2f} s came out, not {' or '.join(expected.failure)}"]
    return [*_sound(expected, outcome.heard), *_tags(expected, outcome.heard), *_warnings(expected, outcome.warnings)]


def _sound(expected: Expected, heard: Heard) -> list[str]:
    found = []
    if expected.seconds is not None and abs(heard.seconds - expected.seconds) > expected.tolerance:
        found.append(f"{heard.seconds:.2f} s, not {expected.seconds:g}")
    if expected.channels is not None and len(heard.samples) != expected.channels:
        found.append(f"{len(heard.samples)} channels, not {expected.channels}")
    if expected.rate_hz is not None and heard.rate_hz != expected.rate_hz:
        found.append(f"{heard.rate_hz} Hz, not {expected.rate_hz}")
    for side, tones, samples in (("left", expected.left, heard.left), ("right", expected.right, heard.right)):
        if tones is not None and (there := heard.all_tones(samples)) != set(tones):
            found.append(f"{side} {_list(there)} Hz, not {_list(tones)}")
    for part in expected.parts:
        found += _part(part, heard)
    for start_s, end_s in expected.silent:
        level = max(rms(heard.part(each, start_s + _EDGE_S, end_s - _EDGE_S)) for each in heard.samples)
        if level > _SILENT:
            found.append(f"{start_s:g} to {end_s:g} s at {level:.3f}, not silent")
    if expected.rms is not None:
        level = max(rms(heard.part(each, 0.5, heard.seconds - 0.5)) for each in heard.samples)
        if abs(level / expected.rms - 1) > _LEVEL:
            found.append(f"rms {level:.3f}, not {expected.rms:.3f}")
    if expected.peak_at_most is not None and heard.peak > expected.peak_at_most:
        found.append(f"peak {heard.peak:.2f}, more than {expected.peak_at_most:g}")
    return found


def _part(part: Part, heard: Heard) -> list[str]:
    found = []
    for side, tones, samples in (("left", part.left, heard.left), ("right", part.right, heard.right)):
        length = part.end_s - part.start_s
        found += [
            f"{side} at {at_s:.2f} s {_list(there)} Hz, not {_list(tones)}"
            for at_s in (part.start_s + length * place for place in (0.25, 0.5, 0.75))
            if (there := heard.tones(samples, at_s)) != tones
        ]
    return found


def _tags(expected: Expected, heard: Heard) -> list[str]:
    found = []
    for name, text in expected.tags.items():
        said = [str(frame) for frame in heard.tag.getall(name)]
        if said != [text]:
            found.append(f"{name} {said}, not {text!r}")
    found += [f"no {name}" for name in expected.frames if not heard.tag.getall(name)]
    found += [f"{name} {heard.tag.getall(name)[0]}" for name in expected.no_frames if heard.tag.getall(name)]
    return found


def _warnings(expected: Expected, codes: Sequence[str]) -> list[str]:
    if expected.warnings and not set(expected.warnings) & set(codes):
        return [f"no warning {' or '.join(expected.warnings)}"]
    return [f"warned of {', '.join(codes)}"] if expected.quiet and codes else []


def _list(tones: Sequence[int] | set[int] | frozenset[int]) -> str:
    return "/".join(map(str, sorted(tones))) or "no"
