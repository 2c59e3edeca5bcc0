"""ZIP files of files that are stored elsewhere: everything that is written before, between and after them.

Nothing is compressed, since MP3s already are. Sizes and checksums are known in advance, so the layout of a ZIP is known
before a byte of a file is read: its length can be announced, and any range of it can be sent.

https://pkware.cachefly.net/webdocs/casestudies/APPNOTE.TXT, and for times
https://libzip.org/specifications/extrafld.txt
"""

import struct
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import NamedTuple

# A 32-bit number with this value means that the real one is in a ZIP64 field.
_LARGE = 0xFFFF_FFFF
_PLAIN_VERSION, _ZIP64_VERSION = 20, 45
_UNIX = 3 << 8
_REGULAR_FILE = 0o100644 << 16
_NAMES_ARE_UTF8 = 1 << 11
_STORED = 0
_ZIP64_FIELD, _TIME_FIELD = 0x0001, 0x5455


class ZipEntry(NamedTuple):
    """A file in a ZIP. Its name is unique, and at most 65,535 bytes of UTF-8. It was modified in 1980 or later."""

    name: str
    modified: datetime
    bytes: int
    crc32: int


class Layout(NamedTuple):
    """What a ZIP contains besides its files: a header before each, and the directory after the last."""

    headers: tuple[bytes, ...]
    directory: bytes


def lay_out(entries: Sequence[ZipEntry]) -> Layout:
    """Return what is written around files that come in this order. There are fewer than 65,535."""
    headers, listed = [], []
    position = 0
    for entry in entries:
        headers.append(_header(entry))
        listed.append(_listing(entry, position))
        position += len(headers[-1]) + entry.bytes
    directory = b"".join(listed)
    return Layout(tuple(headers), directory + _end(len(entries), len(directory), position))


def _header(entry: ZipEntry) -> bytes:
    """Return the local file header: APPNOTE 4.3.7."""
    is_large = entry.bytes >= _LARGE
    extra = _times(entry)
    if is_large:
        extra += struct.pack("<2H2Q", _ZIP64_FIELD, 16, entry.bytes, entry.bytes)
    size = _LARGE if is_large else entry.bytes
    name = entry.name.encode()
    return (
        struct.pack(
            "<4s5H3I2H",
            *(b"PK\3\4", _ZIP64_VERSION if is_large else _PLAIN_VERSION),
            *(_NAMES_ARE_UTF8, _STORED, *_dos_time(entry.modified)),
            *(entry.crc32, size, size, len(name), len(extra)),
        )
        + name
        + extra
    )


def _listing(entry: ZipEntry, position: int) -> bytes:
    """Return what the central directory says of a file whose header is at `position`: APPNOTE 4.3.12."""
    sizes = [entry.bytes, entry.bytes] if entry.bytes >= _LARGE else []
    large = [*sizes, *([position] if position >= _LARGE else [])]
    extra = _times(entry)
    if large:
        extra += struct.pack(f"<2H{len(large)}Q", _ZIP64_FIELD, 8 * len(large), *large)
    size, offset = min(entry.bytes, _LARGE), min(position, _LARGE)
    version = _ZIP64_VERSION if large else _PLAIN_VERSION
    name = entry.name.encode()
    return (
        struct.pack(
            "<4s6H3I5H2I",
            *(b"PK\1\2", _UNIX | version, version),
            *(_NAMES_ARE_UTF8, _STORED, *_dos_time(entry.modified)),
            *(entry.crc32, size, size, len(name), len(extra)),
            *(0, 0, 0, _REGULAR_FILE, offset),
        )
        + name
        + extra
    )


def _end(count: int, length: int, position: int) -> bytes:
    """Return the end of a central directory of `length` bytes that begins at `position`: APPNOTE 4.3.14 to 4.3.16."""
    end = struct.pack("<4s4H2IH", b"PK\5\6", 0, 0, count, count, length, min(position, _LARGE), 0)
    if position < _LARGE:
        return end
    version = _ZIP64_VERSION
    zip64_end = struct.pack("<4sQ2H2I4Q", b"PK\6\6", 44, _UNIX | version, version, 0, 0, count, count, length, position)
    return zip64_end + struct.pack("<4sIQI", b"PK\6\7", 0, position + length, 1) + end


def _times(entry: ZipEntry) -> bytes:
    """Return the extended time stamp, which is in UTC, to the second."""
    return struct.pack("<2HBI", _TIME_FIELD, 5, 1, int(entry.modified.timestamp()))


def _dos_time(time: datetime) -> tuple[int, int]:
    """Return the time and the date as DOS stores them, to two seconds: APPNOTE 4.4.6. They have no time zone."""
    utc = time.astimezone(UTC)
    return (
        utc.hour << 11 | utc.minute << 5 | utc.second // 2,
        (utc.year - 1980) << 9 | utc.month << 5 | utc.day,
    )
