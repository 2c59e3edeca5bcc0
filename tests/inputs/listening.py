"""What is heard in an MP3: its tones by channel and second, how loud it is, and its tags."""

import array
import math
import operator
import subprocess
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import imageio_ffmpeg
from mutagen.id3 import ID3, ID3NoHeaderError
from mutagen.mp3 import MP3

# The tones that recipes play, in Hz. Each has a whole number of periods in a window, so none is heard in another.
PALETTE_HZ = (440, 660, 880, 1100, 1320, 1500, 1760, 1980, 2200)

_WINDOW_S = 0.1
# What is weaker than this is what a lossy codec leaves of other tones.
_AUDIBLE = 0.03


class Heard(NamedTuple):
    """An MP3, decoded. `samples` has one array for each channel, with 1.0 as full scale."""

    rate_hz: int
    samples: tuple[Sequence[float], ...]
    tag: ID3

    @property
    def seconds(self) -> float:
        """How long it sounds, without what the encoder padded with."""
        return len(self.samples[0]) / self.rate_hz

    @property
    def left(self) -> Sequence[float]:
        """The left channel, or the only one."""
        return self.samples[0]

    @property
    def right(self) -> Sequence[float]:
        """The right channel, or the only one."""
        return self.samples[-1]

    @property
    def peak(self) -> float:
        """The largest sample of all channels."""
        return max((abs(extreme(each)) for each in self.samples if each for extreme in (min, max)), default=0.0)

    def part(self, samples: Sequence[float], start_s: float, end_s: float) -> Sequence[float]:
        """Return what lies between two times, in seconds."""
        return samples[round(start_s * self.rate_hz) : round(end_s * self.rate_hz)]

    def tones(self, samples: Sequence[float], at_s: float) -> set[int]:
        """Return which tones of the palette are heard around a time."""
        window = self.part(samples, at_s - _WINDOW_S / 2, at_s + _WINDOW_S / 2)
        return {tone for tone in PALETTE_HZ if amplitude(window, tone, self.rate_hz) > _AUDIBLE}

    def all_tones(self, samples: Sequence[float]) -> set[int]:
        """Return which tones are heard in the middle of any second."""
        return set().union(*(self.tones(samples, second + 0.5) for second in range(math.floor(self.seconds))))


def listen(mp3: Path) -> Heard:
    """Decode an MP3, whose tag may be missing."""
    info: Any = MP3(mp3).info
    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", "-nostdin", "-threads", "1", "-i", str(mp3)]
    output = ["-map", "0:a:0", "-c:a", "pcm_f32le", "-f", "f32le", "-"]
    decoded = subprocess.run([*command, *output], capture_output=True, timeout=120, check=True).stdout
    samples = array.array("f", decoded)
    try:
        tag = ID3(mp3, translate=False)
    except ID3NoHeaderError:
        tag = ID3()
    return Heard(info.sample_rate, tuple(samples[n :: info.channels] for n in range(info.channels)), tag)


def rms(samples: Iterable[float]) -> float:
    """Return the root mean square. A sine has its amplitude divided by the square root of two."""
    values = list(samples)
    return math.sqrt(sum(map(operator.mul, values, values)) / len(values)) if values else 0.0


def amplitude(samples: Sequence[float], tone_hz: float, rate_hz: int) -> float:
    """Return how strong a tone is, by the algorithm of Goertzel: 0.25 for a sine from -0.25 to 0.25."""
    if not samples:
        return 0.0
    turn = 2 * math.pi * tone_hz / rate_hz
    factor, before, last = 2 * math.cos(turn), 0.0, 0.0
    for sample in samples:
        before, last = last, sample + factor * last - before
    power = last * last + before * before - factor * last * before
    return 2 * math.sqrt(max(power, 0.0)) / len(samples)
