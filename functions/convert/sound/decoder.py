"""From a video to plain samples: one ffmpeg decodes, and what it lists beside the samples tells where they belong.

It writes the samples into one pipe, and into others a line for each piece of sound: for what it decoded, and for the
packets that it decoded this from. So the samples can be laid out in the video's time on their way to the encoder, and
it shows what could not be decoded.
"""

import contextlib
import os
import sys
import threading
import time
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from functions.convert.ffmpeg import Ffmpeg, Pipe, Source, join_started
from functions.convert.media.kinds import BARE, CHECKSUMMED, STITCHED
from functions.convert.media.listing import Packet, packets
from functions.convert.media.probe import Description
from functions.convert.media.tracks import Choice
from functions.convert.sound.filters import Form, graph
from functions.convert.sound.timeline import Covered, Gap, Piece, Timeline

SAMPLE_BYTES = 4
_CHECKED = ("-err_detect", "crccheck+explode")
# ffmpeg would close a long gap in the sound although the pictures go on in it: what is a jump is decided here.
_KEEP_JUMPS = ("-dts_delta_threshold", "1000000")
# So many bytes are moved at once. They must fit into the smallest pipe, since their lines come ahead of them.
_BATCH_BYTES = 32 * 1024
_SILENCE_BYTES = 256 * 1024
# Packets this close to one another are one stretch: containers round their time stamps.
_TOUCHING_S = 0.03
# So many show how long a packet is.
_TYPICAL_PACKETS = 16
# A slide may stay for so long.
_PICTURE_S = 2.0
# Packets are listed before they are decoded, but by another thread.
_PATIENCE_S = 5.0


class Part(NamedTuple):
    """The part of the sound that is wanted, in samples. `end` is None for all of it."""

    start: int = 0
    end: int | None = None


class Packets:
    """The packets of one soundtrack, as they come; in a listing it is the first stream. Times are in samples at `rate`.

    Attributes:
        count: how many there are.
        bytes: their sizes added up.
        moved_at: when, on the monotonic clock, the last of them was listed.
        stretches: when there are packets. Those that touch are one stretch.
        pictures: when there are pictures, as far as they are listed as the second stream.
    """

    def __init__(self, rate: int) -> None:
        self.count = 0
        self.bytes = 0
        self.moved_at = 0.0
        self.stretches: list[Gap] = []
        self.pictures: list[Gap] = []
        self._rate = rate
        self._first: list[Gap] = []
        self._longest = 0
        self._reached = 0
        self._moved = threading.Condition()

    def read(self, listing: Iterable[bytes]) -> None:
        """Read a listing to its end."""
        try:
            for packet in packets(listing):
                self.add(packet)
            self.settle()
        finally:
            self._note(sys.maxsize)

    def add(self, packet: Packet) -> None:
        """Count one more packet."""
        span = Gap(round(packet.pts * packet.tick_s * self._rate), round(packet.end_s * self._rate))
        if packet.stream:
            _add(span, self.pictures, round(_PICTURE_S * self._rate))
            return
        self.count += 1
        self.bytes += packet.size
        self.moved_at = time.monotonic()
        if self._longest:
            self._add(span)
        else:
            self._first.append(span)
            if len(self._first) == _TYPICAL_PACKETS:
                self.settle()
        self._note(span.start)

    def settle(self) -> None:
        """Take in the first packets, now that it is known how long one is.

        The last before a pause is said to last until the next one in some containers, and so may be the first of all.
        """
        if self._first:
            lengths = sorted(span.end - span.start for span in self._first)
            self._longest = max(round(1.1 * lengths[len(lengths) // 2]), 1)
            for span in self._first:
                self._add(span)
            self._first.clear()

    def _add(self, span: Gap) -> None:
        span = Gap(span.start, min(span.end, span.start + self._longest))
        _add(span, self.stretches, round(_TOUCHING_S * self._rate))

    def _note(self, reached: int) -> None:
        if reached > self._reached:
            with self._moved:
                self._reached = reached
                self._moved.notify_all()

    def has_pictures_in(self, gap: Gap) -> bool:
        """Say whether the pictures go on in a gap of the sound. Waits until all packets before its end were listed."""
        with self._moved:
            self._moved.wait_for(lambda: self._reached >= gap.end, _PATIENCE_S)
        return Covered(list(self.pictures)).of(gap) > (gap.end - gap.start) // 2

    @property
    def end(self) -> int:
        """Where the last of them ends."""
        return max((stretch.end for stretch in self.stretches), default=0)


def _add(span: Gap, stretches: list[Gap], touching: int) -> None:
    """Add a packet to the stretch that it continues, or let it begin another."""
    if stretches and stretches[-1].start <= span.start <= stretches[-1].end + touching:
        stretches[-1] = Gap(stretches[-1].start, max(stretches[-1].end, span.end))
    else:
        stretches.append(span)


class Decoder:
    """Decodes what was chosen of a video, and writes `form` samples into `target`, a pipe, with silence in the gaps.

    Attributes:
        rate: that of the samples, in Hz.
        timeline: what was written, and where it was missing.
        packets: what the first chosen soundtrack was decoded from.
        written: how many samples were written: those of the part that is wanted.
        moved_at: when, on the monotonic clock, samples were last written.
    """

    def __init__(self, choice: Choice, description: Description, form: Form, part: Part) -> None:
        has_company = description.has_pictures or len(description.tracks) > 1
        has_clock = description.kind not in BARE
        is_stitched = description.kind in STITCHED
        self.rate = form.rate
        self.timeline = Timeline(
            form.rate,
            follows_clock=has_clock,
            may_wait=has_company,
            is_jump=lambda gap: is_stitched and not self.packets.has_pictures_in(gap),
        )
        self.packets = Packets(form.rate)
        self.written = 0
        self.moved_at = 0.0
        # What cannot be decoded is counted here, and how much of it is too much decided elsewhere.
        self._arguments = ["-max_error_rate", "1", *(_KEEP_JUMPS if is_stitched else ())]
        self._arguments += [*(_CHECKED if description.kind in CHECKSUMMED else ()), *description.input_arguments]
        self._arguments += ["-filter_complex", graph(choice, description, form)]
        self._listed = ["-map", description.specifier_of(choice.tracks[0])]
        if is_stitched:
            # A stream that nobody wants has no say in where the video starts, so the pictures are wanted, too.
            self._listed += ["-map", "0:V:0?"]
        self._is_stitched = is_stitched
        self._frame_bytes = SAMPLE_BYTES * form.channels
        self._part = part
        self._is_done = False
        self._is_stopped = False
        self._error: BaseException | None = None

    def start(self, stack: contextlib.ExitStack, source: Source, target: Pipe) -> Ffmpeg:
        """Start it. What must be ended and closed then is left to `stack`. `target` is closed when all is written."""
        pipes = sound, pieces, listed = Pipe(), Pipe(), Pipe()
        for pipe in pipes:
            stack.callback(pipe.close)
        command = [
            *("-filter_complex_threads", "1", *self._arguments),
            # A line goes ahead of its samples. Those of the packets are awaited only where time may jump.
            *("-map", "[sound]", "-c:a", "pcm_f32le", "-f", "tee"),
            f"[f=framecrc:flush_packets=1]pipe:{pieces.write_end}|[f=f32le:flush_packets=0]pipe:{sound.write_end}",
            *(*self._listed, "-c", "copy", "-flush_packets", str(int(self._is_stitched))),
            *("-f", "framecrc", f"pipe:{listed.write_end}"),
        ]
        threads = [
            threading.Thread(target=self._lay_out, args=(sound, pieces, target), name="ffmpeg-sound", daemon=True),
            threading.Thread(target=self._list, args=(listed,), name="ffmpeg-packets", daemon=True),
        ]
        for thread in threads:
            stack.callback(join_started, thread)
        # It goes before anybody waits for the threads that read from it.
        passed = [pipe.write_end for pipe in pipes]
        program = stack.enter_context(Ffmpeg(command, source, passed=passed))
        stack.callback(self._stop)
        for pipe in pipes:
            pipe.close_write_end()
        for thread in threads:
            thread.start()
        return program

    def _stop(self) -> None:
        self._is_stopped = True

    def check(self) -> None:
        """Raise what kept the samples from being written, if anything did."""
        if self._error:
            raise self._error

    def wanted_of(self, gap: Gap, at: int) -> Gap:
        """Return what of a gap, which lies at a position of the sound in samples, is in the part that is wanted."""
        before, _, behind = self._cut(at, gap.end - gap.start)
        return Gap(gap.start + before, gap.end - behind)

    @property
    def silent_at_start(self) -> int:
        """How many samples of silence come first in what was written, since the sound starts late."""
        return self._cut(0, self.timeline.late_start)[1]

    @property
    def sound_end(self) -> int:
        """Where the sound ends in the video's time, in samples, without the jumps of that time."""
        return self.timeline.end - self.timeline.jumped

    @property
    def is_done(self) -> bool:
        """Whether all of the part that is wanted was written, though the sound goes on."""
        return self._is_done

    def _list(self, pipe: Pipe) -> None:
        with os.fdopen(pipe.read_end, "rb", closefd=False) as listing:
            self.packets.read(listing)

    def _lay_out(self, sound: Pipe, pieces: Pipe, target: Pipe) -> None:
        try:
            with os.fdopen(pieces.read_end, "rb", closefd=False) as listing:
                found = (Piece(packet.pts, packet.duration) for packet in packets(listing))
                self._write(found, sound.read_end, target.write_end)
        except (BrokenPipeError, SoundEnded):
            pass  # one of the two programs has ended too early, and tells why
        except BaseException as error:  # noqa: BLE001  # it is raised in the thread that asks
            self._error = error
        finally:
            target.close_write_end()
            sound.close_read_end()

    def _write(self, pieces: Iterator[Piece], sound: int, target: int) -> None:
        position = waiting = 0
        for silence, length in self.timeline.steps(pieces):
            if silence:
                self._copy(position - waiting, waiting, sound, target)
                waiting = 0
                self._write_silence(position, silence, target)
                position += silence
            position += length
            waiting += length
            if waiting * self._frame_bytes >= _BATCH_BYTES:
                self._copy(position - waiting, waiting, sound, target)
                waiting = 0
            if self._part.end is not None and position - waiting >= self._part.end:
                self._is_done = True
                return
        self._copy(position - waiting, waiting, sound, target)

    def _copy(self, position: int, length: int, sound: int, target: int) -> None:
        """Move samples that belong at a position, as far as they are wanted."""
        before, wanted, behind = self._cut(position, length)
        _discard(before * self._frame_bytes, sound)
        _move(wanted * self._frame_bytes, sound, target)
        _discard(behind * self._frame_bytes, sound)
        self._count(wanted)

    def _write_silence(self, position: int, length: int, target: int) -> None:
        wanted = self._cut(position, length)[1]
        zeros = bytes(_SILENCE_BYTES)
        left = wanted * self._frame_bytes
        while left and not self._is_stopped:
            left -= os.write(target, zeros[: min(left, len(zeros))])
            self.moved_at = time.monotonic()
        self._count(wanted)

    def _cut(self, position: int, length: int) -> tuple[int, int, int]:
        """Return how many of `length` samples lie before the part, in it, and behind it."""
        end = position + length
        before = min(max(self._part.start - position, 0), length)
        behind = (
            0 if self._part.end is None else min(max(end - max(self._part.end, position + before), 0), length - before)
        )
        return before, length - before - behind, behind

    def _count(self, samples: int) -> None:
        self.written += samples
        self.moved_at = time.monotonic()


class SoundEnded(Exception):
    """Raised when there are fewer samples than were listed."""


def _move(count: int, source: int, target: int) -> None:
    while count:
        moved = os.splice(source, target, count)
        if not moved:
            raise SoundEnded
        count -= moved


def _discard(count: int, source: int) -> None:
    while count:
        data = os.read(source, min(count, _SILENCE_BYTES))
        if not data:
            raise SoundEnded
        count -= len(data)
