"""Is a file whole? What its container says about its own length, against how many bytes there are.

ffmpeg reads a file that was cut off to where it ends and calls that success, so this is asked first.
Formats that say nothing about their length (MPEG-TS, live WebM) pass.
"""

import struct
from collections.abc import Iterator
from itertools import islice
from typing import BinaryIO

from functions.convert.boxes import Box, is_box, top_boxes
from functions.convert.ebml import EBML, HEADER_MAX_BYTES, SEGMENT, elements
from functions.convert.video import Read

_BLOCK_BYTES = 1024 * 1024
_MOST_EBML_HEADERS = 16

_ASF_HEADER = bytes.fromhex("3026B2758E66CF11A6D900AA0062CE6C")
_ASF_FILE_PROPERTIES = bytes.fromhex("A1DCAB8C47A9CF118EE400C00C205365")
_OGG_END_OF_STREAM = 0x04
# An Ogg page is at most 65,307 bytes long: https://www.rfc-editor.org/rfc/rfc3533#section-6
_OGG_PAGE_MAX = 65_307


def is_cut_off(video: BinaryIO, size: int) -> bool:
    """Say whether the file, which has `size` bytes, ends before its container does. Moves the position.

    Raises InvalidMedia for a file that only looks like a video.
    """
    head = _read(video, 0, 16)
    if is_box(head):
        return any(box.end > size for box in _boxes(video, size))
    if head.startswith(EBML):
        return _matroska_cut_off(video, size)
    if head[:4] == b"RIFF":
        return _riff_cut_off(video, size)
    if head == _ASF_HEADER:
        return _asf_cut_off(video, size)
    if head[:3] == b"FLV":
        return _flv_cut_off(video, size)
    if head[:4] == b"OggS":
        return _ogg_cut_off(video, size)
    return False


def has_encrypted_sound(video: BinaryIO, size: int) -> bool:
    """Say whether an MP4's soundtrack is encrypted: `enca` takes the place of the codec's name.

    See ISO/IEC 14496-12, 8.12. Moves the position.
    """
    return any(kind == b"moov" and _contains(video, start, end, b"enca") for kind, start, end in _boxes(video, size))


def _boxes(video: BinaryIO, size: int) -> Iterator[Box]:
    return top_boxes(_reader(video), size)


def _contains(video: BinaryIO, start: int, end: int, word: bytes) -> bool:
    for position in range(start, end, _BLOCK_BYTES):
        # A word may lie across the border of two blocks.
        if word in _read(video, position, min(_BLOCK_BYTES + len(word) - 1, end - position)):
            return True
    return False


def _matroska_cut_off(video: BinaryIO, size: int) -> bool:
    position = 0
    for element in islice(elements(_reader(video), 0, size), _MOST_EBML_HEADERS):
        if element.id == SEGMENT:
            return element.end is not None and element.end > size
        if element.id != EBML or element.end is None:
            return False
        position = element.end
    # Here the file ends, or what follows is no element.
    return size - position < HEADER_MAX_BYTES


def _riff_cut_off(video: BinaryIO, size: int) -> bool:
    position = 0
    while position + 8 <= size:
        kind, length = struct.unpack("<4sI", _read(video, position, 8))
        # Writers that cannot seek back leave 0 or the largest number as the length.
        if kind != b"RIFF" or length == 0 or length >= 0xFFFFFF00:
            return False
        end = position + 8 + length
        if end > size:
            return True
        position = end + length % 2
    return size < 8


def _asf_cut_off(video: BinaryIO, size: int) -> bool:
    header = _read(video, 0, 64 * 1024)
    at = header.find(_ASF_FILE_PROPERTIES)
    if at < 0 or at + 92 > len(header):
        return False
    file_bytes = struct.unpack_from("<Q", header, at + 40)[0]
    broadcast = struct.unpack_from("<I", header, at + 88)[0] & 1
    return not broadcast and file_bytes > size


def _flv_cut_off(video: BinaryIO, size: int) -> bool:
    # Every tag is followed by its length, 11 bytes of header included.
    length = int.from_bytes(_read(video, size - 4, 4), "big")
    tag = _read(video, max(size - 4 - length, 0), 4)
    return len(tag) < 4 or length != 11 + int.from_bytes(tag[1:4], "big")


def _ogg_cut_off(video: BinaryIO, size: int) -> bool:
    start = max(size - _OGG_PAGE_MAX, 0)
    tail = _read(video, start, _OGG_PAGE_MAX)
    at = tail.rfind(b"OggS")
    if at < 0 or at + 27 > len(tail):
        return True
    segments = tail[at + 26]
    table = tail[at + 27 : at + 27 + segments]
    end = at + 27 + segments + sum(table)
    return len(table) < segments or end > len(tail) or not tail[at + 5] & _OGG_END_OF_STREAM


def _reader(video: BinaryIO) -> Read:
    return lambda start, end: _read(video, start, end - start)


def _read(video: BinaryIO, position: int, length: int) -> bytes:
    video.seek(max(position, 0))
    return video.read(length)
