"""Reads what stands in the first frame of an MP3 about all of them: the headers that Xing, LAME and Fraunhofer write.

Sources: ISO/IEC 11172-3, 2.4.1.3 (frames), and the description of the VBR headers at
https://www.codeproject.com/Articles/8295/MPEG-Audio-Frame-Header.
"""

from typing import NamedTuple

from functions.convert.media.findings import Container, Soundtrack
from functions.convert.media.source import Source

_SOUGHT_BYTES = 64 * 1024
_RATES_HZ = (44_100, 48_000, 32_000)
# kbit/s, by the index in the frame, for MPEG-1 and for the lower sampling rates of MPEG-2.
_KBITS = {
    (1, 1): (0, 32, 64, 96, 128, 160, 192, 224, 256, 288, 320, 352, 384, 416, 448),
    (1, 2): (0, 32, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384),
    (1, 3): (0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320),
    (2, 1): (0, 32, 48, 56, 64, 80, 96, 112, 128, 144, 160, 176, 192, 224, 256),
    (2, 2): (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
    (2, 3): (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
}
_HAS_FRAMES, _HAS_BYTES, _HAS_TABLE, _HAS_QUALITY = 1, 2, 4, 8
_ID3V1_BYTES = 128
# So much sound behind the last counted frame is another file that was appended.
_APPENDED_BYTES = 16 * 1024


class _Frame(NamedTuple):
    """A frame: its length in bytes, its samples, and where its side information ends."""

    layer: int
    rate_hz: int
    length: int
    samples: int
    side_end: int


def read_mp3(source: Source, start: int) -> Container:
    """Say how long the first frame promises the sound to be, and whether there are as many bytes.

    What ID3 puts before the sound ends at `start`.
    """
    head = source.read(start, start + _SOUGHT_BYTES)
    found = _first_frame(head)
    if found is None:
        return Container()
    at, frame = found
    kind = f"mp{frame.layer}"
    position = start + at
    frames, length, trimmed = _counts(head[at : at + 512], frame)
    sound_end = position + length
    # Some encoders count the tags before and behind the sound, which other programs remove.
    is_cut = sound_end > source.size and sound_end - source.size != _ID3V1_BYTES and length != source.size
    duration = None
    if frames and not _is_appended(source, sound_end if length else None):
        duration = max(frames * frame.samples - trimmed, 0) / frame.rate_hz
    return Container(kind, duration, is_cut, soundtracks=(Soundtrack(kind, duration, frames or None),))


def is_frame(data: bytes) -> bool:
    """Say whether a frame of MPEG audio begins here, as far as 4 bytes tell."""
    return _frame(data) is not None


def _first_frame(data: bytes) -> tuple[int, _Frame] | None:
    """Return the first frame that another one of the same rate follows, or the end, and where it is."""
    at = data.find(b"\xff")
    while at >= 0:
        frame = _frame(data[at : at + 4])
        if frame:
            after = _frame(data[at + frame.length : at + frame.length + 4])
            if at + frame.length + 4 > len(data) or (after and after.rate_hz == frame.rate_hz):
                return at, frame
        at = data.find(b"\xff", at + 1)
    return None


def _frame(data: bytes) -> _Frame | None:
    if len(data) < 4 or data[0] != 0xFF or data[1] & 0xE0 != 0xE0:
        return None
    version_bits, layer = data[1] >> 3 & 3, 4 - (data[1] >> 1 & 3)
    if version_bits == 1 or layer == 4 or data[2] >> 4 in {0, 15} or data[2] >> 2 & 3 == 3:
        return None
    version = 1 if version_bits == 3 else 2
    rate = _RATES_HZ[data[2] >> 2 & 3] >> (3, 0, 1, 0)[version_bits] if version == 2 else _RATES_HZ[data[2] >> 2 & 3]
    if version_bits == 0:
        rate = _RATES_HZ[data[2] >> 2 & 3] // 4
    kbits, padding = _KBITS[version, layer][data[2] >> 4], data[2] >> 1 & 1
    if layer == 1:
        return _Frame(1, rate, (12_000 * kbits // rate + padding) * 4, 384, 4)
    samples = 1152 if version == 1 or layer == 2 else 576
    side = (32, 17) if version == 1 else (17, 9)
    return _Frame(layer, rate, samples * 125 * kbits // rate + padding, samples, 4 + side[data[3] >> 6 == 3])


def _counts(data: bytes, frame: _Frame) -> tuple[int, int, int]:
    """Return how many frames and bytes there are, and how many samples are not to be heard; 0 where it is not known.

    The bytes count from the start of this frame.
    """
    if frame.layer != 3:
        return 0, 0, 0
    if data[36:40] == b"VBRI":
        return _number(data, 50), _number(data, 46), 0
    at = frame.side_end
    if data[at : at + 4] not in {b"Xing", b"Info"}:
        return 0, 0, 0
    flags = _number(data, at + 4)
    at += 8
    frames = _number(data, at) if flags & _HAS_FRAMES else 0
    at += 4 if flags & _HAS_FRAMES else 0
    length = _number(data, at) if flags & _HAS_BYTES else 0
    at += 4 if flags & _HAS_BYTES else 0
    at += (100 if flags & _HAS_TABLE else 0) + (4 if flags & _HAS_QUALITY else 0)
    if data[at : at + 4] not in {b"LAME", b"Lavc", b"Lavf"}:
        return frames, length, 0
    trimmed = int.from_bytes(data[at + 21 : at + 24], "big")
    return frames, length, (trimmed >> 12) + (trimmed & 0xFFF)


def _is_appended(source: Source, end: int | None) -> bool:
    """Say whether after the counted sound comes so much more that someone joined two files."""
    if end is None or source.size - end <= _APPENDED_BYTES:
        return False
    head = source.read(end, end + 4)
    return is_frame(head) or head.startswith(b"ID3")


def _number(data: bytes, at: int) -> int:
    return int.from_bytes(data[at : at + 4], "big")
