"""Reads Matroska and WebM: https://www.rfc-editor.org/rfc/rfc9559."""

import math
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice

from functions.convert.media.ebml import (
    CLUSTER,
    EBML,
    HEADER_MAX_BYTES,
    INFO,
    SEEK_HEAD,
    SEGMENT,
    TRACKS,
    Element,
    elements,
)
from functions.convert.media.findings import Container, Soundtrack
from functions.convert.media.limits import MAX_STREAMS
from functions.convert.media.source import Source

_CUES = bytes.fromhex("1C53BB6B")
_TIMESTAMP_SCALE = bytes.fromhex("2AD7B1")
_DURATION = bytes.fromhex("4489")
_TRACK_ENTRY = b"\xae"
_TRACK_TYPE = b"\x83"
_CODEC_ID = b"\x86"
_CONTENT_ENCODINGS = bytes.fromhex("6D80")
_CONTENT_ENCODING = bytes.fromhex("6240")
_CONTENT_ENCRYPTION = bytes.fromhex("5035")
_CONTENT_ENCODING_TYPE = bytes.fromhex("5033")
_TIMESTAMP = b"\xe7"
_SIMPLE_BLOCK = b"\xa3"
_BLOCK_GROUP = b"\xa0"
_BLOCK = b"\xa1"
_CRC = b"\xbf"

_SOUND = 2
_ENCRYPTED = 1

_MOST_ELEMENTS = 1000
_MOST_BLOCKS = 50_000
_HEADER_BYTES_MAX = 1024 * 1024
# A recorder begins a cluster every few seconds. One of 4K video has 10 MB.
_TAILS = (256 * 1024, 2 * 1024 * 1024, 16 * 1024 * 1024)
# Among the first blocks is the earliest: pictures may be stored in another order than shown.
_FIRST_BLOCKS = 8


@dataclass(slots=True)
class _Head:
    """What stands before the clusters."""

    scale_ns: int = 1_000_000
    duration_s: float | None = None
    soundtracks: tuple[Soundtrack, ...] = ()
    has_cues: bool = False
    first_cluster: Element | None = None


def read_matroska(source: Source) -> Container:
    """Say how long the file promises to be, and whether its segment ends within the file.

    A recorder writes neither the segment's size nor its duration before it ends. So a file without a duration whose
    last cluster is cut is unfinished, while one that has both was finished, and then cut off.
    """
    segment = next((each for each in islice(elements(source.read, 0, source.size), 16) if each.id != EBML), None)
    if segment is None:
        return Container("matroska", missing_bytes=True)
    if segment.id != SEGMENT:
        return Container("matroska")
    head = _read_head(source, segment)
    found = Container("matroska", _length(source, head), soundtracks=head.soundtracks)
    if head.first_cluster is None:
        return found._replace(missing_bytes=segment.end is None or segment.end > source.size)
    if segment.end is not None and segment.end <= source.size:
        return found
    was_finished = head.duration_s is not None or head.has_cues
    if segment.end is not None and was_finished:
        return found._replace(missing_bytes=True)
    if segment.end is None and not _is_cut_within_cluster(source, segment.start):
        return found
    return found._replace(missing_bytes=was_finished, is_unfinished=not was_finished)


def _read_head(source: Source, segment: Element) -> _Head:
    head = _Head()
    end = min(segment.end or source.size, source.size)
    for element in islice(elements(source.read, segment.start, end), _MOST_ELEMENTS):
        if element.id == CLUSTER:
            head.first_cluster = element
            break
        if element.id == _CUES:
            head.has_cues = True
        if element.id not in {INFO, TRACKS, SEEK_HEAD} or element.end is None:
            continue
        if element.end - element.start > _HEADER_BYTES_MAX:
            continue
        if element.id == INFO:
            _read_info(source, element, head)
        elif element.id == TRACKS:
            head.soundtracks = tuple(_soundtracks(source, element))
        else:
            head.has_cues |= _CUES in source.read(element.start, element.end)
    return head


def _read_info(source: Source, info: Element, head: _Head) -> None:
    duration = 0.0
    for element in _children(source, info):
        data = _data(source, element)
        if element.id == _TIMESTAMP_SCALE:
            head.scale_ns = int.from_bytes(data, "big") or head.scale_ns
        elif element.id == _DURATION and len(data) in {4, 8}:
            duration = struct.unpack(">f" if len(data) == 4 else ">d", data)[0]
    seconds = duration * head.scale_ns / 1e9
    if math.isfinite(seconds) and seconds > 0:
        head.duration_s = seconds


def _soundtracks(source: Source, tracks: Element) -> Iterator[Soundtrack]:
    for entry in islice(_children(source, tracks), MAX_STREAMS * 2):
        kind, codec, encryption = 0, "", ""
        for element in _children(source, entry) if entry.id == _TRACK_ENTRY else ():
            if element.id == _TRACK_TYPE:
                kind = int.from_bytes(_data(source, element), "big")
            elif element.id == _CODEC_ID:
                codec = _data(source, element).rstrip(b"\0").decode("latin-1")
            elif element.id == _CONTENT_ENCODINGS and _is_encrypted(source, element):
                encryption = "ContentEncryption"
        if kind == _SOUND:
            yield Soundtrack(codec, encryption=encryption)


def _is_encrypted(source: Source, encodings: Element) -> bool:
    """Say whether one of the encodings is encryption, and not compression."""
    for encoding in _children(source, encodings):
        for element in _children(source, encoding) if encoding.id == _CONTENT_ENCODING else ():
            if element.id == _CONTENT_ENCRYPTION:
                return True
            if element.id == _CONTENT_ENCODING_TYPE and int.from_bytes(_data(source, element), "big") == _ENCRYPTED:
                return True
    return False


def _length(source: Source, head: _Head) -> float | None:
    """Return the length in seconds. A file that keeps the time of a longer recording says when it ends instead."""
    if head.duration_s is None or head.first_cluster is None:
        return head.duration_s
    start_s = _start(source, head.first_cluster) * head.scale_ns / 1e9
    return head.duration_s - start_s if 0 < start_s < head.duration_s else head.duration_s


def _start(source: Source, cluster: Element) -> int:
    """Return when the first block of a cluster begins, in units of the segment."""
    base, shifts = 0, []
    end = min(cluster.end or source.size, source.size)
    for element in islice(elements(source.read, cluster.start, end), 4 * _FIRST_BLOCKS):
        block = element
        if element.id == _TIMESTAMP:
            base = int.from_bytes(_data(source, element), "big")
        elif element.id == _BLOCK_GROUP:
            block = next((each for each in _children(source, element) if each.id == _BLOCK), element)
        if block.id in {_SIMPLE_BLOCK, _BLOCK}:
            head = source.read(block.start, block.start + 11)
            # The number of the track comes first; its leading zeros tell how many bytes it has.
            width = 9 - head[0].bit_length() if head else 9
            shifts.append(int.from_bytes(head[width : width + 2], "big", signed=True))
        if len(shifts) == _FIRST_BLOCKS:
            break
    return max(base + min(shifts, default=0), 0)


def _is_cut_within_cluster(source: Source, start: int) -> bool:
    """Say whether the file ends within an element of its last cluster."""
    for length in _TAILS:
        begin = max(source.size - length, start)
        tail = source.read(begin, source.size)
        at = tail.rfind(CLUSTER)
        for _ in range(_MOST_ELEMENTS):
            if at < 0:
                break
            first = next(elements(source.read, begin + at, source.size), None)
            inside = first and next(elements(source.read, first.start, source.size), None)
            if first and inside and inside.id in {_TIMESTAMP, _CRC}:
                return _ends_within(source, first)
            if source.size - begin - at < 2 * HEADER_MAX_BYTES:  # half of a cluster's head
                return True
            at = tail.rfind(CLUSTER, 0, at)
        if begin == start:
            return True
    return False


def _ends_within(source: Source, cluster: Element) -> bool:
    if cluster.end is not None and cluster.end >= source.size:
        return cluster.end > source.size
    position = cluster.end or cluster.start
    for element in islice(elements(source.read, position, source.size), _MOST_BLOCKS):
        if element.end is None:
            return False
        position = element.end
    return position > source.size or 0 < source.size - position < HEADER_MAX_BYTES


def _children(source: Source, parent: Element) -> Iterator[Element]:
    if parent.end is None:
        return iter(())
    return islice(elements(source.read, parent.start, min(parent.end, source.size)), _MOST_ELEMENTS)


def _data(source: Source, element: Element) -> bytes:
    return source.read(element.start, min(element.end or 0, element.start + 64))
