"""What a plain ffmpeg makes of a file, to compare our MP3s with."""

import math
import re
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import imageio_ffmpeg

from functions.convert.mp3.frames import HEADER_BYTES, frame_of
from tests.media import ffmpeg

V2 = ("-q:a", "2")
_FLOAT = "aresample=osf=flt"
_NO_TAG = ("-id3v2_version", "0")


class Measured(NamedTuple):
    """How loud an MP3 is: in LUFS (None for silence), and its highest true peak, in dBTP."""

    lufs: float | None
    peak_db: float


def plain_mp3(source: Path, *filters: str, arguments: Sequence[str] = V2) -> bytes:
    """Return the frames that a plain ffmpeg makes of the first soundtrack, without the first, in which lengths are."""
    mp3 = source.with_name(f"{source.name}.plain.mp3")
    chain = ",".join([_FLOAT, *filters])
    ffmpeg("-i", str(source), "-map", "0:a:0", "-af", chain, "-c:a", "libmp3lame", *arguments, *_NO_TAG, str(mp3))
    return sound_frames(mp3.read_bytes())


def frames_of(mp3: Path) -> bytes:
    """Return the frames of an MP3 that `attempt` wrote, without the first, in which lengths are."""
    return sound_frames(mp3.with_suffix(".frames").read_bytes())


def sound_frames(frames: bytes) -> bytes:
    """Return all frames but the first."""
    info = frame_of(frames[:HEADER_BYTES])
    assert info
    return frames[info.bytes :]


def packets_of(source: Path) -> bytes:
    """Return the packets of the first soundtrack, one behind the other."""
    return _output("-i", str(source), "-map", "0:a:0", "-c", "copy", "-f", "data", "-")


def samples_of(source: Path) -> bytes:
    """Return the samples of the first soundtrack, as 32-bit floats."""
    return _output("-i", str(source), "-map", "0:a:0", "-f", "f32le", "-")


def measured(mp3: Path) -> Measured:
    """Measure an MP3 to its last sample, mono as it is heard from two loudspeakers.

    Silence behind it makes ebur128 tell the peaks of the last tenth of a second, too.
    """
    chain = "ebur128=metadata=1:dualmono=1,ametadata=print:key=lavfi.r128.I:file=-"
    loudness = _output("-i", str(mp3), "-af", chain, "-f", "null", "-").decode()
    chain = "apad=pad_dur=0.2,ebur128=peak=true:metadata=1,ametadata=print:key=lavfi.r128.true_peak:file=-"
    peaks = _output("-i", str(mp3), "-af", chain, "-f", "null", "-").decode()
    lufs = _last("I", loudness)
    return Measured(lufs if lufs is not None and lufs > -70 else None, decibels(_last("true_peak", peaks) or 0.0))


def decibels(value: float) -> float:
    """Return a level in dB relative to 1.0; at least -200."""
    return 20 * math.log10(max(value, 1e-10))


def _last(name: str, printed: str) -> float | None:
    values = re.findall(rf"^lavfi\.r128\.{name}=(\S+)$", printed, re.MULTILINE)
    return float(values[-1]) if values else None


def _output(*arguments: str) -> bytes:
    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", "-nostdin", *arguments]
    return subprocess.run(command, capture_output=True, timeout=120, check=True).stdout
