"""Reads streams of frames that have no container, to tell what lies between the frames and is none.

ffmpeg passes over that, or takes it for a part of the frame before it, and says nothing: the time of such a stream is
counted from its frames. ADTS: ISO/IEC 14496-3, 1.A.3.2. AC-3 and E-AC-3: ETSI TS 102 366, 4.4.1 and E.1.3.1.
"""

import re
from collections.abc import Callable, Mapping
from typing import BinaryIO

from functions.convert.mp3 import id3v2
from functions.convert.mp3.frames import mpeg_frame_of

_HEADER_BYTES = 8
# What a frame begins with, or a tag of ID3 between two joined files. Erased memory is full of 0xFF.
_SYNC = re.compile(rb"\xff[\xe0-\xfe]|\xff\xff[^\xf0-\xff]|ID3|TAG", re.DOTALL)
_AC3_SYNC = re.compile(rb"\x0b\x77|ID3|TAG")
_SYNC_BYTES = 3
_ID3V1_BYTES = 128
# In kbit/s, by half of `frmsizecod`: ETSI TS 102 366, table 4.13.
_AC3_KBPS = (32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384, 448, 512, 576, 640)
_READ_BYTES = 1024 * 1024
_LARGEST_FRAME_BYTES = 16 * 1024


def junk_bytes(file: BinaryIO, kind: str, on_tick: Callable[[], None] = lambda: None) -> int:
    """Return how many bytes between the first and the last frame of a stream belong to none of its frames.

    0 for kinds of streams that are not known here. Tags of ID3 are no junk. `on_tick` is called for each MiB.
    """
    length_of = _LENGTHS.get(kind)
    if length_of is None:
        return 0
    walk = _Walk(length_of, _AC3_SYNC if length_of is _ac3 else _SYNC)
    file.seek(0)
    data = b""
    while part := file.read(_READ_BYTES):
        on_tick()
        data = walk.through(data + part, is_last=False)
    walk.through(data, is_last=True)
    return walk.junk


class _Walk:
    """Goes from frame to frame. What is passed over on the way counts once another frame has come."""

    def __init__(self, length_of: Callable[[bytes, int], int], sync: "re.Pattern[bytes]") -> None:
        self._sync = sync
        self.junk = 0
        self._length_of = length_of
        self._passed = 0
        self._has_begun = False

    def through(self, data: bytes, *, is_last: bool) -> bytes:
        """Walk through some bytes, and return those at the end which need others behind them."""
        at, size = 0, len(data)
        end = size - (0 if is_last else _LARGEST_FRAME_BYTES + _HEADER_BYTES)
        while at < end:
            length = self._length_of(data, at)
            # Two bytes of a header come up anywhere. A frame has another one behind it, or is the last.
            if length and (not self._passed or at + length == size or self._length_of(data, at + length)):
                self.junk += self._passed if self._has_begun else 0
                self._passed, self._has_begun = 0, True
                at += length
            elif tag := _tag_bytes(data, at):
                at += tag
            else:
                found = self._sync.search(data, at + 1, end + _SYNC_BYTES)
                start, at = at, max(min(found.start() if found else end, end), at + 1)
                self._passed += at - start
        return data[at:]


def _tag_bytes(data: bytes, at: int) -> int:
    """Return how long a tag of ID3 at a position is, or 0."""
    if data.startswith(b"TAG", at) and at + _ID3V1_BYTES <= len(data):
        return _ID3V1_BYTES
    return id3v2.tag_bytes(data[at : at + id3v2.HEADER_BYTES])


def _adts(data: bytes, at: int) -> int:
    head = data[at : at + 6]
    if len(head) < 6 or head[0] != 0xFF or head[1] & 0xF6 != 0xF0 or head[2] >> 2 & 0xF > 12:
        return 0
    length = (head[3] & 3) << 11 | head[4] << 3 | head[5] >> 5
    return length if length > 7 else 0


def _ac3(data: bytes, at: int) -> int:
    head = data[at : at + 6]
    if len(head) < 6 or head[0] != 0x0B or head[1] != 0x77:
        return 0
    if head[5] >> 3 > 10:  # bsid: above 10 it is E-AC-3
        return 2 * (((head[2] & 7) << 8 | head[3]) + 1)
    rate, size = head[4] >> 6, head[4] & 0x3F
    if rate == 3 or size >= 2 * len(_AC3_KBPS):
        return 0
    kbps = _AC3_KBPS[size // 2]
    if rate == 1:
        return 2 * (kbps * 1000 * 1536 // 44_100 // 16 + (size & 1))
    return kbps * (4 if rate == 0 else 6)


def _mpeg(data: bytes, at: int) -> int:
    frame = mpeg_frame_of(data[at : at + 4])
    return frame.bytes if frame else 0


_LENGTHS: Mapping[str, Callable[[bytes, int], int]] = {
    "adts": _adts,
    "ac3": _ac3,
    "eac3": _ac3,
    "mp1": _mpeg,
    "mp2": _mpeg,
    "mp3": _mpeg,
}
