"""Reads the partitions and the descriptions of sound in an MXF: SMPTE ST 377-1."""

import struct
from collections.abc import Iterator
from typing import NamedTuple

from functions.convert.media.findings import Container, Soundtrack, longest
from functions.convert.media.limits import MAX_STREAMS
from functions.convert.media.source import PastTheEnd, Source

PARTITION = bytes.fromhex("060e2b34020501010d01020101")
_FOOTER, _RANDOM_INDEX = 0x04, 0x11
_ANY = bytes.fromhex("060e2b34")
_OPEN = {1, 3}  # open and incomplete, open and complete
_RUN_IN_MAX_BYTES = 64 * 1024

# Sets of metadata, which refer to each other by their ids and whose values have names of 2 bytes.
_SET = bytes.fromhex("060e2b34025301010d01010101")
_SEQUENCE, _MATERIAL_PACKAGE, _TRACK = 0x0F, 0x36, 0x3B
_ID, _DATA_DEFINITION, _DURATION = 0x3C0A, 0x0201, 0x0202
_TRACKS, _EDIT_RATE, _TRACK_SEQUENCE = 0x4403, 0x4B01, 0x4803
# The label of sound, as SMPTE RP 224 lists it, without its version.
_SOUND = bytes.fromhex("01030202020000")
# The ids in a list come after their number and their length.
_LIST_HEADER_BYTES = 8
_MOST_SETS = 5_000
_SET_MAX_BYTES = 8 * 1024
_LABEL_BYTES = 16


class _Partition(NamedTuple):
    """A partition: what it is, where its content begins and how many bytes of metadata it has."""

    kind: int
    status: int
    footer: int
    start: int
    header_bytes: int


def read_mxf(source: Source) -> Container:
    """Say how long the sound is, and whether the footer is in the file, which is where a finished one ends.

    A file whose head was left open and that has neither footer nor index is one whose recorder stopped.
    """
    run_in = source.read(0, _RUN_IN_MAX_BYTES).find(PARTITION)
    head = _partition(source, run_in)
    footer_position = head.footer
    if not footer_position:
        footer_position = _footer_from_index(source)
    found = list(_soundtracks(source, head))
    if not footer_position:
        return _described(found, is_unfinished=head.status in _OPEN)
    try:
        footer = _partition(source, run_in + footer_position)
    except PastTheEnd:
        return _described(found, missing_bytes=True)
    if footer.header_bytes:
        found = list(_soundtracks(source, footer)) or found
    return _described(found)


def _described(found: list[Soundtrack], *, missing_bytes: bool = False, is_unfinished: bool = False) -> Container:
    soundtracks = tuple(found)
    return Container("mxf", longest(soundtracks), missing_bytes, is_unfinished, soundtracks)


def _partition(source: Source, position: int) -> _Partition:
    """Return the partition at a position. Raises PastTheEnd if it is not there as a whole."""
    key = source.read(position, position + _LABEL_BYTES)
    if not key.startswith(PARTITION) or len(key) < _LABEL_BYTES:
        raise PastTheEnd
    body, length = _length(source, position + _LABEL_BYTES)
    footer, header_bytes = source.unpack(">QQ", body + 24)
    if body + length > source.size:
        raise PastTheEnd
    return _Partition(key[13], key[14], footer, body + length, header_bytes)


def _footer_from_index(source: Source) -> int:
    """Return where the footer is as the index at the end says, which lists all partitions; 0 if there is none."""
    length = int.from_bytes(source.read(source.size - 4, source.size), "big")
    start = source.size - length
    key = source.read(start, start + _LABEL_BYTES)
    if length < 37 or not key.startswith(PARTITION) or key[13] != _RANDOM_INDEX:
        return 0
    last: int = source.unpack(">Q", source.size - 12)[0]
    return last


def _soundtracks(source: Source, partition: _Partition) -> Iterator[Soundtrack]:
    """Yield the tracks of sound that the metadata of a partition lists, in the order of the package that is played."""
    sets = list(_sets(source, partition))
    by_id = {values.get(_ID, b""): values for _, values in sets}
    package = next((values for kind, values in sets if kind == _MATERIAL_PACKAGE), {})
    ids = package.get(_TRACKS, b"")[_LIST_HEADER_BYTES:]
    for at in range(0, min(len(ids), 16 * 2 * MAX_STREAMS), 16):
        track = by_id.get(ids[at : at + 16], {})
        sequence = by_id.get(track.get(_TRACK_SEQUENCE, b""), {})
        if sequence.get(_DATA_DEFINITION, b"")[8:15] != _SOUND:
            continue
        rate = track.get(_EDIT_RATE, b"")
        units, seconds = int.from_bytes(rate[:4], "big"), int.from_bytes(rate[4:8], "big")
        length = int.from_bytes(sequence.get(_DURATION, b""), "big", signed=True)
        yield Soundtrack(duration_s=length * seconds / units if units and seconds and length > 0 else None)


def _sets(source: Source, partition: _Partition) -> Iterator[tuple[int, dict[int, bytes]]]:
    """Yield the kind and the values of each set that is needed here."""
    position = partition.start
    end = position + partition.header_bytes
    for _ in range(_MOST_SETS):
        key = source.read(position, position + _LABEL_BYTES)
        # Filling before the first set is not counted in the length of the metadata.
        if position >= end or not key.startswith(_ANY) or len(key) < _LABEL_BYTES:
            return
        body, length = _length(source, position + _LABEL_BYTES)
        position = body + length
        if key.startswith(_SET) and key[14] in {_SEQUENCE, _MATERIAL_PACKAGE, _TRACK} and length <= _SET_MAX_BYTES:
            source.spend(length // 16)
            yield key[14], _values(source.read(body, position))


def _values(data: bytes) -> dict[int, bytes]:
    """Return the values of a set by their names; each has a length of 2 bytes."""
    values = {}
    at = 0
    while at + 4 <= len(data):
        name, length = struct.unpack_from(">HH", data, at)
        values[name] = data[at + 4 : at + 4 + length]
        at += 4 + length
    return values


def _length(source: Source, position: int) -> tuple[int, int]:
    """Return where a value begins and how long it is: its length is encoded as ISO/IEC 8825-1 (BER) does."""
    first: int = source.unpack("B", position)[0]
    if first < 0x80:
        return position + 1, first
    width = min(first & 0x7F, 8)
    data = source.read(position + 1, position + 1 + width)
    if len(data) < width:
        raise PastTheEnd
    return position + 1 + width, int.from_bytes(data, "big")
