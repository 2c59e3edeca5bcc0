"""The elements that a Matroska or WebM file is made of: https://www.rfc-editor.org/rfc/rfc8794, .../rfc9559."""

from collections.abc import Iterator
from typing import NamedTuple

from functions.convert.video import Read

EBML = bytes.fromhex("1A45DFA3")
SEGMENT = bytes.fromhex("18538067")
SEEK_HEAD = bytes.fromhex("114D9B74")
INFO = bytes.fromhex("1549A966")
TRACKS = bytes.fromhex("1654AE6B")
TAGS = bytes.fromhex("1254C367")
CLUSTER = bytes.fromhex("1F43B675")

_ID_WIDTH_MAX = 4
_LENGTH_WIDTH_MAX = 8
HEADER_MAX_BYTES = _ID_WIDTH_MAX + _LENGTH_WIDTH_MAX


class Element(NamedTuple):
    """An element: its id, and where its content begins and ends. A live stream does not tell where: None."""

    id: bytes
    start: int
    end: int | None


def elements(read: Read, position: int, end: int) -> Iterator[Element]:
    """Yield the elements between two positions, up to one that does not tell its end, or that is none."""
    while position < end:
        header = read(position, position + HEADER_MAX_BYTES)
        width = _width(header)
        length_width = _width(header[width:])
        body = position + width + length_width
        if width > _ID_WIDTH_MAX or length_width > _LENGTH_WIDTH_MAX or body > position + len(header):
            return
        mask = (1 << 7 * length_width) - 1
        length = int.from_bytes(header[width : width + length_width], "big") & mask
        if length == mask:
            yield Element(header[:width], body, None)
            return
        position = body + length
        yield Element(header[:width], body, position)


def _width(data: bytes) -> int:
    """Return how many bytes a number has, which the leading zeros of its first byte tell. 9 is none that there is."""
    return 9 - data[0].bit_length() if data else 9
