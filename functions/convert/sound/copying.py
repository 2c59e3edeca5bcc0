"""Sound that is MP3 already gets into an MP3 as it is, bit by bit."""

import contextlib
import os
import tempfile
import threading
from collections.abc import Callable, Iterable, Sequence
from typing import BinaryIO, NamedTuple

from functions.convert.feed import Feed
from functions.convert.ffmpeg import Ffmpeg, Pipe, Source, join_started, watch
from functions.convert.media.kinds import STITCHED
from functions.convert.media.listing import packets
from functions.convert.media.probe import Description
from functions.convert.mp3.frame_copy import NotCopyable, copy_frames, find_gapless
from functions.convert.mp3.frames import Mp3Facts
from functions.convert.mp3.info import Gapless
from functions.convert.sound.decoder import Packets
from functions.convert.sound.lame import Loudness, Meter
from functions.shared.conversions import Track

_LOWEST_RATE_OF_MPEG1 = 32_000
_SAMPLES_OF_MPEG1 = 1152
# What nearly all MP3s begin with: LAME's delay and that of a decoder. Some containers round it to milliseconds.
_LAME_DELAY = 576 + 529
_COARSEST_TICK_S = 0.001
# A gap in MP3 frames would need silence between them, and what starts later needs it before them.
_LATEST_START_S = 0.03


class Copied(NamedTuple):
    """An MP3 with the frames of a soundtrack, which ends at `sound_s` of the video. `packets` are what it was."""

    facts: Mp3Facts
    loudness: Loudness
    sound_s: float
    packets: Packets


def copy_sound(
    source: Source,
    track: Track,
    description: Description,
    mp3: BinaryIO,
    *,
    on_tick: Callable[[], None],
    stall_s: float,
) -> Copied:
    """Write the frames of an MP3 soundtrack to `mp3`, an empty file, behind an Info frame.

    Raises:
        NotCopyable: it has gaps or damage, starts late, or changes on the way. Nothing is to be read in `mp3`.
        AttemptFailed: see Ffmpeg.
    """
    found = _Found(track.sample_rate_hz or 0)
    specifier = description.specifier_of(track)
    with tempfile.TemporaryFile() as frames:
        arguments = [
            *description.input_arguments,
            *("-map", specifier, "-c", "copy", "-f", "mp3", "-write_xing", "0", "-id3v2_version", "0"),
            *("-fd", str(frames.fileno()), "fd:"),
            *("-map", specifier, "-map", specifier),
        ]
        if description.kind in STITCHED:
            # A stream that nobody wants has no say in where the video starts, so the pictures are wanted, too.
            arguments += ["-map", "0:V:0?"]
        arguments += ["-c", "copy", "-c:1", "pcm_s16le"]
        _listed(
            arguments,
            source,
            [frames.fileno()],
            found.read,
            on_tick=on_tick,
            stall_s=stall_s,
            moved_at=lambda: found.packets.moved_at,
        )
        if not found.is_without_gaps():
            raise NotCopyable("There is silence before it, or in it.")
        facts = copy_frames(frames, mp3, _gapless_of_mp3(source) or found.gapless())
    loudness = _decode(mp3, facts, found.rate, on_tick, stall_s)
    return Copied(facts, loudness, found.packets.end / found.rate, found.packets)


class _Found:
    """The packets of an MP3 soundtrack, and how many samples ffmpeg decodes from them. `rate` is in Hz."""

    def __init__(self, rate: int) -> None:
        self.rate = rate
        self.packets = Packets(rate)
        self._decoded = 0
        self._frame = _SAMPLES_OF_MPEG1 if rate >= _LOWEST_RATE_OF_MPEG1 else _SAMPLES_OF_MPEG1 // 2

    def read(self, listing: Iterable[bytes]) -> None:
        """Read a listing with the packets as its first stream, and what was decoded as its second."""
        for packet in packets(listing):
            if packet.stream == 0:
                self.packets.add(packet)
            elif packet.stream == 1:
                self._decoded += packet.duration
        self.packets.settle()

    def is_without_gaps(self) -> bool:
        """Say whether one frame follows the other, from the start."""
        if not self.packets.stretches or self.packets.stretches[0].start > _LATEST_START_S * self.rate:
            return False
        lasts = self.packets.end - self.packets.stretches[0].start
        return abs(lasts - self.packets.count * self._frame) <= self._frame

    def gapless(self) -> Gapless | None:
        """Return how much at both ends is not heard, as a container says by its time stamps and its side data."""
        at_start = max(0, -self.packets.stretches[0].start)
        if abs(at_start - _LAME_DELAY) <= _COARSEST_TICK_S * self.rate:
            at_start = _LAME_DELAY
        return Gapless.skipping(at_start, max(0, self.packets.count * self._frame - at_start - self._decoded))


def _gapless_of_mp3(source: Source) -> Gapless | None:
    """Return how much at both ends is not heard, as an MP3 says in its Info frame."""
    if isinstance(source, Feed):
        return None
    size = os.fstat(source.fileno()).st_size

    def read(start: int, end: int) -> bytes:
        return os.pread(source.fileno(), max(min(end, size) - start, 0), start)

    return find_gapless(read, size)


def _decode(mp3: BinaryIO, facts: Mp3Facts, rate: int, on_tick: Callable[[], None], stall_s: float) -> Loudness:
    """Return how loud an MP3 is. Raises NotCopyable if less comes out of it than its frames promise."""
    meter = Meter(rate)
    decoded = Packets(rate)
    arguments = [
        *("-protocol_whitelist", "fd", "-format_whitelist", "mp3", "-codec_whitelist", "mp3float", "-fd", "0"),
        *("-f", "mp3", "-i", "fd:", "-filter_complex", f"[0:a]asplit[a][b];[a]{meter.filters()}[heard]"),
        *("-map", "[heard]", "-f", "null", "-", "-map", "[b]", "-c:a", "pcm_s16le"),
    ]
    _listed(
        arguments,
        mp3,
        [meter.pipe.write_end],
        decoded.read,
        on_tick=on_tick,
        stall_s=stall_s,
        moved_at=lambda: max(decoded.moved_at, meter.moved_at),
        meter=meter,
    )
    heard = sum(stretch.end - stretch.start for stretch in decoded.stretches)
    if heard < facts.samples - facts.samples // facts.frames:
        raise NotCopyable("Some of it cannot be decoded.")
    return meter.result()


def _listed(
    arguments: Sequence[str],
    source: Source,
    passed: Sequence[int],
    read: Callable[[Iterable[bytes]], None],
    *,
    on_tick: Callable[[], None],
    stall_s: float,
    moved_at: Callable[[], float],
    meter: Meter | None = None,
) -> None:
    """Run ffmpeg, with a listing of its last output for `read`."""
    with contextlib.ExitStack() as stack:
        pipe = Pipe()
        stack.callback(pipe.close)
        listing = stack.enter_context(os.fdopen(pipe.read_end, "rb", closefd=False))
        thread = threading.Thread(target=read, args=(listing,), name="ffmpeg-packets", daemon=True)
        stack.callback(join_started, thread)
        if meter:
            meter.leave_to(stack)
        command = [*arguments, "-f", "framecrc", "-fd", str(pipe.write_end), "fd:"]
        program = stack.enter_context(Ffmpeg(command, source, passed=[*passed, pipe.write_end]))
        pipe.close_write_end()
        thread.start()
        if meter:
            meter.start()
        watch([program], on_tick, moved_at, stall_s)
        if program.exit_code():
            raise NotCopyable("It cannot be read.")
