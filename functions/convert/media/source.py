"""Reads a file in few and large steps, although its structure asks for many small ones."""

import struct
import sys
from array import array
from typing import Any

from functions.convert.failures import InvalidMedia
from functions.convert.media.limits import MAX_READ_BYTES, MAX_TABLE_BYTES
from functions.convert.video import Read

_AHEAD_MIN_BYTES = 4 * 1024
_AHEAD_MAX_BYTES = 1024 * 1024
_MOST_FETCHES = 100_000
# A step takes about 2 µs. The fragments of eight hours take half as many.
_MOST_STEPS = 600_000


class PastTheEnd(Exception):
    """Raised when a structure goes on where the file has ended."""


def big_endian(code: str, data: bytes) -> "array[int]":
    """Return the numbers that big-endian bytes hold, without half a number at the end. `code` is that of `array`."""
    numbers = array(code)
    numbers.frombytes(data[: len(data) // numbers.itemsize * numbers.itemsize])
    if sys.byteorder == "little":
        numbers.byteswap()
    return numbers


class Source:
    """The bytes of a file of `size` bytes. It reads ahead: the further, the longer it is read without a gap.

    Its methods raise InvalidMedia when the structure of the file asks for absurdly many bytes or reads.
    """

    def __init__(self, read: Read, size: int) -> None:
        self._fetch = read
        self.size = size
        self._start = 0
        self._buffer = b""
        self._ahead = _AHEAD_MIN_BYTES
        self._bytes_left = MAX_READ_BYTES
        self._fetches_left = _MOST_FETCHES
        self._steps_left = _MOST_STEPS

    def read(self, start: int, end: int) -> bytes:
        """Return the bytes from `start` up to, not including, `end`; fewer where the file ends. Fits Read."""
        self.spend(1)
        end = min(end, self.size)
        if start < 0 or start >= end:
            return b""
        if end - start > MAX_TABLE_BYTES:
            raise InvalidMedia("The file's index is too large for a video. Check that it plays on your device.")
        if not self._start <= start <= end <= self._start + len(self._buffer):
            self._fill(start, end)
        return self._buffer[start - self._start : end - self._start]

    def unpack(self, layout: str, position: int) -> tuple[Any, ...]:
        """Return the values that lie at a position, as `struct` describes them. Raises PastTheEnd."""
        found = self.read(position, position + struct.calcsize(layout))
        if len(found) < struct.calcsize(layout):
            raise PastTheEnd
        return struct.unpack(layout, found)

    def spend(self, steps: int) -> None:
        """Count what else takes time. Reading once is one step."""
        self._steps_left -= steps
        if self._steps_left < 0:
            raise InvalidMedia("The file has too many parts to be a video. Check that it plays on your device.")

    def _fill(self, start: int, end: int) -> None:
        goes_on = self._start <= start <= self._start + len(self._buffer)
        self._ahead = min(2 * self._ahead, _AHEAD_MAX_BYTES) if goes_on else _AHEAD_MIN_BYTES
        end = min(max(end, start + self._ahead), self.size)
        self._bytes_left -= end - start
        self._fetches_left -= 1
        if self._bytes_left < 0 or self._fetches_left < 0:
            raise InvalidMedia("The file has too many parts to be a video. Check that it plays on your device.")
        self._start, self._buffer = start, self._fetch(start, end)

    def beginning_at(self, start: int) -> "Source":
        """Return the source of the file that begins at a position of this one."""
        return Source(lambda begin, end: self._fetch(start + begin, start + end), max(self.size - start, 0))
