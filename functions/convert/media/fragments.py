"""Reads the fragments of an MP4, each of which has an index of its own, `moof`: ISO/IEC 14496-12, 8.8."""

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

from functions.convert.failures import InvalidMedia
from functions.convert.media.boxes import Box, children
from functions.convert.media.source import Source, big_endian

# Eight hours in fragments of half a second take as much, with two tracks: a box is one step, and a run of samples more.
_MOST_STEPS = 1_000_000
_RUN_STEPS = 4
# Samples of all fragments, of pictures too: eight hours at 120 a second have as many.
_MOST_SAMPLES = 8_000_000

# A fragment may be lost, but time that runs back, or goes on this much later, is another recording's.
_LONGEST_GAP_S = 30
_OVERLAP_S = 1

_BOX = struct.Struct(">I4s")
# Version and flags, of which the version says nothing here; then the track's id or the number of samples.
_HEAD = struct.Struct(">II")

# Flags of `tfhd` and `trun`, whose optional values follow in this order.
_BASE, _DESCRIPTION, _DURATION, _SIZE = 0x1, 0x2, 0x8, 0x10
_FROM_MOOF = 0x20000
_RUN_OFFSET, _RUN_FIRST_FLAGS = 0x1, 0x4
_RUN_DURATION, _RUN_SIZE, _RUN_FLAGS, _RUN_SHIFT = 0x100, 0x200, 0x400, 0x800


class Defaults(NamedTuple):
    """What samples have that do not say otherwise: `duration` in the track's units, `size` in bytes."""

    duration: int = 0
    size: int = 0


@dataclass(slots=True)
class Progress:
    """How far the whole fragments of a track reach, in its units, and how many samples they list.

    `first` is when the first one is presented. `is_regular` says that time goes on from each fragment to the next.
    """

    timescale: int = 1
    end: int = 0
    first: int | None = None
    samples: int = 0
    is_regular: bool = True
    is_cut: bool = False


class _Run(NamedTuple):
    """Samples one behind the other: where in the file, if said, from what their fragment counts; how many bytes.

    `duration` is in the track's units, as is `shift`, by which the first one is presented later than decoded.
    """

    samples: int
    offset: int | None
    length: int
    duration: int
    shift: int


class Fragments:
    """What the fragments of a file list. `tracks` are those that have any, by their ids.

    `are_cut` says that a sample lies beyond the end of the file, `have_gaps` that fragments were skipped. `read` raises
    InvalidMedia for absurd fragments.
    """

    def __init__(self, source: Source) -> None:
        self._source = source
        self._steps_left = _MOST_STEPS
        self._samples_left = _MOST_SAMPLES
        self._known: dict[int, Progress] = {}
        self._defaults: dict[int, Defaults] = {}
        self.are_cut = False
        self.have_gaps = False

    @property
    def tracks(self) -> dict[int, Progress]:
        """The tracks of which a fragment was seen."""
        return {key: track for key, track in self._known.items() if track.first is not None}

    def expect(self, track_id: int, timescale: int, length: int, defaults: Defaults) -> None:
        """Say what the index of the whole file knows of a track: it lists a sound of this `length`, in units."""
        self._known[track_id] = Progress(timescale, length)
        self._defaults[track_id] = defaults

    def skip(self) -> None:
        """Expect the last fragments next. Tracks that do not tell their time there promise nothing."""
        self.have_gaps = True
        for track in self._known.values():
            track.is_regular = False

    def read(self, moof: Box) -> None:
        """Read the index of the next fragment, which is in the file as a whole."""
        data = self._source.read(moof.start, moof.end)
        after = moof.start
        for kind, start, end in self._children(data, 8, len(data)):
            if kind == b"traf":
                after = self._read_track(data, start, end, moof.start, after)

    def _read_track(self, data: bytes, start: int, end: int, moof_start: int, after: int) -> int:
        """Read the part of a fragment that belongs to one track, and return where its samples end in the file.

        `after` is where those of the track before it end, from where positions count if nothing else is said.
        """
        track, base, usual = Progress(), after, Defaults()
        for kind, at, box_end in self._children(data, start, end):
            if box_end - at < 8:
                continue
            if kind == b"tfhd":
                flags, track_id = _HEAD.unpack_from(data, at)
                track = self._known.setdefault(track_id, Progress())
                usual = self._defaults.get(track_id, Defaults())
                values = _Optional(data, at + 8, box_end)
                base = values.take(flags, _BASE, width=8) or (moof_start if flags & _FROM_MOOF else after)
                values.take(flags, _DESCRIPTION)
                duration, size = values.take(flags, _DURATION), values.take(flags, _SIZE)
                usual = Defaults(usual.duration if duration is None else duration, usual.size if size is None else size)
                after = base
            elif kind == b"tfdt":
                self._go_on(track, int.from_bytes(data[at + 4 : at + (12 if data[at] == 1 else 8)], "big"))
            elif kind == b"trun":
                run = self._run(data, at, box_end, usual)
                after = (after if run.offset is None else base + run.offset) + run.length
                self._add(track, run, after)
        return after

    def _run(self, data: bytes, at: int, end: int, usual: Defaults) -> _Run:
        flags, count = _HEAD.unpack_from(data, at)
        values = _Optional(data, at + 8, end)
        offset = values.take(flags, _RUN_OFFSET)
        values.take(flags, _RUN_FIRST_FLAGS)
        columns = [flag for flag in (_RUN_DURATION, _RUN_SIZE, _RUN_FLAGS, _RUN_SHIFT) if flags & flag]
        if columns:
            count = min(count, (end - values.at) // (4 * len(columns)))
            self._samples_left -= count
            if self._samples_left < 0:
                raise InvalidMedia("The file has too many samples to be a video. Check that it plays on your device.")
        words = big_endian("I", data[values.at : values.at + 4 * len(columns) * count])
        column = {flag: words[number :: len(columns)] for number, flag in enumerate(columns)}
        return _Run(
            samples=count,
            offset=None if offset is None else _signed(offset),
            length=sum(column[_RUN_SIZE]) if _RUN_SIZE in column else count * usual.size,
            duration=sum(column[_RUN_DURATION]) if _RUN_DURATION in column else count * usual.duration,
            shift=_signed(column[_RUN_SHIFT][0]) if count and _RUN_SHIFT in column else 0,
        )

    def _add(self, track: Progress, run: _Run, end: int) -> None:
        """Let a track go on with a run whose samples end at this position in the file, if they are in it."""
        if end > self._source.size:
            self.are_cut = track.is_cut = True
        if not run.samples or track.is_cut:
            return
        if track.first is None:
            track.first = track.end + run.shift
        track.end += run.duration
        track.samples += run.samples

    def _go_on(self, track: Progress, time: int) -> None:
        """Let a track go on at a time, which must fit what came before: a gap is a lost fragment."""
        if track.is_cut:
            return
        gap = time - track.end
        if self.have_gaps:
            track.is_regular = True
        elif track.samples and not -_OVERLAP_S * track.timescale <= gap <= _LONGEST_GAP_S * track.timescale:
            track.is_regular = False
        track.end = time

    def _children(self, data: bytes, start: int, end: int) -> Iterator[tuple[bytes, int, int]]:
        """Yield the kind of each box between two positions, and where its content begins and ends."""
        while start + 8 <= end:
            length, kind = _BOX.unpack_from(data, start)
            if length < 8 or start + length > end:
                return
            self._steps_left -= _RUN_STEPS if kind == b"trun" else 1
            if self._steps_left < 0:
                raise InvalidMedia("The file has too many parts to be a video. Check that it plays on your device.")
            yield kind, start + 8, start + length
            start += length


class _Optional:
    """Values that are there if a flag says so, one behind the other."""

    def __init__(self, data: bytes, at: int, end: int) -> None:
        self._data = data
        self._end = end
        self.at = at

    def take(self, flags: int, flag: int, *, width: int = 4) -> int | None:
        """Return the next value, or None if its flag is not set or the box ends before."""
        if not flags & flag or self.at + width > self._end:
            return None
        self.at += width
        return int.from_bytes(self._data[self.at - width : self.at], "big")


def last_fragment(source: Source) -> int:
    """Return where the first of the last fragments of all tracks begins, which `mfra` tells; 0 if it is not there.

    It ends with its own length and comes last in the file: ISO/IEC 14496-12, 8.8.9 to 8.8.11.
    """
    length = int.from_bytes(source.read(source.size - 4, source.size), "big")
    start = source.size - length
    if length < 16 or source.read(start, start + 8) != _BOX.pack(length, b"mfra"):
        return 0
    last = []
    for box in children(source.read, start + 8, source.size):
        if box.kind == b"tfra":
            data = source.read(box.start + 8, box.end)
            wide = data[:1] == b"\1"
            widths, count = int.from_bytes(data[8:12], "big"), int.from_bytes(data[12:16], "big")
            width = (16 if wide else 8) + sum((widths >> shift & 3) + 1 for shift in (4, 2, 0))
            at = 16 + (count - 1) * width
            if count:
                last.append(int.from_bytes(data[at + 8 : at + 16] if wide else data[at + 4 : at + 8], "big"))
    return min(last, default=0)


def _signed(word: int) -> int:
    return (word ^ 0x80000000) - 0x80000000
