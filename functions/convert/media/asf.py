"""Reads the header of an ASF, WMA or WMV file: Microsoft's "Advanced Systems Format Specification 01.20.06"."""

import uuid
from collections.abc import Iterator

from functions.convert.media.findings import Container, Soundtrack
from functions.convert.media.limits import MAX_STREAMS
from functions.convert.media.source import Source


def _guid(text: str) -> bytes:
    return uuid.UUID(text).bytes_le


ASF_HEAD = _guid("75B22630-668E-11CF-A6D9-00AA0062CE6C")
_DATA = _guid("75B22636-668E-11CF-A6D9-00AA0062CE6C")
_FILE_PROPERTIES = _guid("8CABDCA1-A947-11CF-8EE4-00C00C205365")
_STREAM_PROPERTIES = _guid("B7DC0791-A9B7-11CF-8EE6-00C00C205365")
_HEADER_EXTENSION = _guid("5FBF03B5-A92E-11CF-8EE3-00C00C205365")
_SOUND = _guid("F8699E40-5B4D-11CF-A8FD-00805F5C442B")
_ENCRYPTIONS = {
    _guid("2211B3FB-BD23-11D2-B4B7-00A0C955FC6E"): "ContentEncryption",
    _guid("298AE614-2622-4C17-B935-DAE07EE9289C"): "ExtendedContentEncryption",
    _guid("43058533-6981-49E6-9B74-AD12CB86D58C"): "AdvancedContentEncryption",
}

_MOST_OBJECTS = 1000
_EXTENSION_MAX_BYTES = 1024 * 1024
_BROADCAST = 1
_DATA_HEADER_BYTES = 50
_TICKS_PER_SECOND = 10_000_000


def read_asf(source: Source) -> Container:
    """Say how long the file promises to be, and whether all of its packets are in it.

    An index may come behind them, without which the sound is whole. A broadcast, which was recorded while it ran,
    promises nothing; it is unfinished if it ends within a packet.
    """
    header_length = source.unpack("<Q", 16)[0]
    if header_length > source.size:
        return Container("asf", missing_bytes=True)
    duration, file_bytes, packet_bytes, is_broadcast, encryption = None, 0, 0, True, ""
    codecs: list[str] = []
    for kind, start, end in _objects(source, 30, header_length):
        if kind == _FILE_PROPERTIES:
            file_bytes = source.unpack("<Q", start + 16)[0]
            play, _, preroll_ms, flags, smallest, largest = source.unpack("<QQQIII", start + 40)
            is_broadcast = bool(flags & _BROADCAST)
            packet_bytes = largest if smallest == largest else 0
            length = play / _TICKS_PER_SECOND - preroll_ms / 1000
            duration = length if length > 0 and not is_broadcast else None
        elif kind == _STREAM_PROPERTIES:
            codecs += _codec(source.read(start, start + 56))
        elif kind == _HEADER_EXTENSION:
            # Streams that differ in language only are described within another object.
            data = source.read(start, min(end, start + _EXTENSION_MAX_BYTES))
            at = data.find(_STREAM_PROPERTIES)
            while at >= 0:
                codecs += _codec(data[at + 24 : at + 80])
                at = data.find(_STREAM_PROPERTIES, at + 24)
        encryption = _ENCRYPTIONS.get(kind, encryption)
    soundtracks = tuple(Soundtrack(codec, encryption=encryption) for codec in codecs[:MAX_STREAMS])
    data, data_bytes = source.unpack("<16sQ", header_length)
    if duration is not None:
        # Part of a longer recording may keep its time.
        start_s = _first_send_time(source, header_length + _DATA_HEADER_BYTES)
        duration -= start_s if start_s < duration else 0.0
    if not is_broadcast:
        end = header_length + data_bytes if data == _DATA and data_bytes > _DATA_HEADER_BYTES else file_bytes
        return Container("asf", duration, missing_bytes=end > source.size, soundtracks=soundtracks)
    after = source.size - header_length - _DATA_HEADER_BYTES
    is_cut = after < 0 or (data == _DATA and packet_bytes > 0 and after % packet_bytes > 0)
    return Container("asf", is_unfinished=is_cut, soundtracks=soundtracks)


def _first_send_time(source: Source, position: int) -> float:
    """Return when the packet at a position is sent, in seconds: section 5.2 of the specification of ASF."""
    head = source.read(position, position + 64)
    if head[:1] and head[0] & 0x80:  # error correction data come first, mostly two bytes
        head = head[1 + (head[0] & 0x0F) :]
    if len(head) < 2:
        return 0.0
    # The lengths of the packet, of its sequence number and of its padding have 0, 1, 2 or 4 bytes each.
    widths = [(0, 1, 2, 4)[head[0] >> shift & 3] for shift in (5, 1, 3)]
    at = 2 + sum(widths)
    return int.from_bytes(head[at : at + 4], "little") / 1000


def _objects(source: Source, position: int, end: int) -> Iterator[tuple[bytes, int, int]]:
    """Yield the kind of each object of the header, and where its content begins and ends."""
    for _ in range(_MOST_OBJECTS):
        if position + 24 > end:
            return
        kind, length = source.unpack("<16sQ", position)
        if length < 24:
            return
        yield kind, position + 24, min(position + length, end)
        position += length


def _codec(properties: bytes) -> list[str]:
    """Return the codec's number in a list if these are the properties of sound, an empty list if not."""
    if properties[:16] != _SOUND or len(properties) < 56:
        return []
    return [f"0x{int.from_bytes(properties[54:56], 'little'):04x}"]
