"""The MP3 that was made: its frames counted one by one, and its tags."""

import io
import mmap
from collections.abc import Callable, Mapping
from typing import BinaryIO, NamedTuple

from mutagen.id3 import COMM, ID3, TALB, TDRC, TIT2, TPE1, Frame

from functions.shared.text import printable

_BIT_RATES_KBPS = {
    1: (0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320),
    2: (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
}
_SAMPLE_RATES_HZ = {3: (44_100, 48_000, 32_000), 2: (22_050, 24_000, 16_000), 0: (11_025, 12_000, 8_000)}
_TAGS: Mapping[str, Callable[..., Frame]] = {"title": TIT2, "artist": TPE1, "album": TALB, "date": TDRC}
_TAG_MAX_CHARACTERS = 500
# Frames, bytes, table of contents and quality: then LAME's part begins 120 bytes after the word Xing.
_XING_HAS_ALL = 0x0F


class BrokenMp3(Exception):
    """Raised when a file is not MP3 frames, one after the other, to its last byte."""


class Mp3Facts(NamedTuple):
    """What the frames say. `bit_rate_bps` is the average; `duration_s` leaves out what the encoder padded with."""

    duration_s: float
    bit_rate_bps: int
    sample_rate_hz: int
    channels: int


class _Frame(NamedTuple):
    bytes: int
    samples: int
    sample_rate_hz: int
    channels: int
    side_info_bytes: int


def read_mp3(mp3: BinaryIO) -> Mp3Facts:
    """Walk through all frames of an MP3 without tags.

    The layout of frames is that of ISO/IEC 11172-3 and 13818-3, layer III.

    Raises:
        BrokenMp3: something between the frames or at the end is no frame, or the Xing header, with which
            players tell the length, is missing or counts other frames.
    """
    mp3.seek(0, io.SEEK_END)
    if mp3.tell() == 0:
        raise BrokenMp3("The file is empty.")
    with mmap.mmap(mp3.fileno(), 0, access=mmap.ACCESS_READ) as data:
        first = _frame(data, 0)
        declared, padding = _xing(data, first)
        position, frames, samples = first.bytes, 0, 0
        while position < len(data):
            frame = _frame(data, position)
            position += frame.bytes
            frames += 1
            samples += frame.samples
        if position != len(data):
            raise BrokenMp3("The last frame is cut off.")
        if frames != declared:
            raise BrokenMp3(f"The Xing header counts {declared} frames, there are {frames}.")
        duration_s = max(samples - padding, 0) / first.sample_rate_hz
        bit_rate = round((len(data) - first.bytes) * 8 * first.sample_rate_hz / samples) if samples else 0
    return Mp3Facts(duration_s, bit_rate, first.sample_rate_hz, first.channels)


def make_tag(metadata: Mapping[str, str]) -> bytes:
    """Return an ID3v2.3 tag with title, artist, album, date and comment, as far as `metadata` has them.

    Long values are cut. What else a container holds (brands, places, encoders) stays behind. Without any
    of the five, the tag is empty bytes.
    """
    tag = ID3()
    values = {key.lower(): _clean(value) for key, value in metadata.items()}
    for key, frame in _TAGS.items():
        if values.get(key):
            tag.add(frame(encoding=1, text=[values[key]]))
    if values.get("comment"):
        tag.add(COMM(encoding=1, lang="XXX", desc="", text=[values["comment"]]))
    if not tag:
        return b""
    tag.update_to_v23()
    target = io.BytesIO()
    tag.save(target, v2_version=3, padding=lambda _: 0)
    return target.getvalue()


def _frame(data: mmap.mmap, position: int) -> _Frame:
    header = data[position : position + 4]
    if len(header) < 4 or header[0] != 0xFF or header[1] & 0xE0 != 0xE0:
        raise BrokenMp3(f"There is no frame at byte {position}.")
    version, layer = header[1] >> 3 & 3, header[1] >> 1 & 3
    bit_rate, sample_rate, padding = header[2] >> 4, header[2] >> 2 & 3, header[2] >> 1 & 1
    if version == 1 or layer != 1 or bit_rate in (0, 15) or sample_rate == 3:
        raise BrokenMp3(f"The frame at byte {position} is not one of an MP3.")
    mpeg1 = version == 3
    mono = header[3] >> 6 == 3
    kbps = _BIT_RATES_KBPS[1 if mpeg1 else 2][bit_rate]
    hertz = _SAMPLE_RATES_HZ[version][sample_rate]
    samples = 1152 if mpeg1 else 576
    side_info = (17 if mono else 32) if mpeg1 else (9 if mono else 17)
    return _Frame(samples // 8 * kbps * 1000 // hertz + padding, samples, hertz, 1 if mono else 2, side_info)


def _xing(data: mmap.mmap, first: _Frame) -> tuple[int, int]:
    """Return how many frames the Xing header counts, and how many samples LAME's part of it calls padding.

    The layout of that part: http://gabriel.mp3-tech.org/mp3infotag.html
    """
    at = 4 + first.side_info_bytes
    header = data[at : at + 156]
    if header[:4] not in (b"Xing", b"Info") or len(header) < 156 or header[7] != _XING_HAS_ALL:
        raise BrokenMp3("There is no Xing header.")
    delay_and_padding = int.from_bytes(header[141:144], "big")
    return int.from_bytes(header[8:12], "big"), (delay_and_padding >> 12) + (delay_and_padding & 0xFFF)


def _clean(value: str) -> str:
    return printable(value, keep="\n\t").strip()[:_TAG_MAX_CHARACTERS]
