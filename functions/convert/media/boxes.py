"""The boxes that an MP4 or MOV is made of, and its index, `moov`, for another place.

The layout is that of ISO/IEC 14496-12; as far as it matters here, QuickTime's is the same.
"""

import struct
import sys
from array import array
from collections.abc import Callable, Iterator
from typing import NamedTuple

from functions.convert.failures import InvalidMedia
from functions.convert.media.limits import MAX_STREAMS
from functions.convert.video import Read

_KINDS = frozenset(
    b"ftyp moov mdat free skip wide moof mfra sidx ssix styp uuid meta udta pdin pnot emsg prft junk".split()
)
# Eight hours in fragments of half a second have half as many, and a walk past them all takes seconds.
_MOST_BOXES = 250_000

# An index with more boxes in one than this, or with more tracks, belongs to no video.
_MOST_CHILDREN = 1000

# From the index down to the tables of a track that tell where in the file its pieces begin.
_PATH = (b"trak", b"mdia", b"minf", b"stbl")
_TABLES = {b"stco": "I", b"co64": "Q"}


class Box(NamedTuple):
    """A box: of which kind, and where it begins and ends. Half a header at the end of a file has no kind."""

    kind: bytes
    start: int
    end: int


class MalformedIndex(Exception):
    """Raised when an index is not built as expected."""


def is_box(head: bytes) -> bool:
    """Say whether a file with these first 8 bytes begins with a box."""
    return head[4:8] in _KINDS


def top_boxes(read: Read, size: int) -> Iterator[Box]:
    """Yield the boxes of a file that has `size` bytes, up to the first that is not one of the known kinds.

    A box may end behind the file's end. Raises InvalidMedia if there are too many.
    """
    return _top_boxes(read, size, _KINDS.__contains__)


def all_boxes(read: Read, size: int, start: int = 0) -> Iterator[Box]:
    """Yield the boxes from `start` on as `top_boxes` does, also those whose kind is unknown but made of letters."""
    return _top_boxes(read, size, _is_kind, start)


def children(read: Read, start: int, end: int) -> Iterator[Box]:
    """Yield the boxes between two positions, up to one that does not fit. Raises InvalidMedia if there are too many."""
    for _ in range(_MOST_CHILDREN):
        header = read(start, min(start + 16, end))
        if len(header) < 8:
            return
        length, kind = struct.unpack_from(">I4s", header)
        if length == 1 and len(header) == 16:
            length = int.from_bytes(header[8:], "big")
        # QuickTime ends a list with a length of 0.
        if length < 8 or length > end - start:
            return
        yield Box(kind, start, start + length)
        start += length
    raise InvalidMedia("The file's index has too many parts to be that of a video. Check that it plays on your device.")


def _top_boxes(read: Read, size: int, is_known: Callable[[bytes], bool], position: int = 0) -> Iterator[Box]:
    for _ in range(_MOST_BOXES):
        header = read(position, position + 16)
        if len(header) < 8:
            if header.strip(b"\0"):  # not padding, but half a header
                yield Box(b"", position, position + 8)
            return
        length, kind = struct.unpack_from(">I4s", header)
        if not is_known(kind):
            return
        if length == 1 and len(header) == 16:
            length = struct.unpack_from(">Q", header, 8)[0]
        end = size if length == 0 else position + max(length, 8)
        yield Box(kind, position, end)
        if end >= size:
            return
        position = end
    raise InvalidMedia("The file has too many parts to be a video. Check that it plays on your device.")


def _is_kind(kind: bytes) -> bool:
    return kind in _KINDS or (kind.isascii() and kind.isalnum())


def move_index(index: bytes, by: int, behind: int) -> bytes:
    """Return a `moov` box for a file in which what lay at or behind the position `behind` lies `by` bytes later.

    Raises MalformedIndex: also if it is compressed, or has no room for a larger position.
    """
    moved = bytearray(index)
    tables = list(_tables(index))
    # Wherever else such a table stood, ffmpeg would find it.
    if not tables or len(tables) != sum(map(index.count, _TABLES)):
        raise MalformedIndex("There are tables in unusual places, or none.")
    for typecode, start, end in tables:
        positions = array(typecode, index[start:end])
        _swap(positions)
        try:
            positions = array(typecode, (at + by if at >= behind else at for at in positions))
        except OverflowError as error:
            raise MalformedIndex("A position has no room to grow.") from error
        _swap(positions)
        moved[start:end] = positions.tobytes()
    return bytes(moved)


def _tables(index: bytes) -> Iterator[tuple[str, int, int]]:
    """Yield the type of the entries and where they begin and end, of each table of positions in an index."""
    boxes = [box for box in _children(index, 0, len(index)) if box.kind == b"moov"]
    for kind in _PATH:
        boxes = [child for box in boxes for child in _contents(index, box) if child.kind == kind]
        if len(boxes) > MAX_STREAMS:
            raise MalformedIndex("There are too many tracks.")
    for box in boxes:
        for table in _contents(index, box):
            if typecode := _TABLES.get(table.kind):
                # 8 bytes of header; version and flags; how many entries there are
                start = table.start + 16
                count = int.from_bytes(index[table.start + 12 : start], "big")
                if start + count * array(typecode).itemsize != table.end:
                    raise MalformedIndex("A table does not have as many entries as it says.")
                yield typecode, start, table.end


def _contents(index: bytes, box: Box) -> Iterator[Box]:
    return _children(index, box.start + 8, box.end)


def _children(index: bytes, position: int, end: int) -> Iterator[Box]:
    for _ in range(_MOST_CHILDREN):
        if position + 8 > end:
            return
        length, kind = struct.unpack_from(">I4s", index, position)
        # An index is too small for the long form of a length, and too well known for an open end.
        if length < 8 or position + length > end:
            raise MalformedIndex("A box does not fit into the one around it.")
        yield Box(kind, position, position + length)
        position += length
    raise MalformedIndex("There are too many boxes in one.")


def _swap(positions: "array[int]") -> None:
    if sys.byteorder == "little":
        positions.byteswap()
