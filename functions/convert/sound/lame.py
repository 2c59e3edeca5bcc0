"""From plain samples to MP3 frames: one ffmpeg encodes with LAME, and another decodes and measures what it makes."""

import contextlib
import math
import os
import re
import threading
import time
from collections.abc import Sequence
from typing import BinaryIO, NamedTuple

from functions.convert.ffmpeg import LAME_NICENESS, NICENESS, Ffmpeg, Pipe, join_started
from functions.convert.sound.filters import Form, Levels
from functions.shared.options import Quality

_METER_TAIL_BYTES = 8 * 1024
_LOUDNESS, _PEAK = "lavfi.r128.I", "lavfi.astats.Overall.Peak_level"
_VALUE = re.compile(r"^(lavfi\.\S+)=(\S+)$", re.MULTILINE)
_PEAK_OF_ALL = "astats=metadata=1:measure_perchannel=none:measure_overall=Peak_level"
# After each frame, astats works out more than it is asked for. So frames are bundled first.
_BUNDLED = "asetnsamples=n=16384:p=0"
# What a decoder gives before the first sample of an MP3 by LAME, and leaves out where it knows of it.
_DELAY_SAMPLES = 576 + 529
_LOWEST_PEAK_RATE_HZ = 128_000
# What ebur128 says when nothing was loud enough to count: EBU Tech 3341, the absolute gate.
_SILENT_LUFS = -70.0
# No sample of 24 bits is this quiet.
_SILENT_DB = -150.0
_NOWHERE = ("-map", "[heard]", "-f", "null", "-")
_DEFAULT_LEVEL = Quality.V2
# What MPEG-1, MPEG-2 and MPEG 2.5 have, in kbit/s, by the lowest sample rate of each.
_HIGHEST_KBPS = ((32_000, 320), (16_000, 160), (0, 64))


class Loudness(NamedTuple):
    """How loud sound is: integrated, in LUFS (EBU R 128), and its highest true peak, in dBTP. Silence has None."""

    lufs: float | None
    peak_db: float | None


class _Listener:
    """Reads what a filter prints into a pipe, in a thread, until ffmpeg has ended."""

    def __init__(self, name: str) -> None:
        self.pipe = Pipe()
        self._thread = threading.Thread(target=self._read, name=name, daemon=True)

    def leave_to(self, stack: contextlib.ExitStack) -> None:
        """Let a stack wait for its end and close what is open."""
        stack.callback(self.pipe.close)
        stack.callback(join_started, self._thread)

    def start(self) -> None:
        """Begin to read, now that ffmpeg has the other end."""
        self.pipe.close_write_end()
        self._thread.start()

    def _read(self) -> None:
        while data := os.read(self.pipe.read_end, 65_536):
            self._take(data)
        self.pipe.close()

    def _take(self, data: bytes) -> None:
        raise NotImplementedError


class Meter(_Listener):
    """Reads what filters measure of the sound that is `rate` samples a second, until it ends."""

    def __init__(self, rate: int) -> None:
        super().__init__("ffmpeg-meter")
        self.moved_at = 0.0
        self._rate = rate
        self._tail = b""

    def result(self) -> Loudness:
        """Return what was measured of all."""
        self._thread.join()
        values = {name: float(value) for name, value in _VALUE.findall(self._tail.decode())}
        lufs, peak_db = values.get(_LOUDNESS, _SILENT_LUFS), values.get(_PEAK, -math.inf)
        return Loudness(
            lufs=round(lufs, 2) if lufs > _SILENT_LUFS else None,
            peak_db=round(peak_db, 2) if peak_db > _SILENT_DB else None,
        )

    def filters(self) -> str:
        """Return the filters that measure. Mono is measured as it is heard, from two loudspeakers.

        The true peak is the highest sample at four times the rate or more, as ITU-R BS.1770-5, annex 2, has it. That is
        half of the work that it is to the filter ebur128, which always brings the sound to 192 kHz.
        """
        oversampled = next(times * self._rate for times in (4, 8, 16) if times * self._rate >= _LOWEST_PEAK_RATE_HZ)
        resampled = f"aresample=osr={oversampled}:tsf=fltp:osf=fltp:filter_size=32"
        loudness, peak = (_printed(self.pipe, name) for name in (_LOUDNESS, _PEAK))
        # Only the first frame goes on to where nobody wants it.
        return (
            f"ebur128=metadata=1:dualmono=1,{loudness},{_BUNDLED},{resampled},{_PEAK_OF_ALL},{peak},aselect=eq(n\\,0)"
        )

    def _take(self, data: bytes) -> None:
        self._tail = (self._tail + data)[-_METER_TAIL_BYTES:]
        self.moved_at = time.monotonic()


class Alarm(_Listener):
    """Notices that samples exceed full scale, which they may reach: -32,768 of 16 bits is that."""

    def __init__(self) -> None:
        super().__init__("ffmpeg-alarm")
        self.is_raised = False

    def was_raised(self) -> bool:
        """Say whether it was raised, now that ffmpeg has ended."""
        self._thread.join()
        return self.is_raised

    def filters(self) -> str:
        """Return the filters that raise it."""
        return f"{_BUNDLED},{_PEAK_OF_ALL},{_printed(self.pipe, _PEAK, ':function=greater:value=0.00005')}"

    def _take(self, data: bytes) -> None:
        del data
        self.is_raised = True


def _printed(pipe: Pipe, key: str, condition: str = "") -> str:
    """Return a filter that writes a measurement into a pipe, line by line, so that several may write into one."""
    return f"ametadata=mode=print:direct=1:key={key}{condition}:file=pipe\\\\:{pipe.write_end}"


def bit_rate_arguments(quality: Quality, form: Form) -> list[str]:
    """Return the arguments for LAME. A bit rate that is too high for the sample rate is lowered."""
    if quality.isdigit():
        return ["-b:a", f"{min(int(quality), highest_kbps(form.rate))}k"]
    level = quality if quality.startswith("v") else _DEFAULT_LEVEL
    return ["-q:a", level.removeprefix("v")]


def highest_kbps(rate: int) -> int:
    """Return the highest bit rate that an MP3 of a sample rate can have."""
    return next(kbps for lowest, kbps in _HIGHEST_KBPS if rate >= lowest)


class Lame:
    """Encodes the samples that come out of a pipe, which must be in `form`, into `mp3`, from where that stands."""

    def __init__(self, form: Form, quality: Quality, levels: Levels, mp3: BinaryIO) -> None:
        self.meter = Meter(form.rate)
        self.alarm = Alarm() if levels.ceiling_db is None else None
        self._mp3 = mp3
        chain = [*levels.filters(), *([self.alarm.filters()] if self.alarm else ())]
        self._arguments = [
            *_samples(form),
            *("-filter_complex", f"[0:a]{','.join(chain)}[loud]", "-map", "[loud]"),
            *("-c:a", "libmp3lame", *bit_rate_arguments(quality, form), "-f", "tee"),
        ]

    def start(self, stack: contextlib.ExitStack, samples: Pipe) -> list[Ffmpeg]:
        """Start it, and one that measures what it makes. What must be ended and closed then is left to `stack`.

        What is measured is what will be heard, and an MP3 that cannot be decoded is noticed.
        """
        frames = Pipe()
        stack.callback(frames.close)
        # A file that can be sought gets the Xing header, too.
        file, pipe = self._mp3.fileno(), frames.write_end
        to_file = f"[f=mp3:id3v2_version=0:fd={file}]fd:"
        to_meter = f"[f=mp3:id3v2_version=0:write_xing=0:flush_packets=0]pipe:{pipe}"
        arguments = [*self._arguments, f"{to_file}|{to_meter}"]
        encoder = _started(stack, arguments, samples, self.alarm, passed=[file, pipe], niceness=LAME_NICENESS)
        frames.close_write_end()
        heard = f"[0:a]atrim=start_sample={_DELAY_SAMPLES},{self.meter.filters()}[heard]"
        listened = ["-f", "mp3", "-i", "pipe:0", "-filter_complex", heard]
        return [encoder, _started(stack, [*listened, *_NOWHERE], frames, self.meter)]


class Gauge:
    """Measures the samples that come out of a pipe, and encodes nothing."""

    def __init__(self, form: Form, levels: Levels) -> None:
        self.meter = Meter(form.rate)
        chain = ",".join([*levels.filters(), self.meter.filters()])
        self._arguments = [*_samples(form), "-filter_complex", f"[0:a]{chain}[heard]", *_NOWHERE]

    def start(self, stack: contextlib.ExitStack, samples: Pipe) -> list[Ffmpeg]:
        """Start it. What must be ended and closed then is left to `stack`."""
        return [_started(stack, self._arguments, samples, self.meter)]


def _started(
    stack: contextlib.ExitStack,
    arguments: Sequence[str],
    source: Pipe,
    listener: Meter | Alarm | None,
    *,
    passed: Sequence[int] = (),
    niceness: int = NICENESS,
) -> Ffmpeg:
    if listener:
        listener.leave_to(stack)
        passed = [*passed, listener.pipe.write_end]
    # It goes before anybody waits for the thread that reads from it.
    command = ["-filter_complex_threads", "1", *arguments]
    program = stack.enter_context(Ffmpeg(command, source.read_end, passed=passed, niceness=niceness))
    source.close_read_end()
    if listener:
        listener.start()
    return program


def _samples(form: Form) -> list[str]:
    return ["-f", "f32le", "-ar", str(form.rate), "-ac", str(form.channels), "-fd", "0", "-i", "fd:"]
