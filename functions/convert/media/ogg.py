"""Reads the first and the last pages of an Ogg file: https://www.rfc-editor.org/rfc/rfc3533."""

import struct
from collections.abc import Iterator
from itertools import takewhile
from typing import NamedTuple

from functions.convert.media.findings import Container, Soundtrack, longest
from functions.convert.media.limits import MAX_STREAMS
from functions.convert.media.source import Source

_CAPTURE = b"OggS"
# Version, flags, granule position, serial number, sequence number, checksum, number of segments.
_PAGE = struct.Struct("<4sBBqIIIB")
_FIRST = 0x02
# No page is longer: https://www.rfc-editor.org/rfc/rfc3533#section-6
_PAGE_MAX_BYTES = 65_307
_HEAD_BYTES = 256 * 1024
# Between two pages of sound there may be many of pictures.
_TAILS = (2 * _PAGE_MAX_BYTES, 2 * 1024 * 1024)
# A chain is read as a whole, so much at a time. Nobody records more than a day of radio in one file.
_CHAIN_MAX_BYTES = 192 * 1024 * 1024
_READ_BYTES = 4 * 1024 * 1024
_FIRST_PAGES = 8
_OPUS_RATE_HZ = 48_000
# RFC 6716, 3.1: the length of a frame in samples at 48 kHz, by the upper 5 bits of a packet's first byte.
_OPUS_FRAMES = (480, 960, 1920, 2880) * 3 + (480, 960) * 2 + (120, 240, 480, 960) * 4


class _Page(NamedTuple):
    """A page. `end` is where it ends; `packets` is how many of its packets end within it."""

    start: int
    end: int
    flags: int
    granule: int
    serial: int
    packets: int
    body: bytes


class _Stream(NamedTuple):
    """A logical stream of sound.

    `skip` is how many samples at its start are not heard; `packet` is how many a packet has at most, where its header
    tells, or 0.
    """

    codec: str
    rate_hz: int
    skip: int = 0
    packet: int = 0


def read_ogg(source: Source) -> Container:
    """Say whether the last page is whole, and how long each stream is, from its first to its last granule position.

    The flag that ends a stream proves nothing: recorders leave it out. Of streams one behind the other, as radio
    recordings have them, the promise is their sum, and the first stands for all.
    """
    head = source.read(0, _HEAD_BYTES)
    pages = list(_pages(head, 0))
    firsts = list(takewhile(lambda page: page.flags & _FIRST, pages))
    is_joined = any(page.flags & _FIRST for page in pages[len(firsts) :])
    streams = {page.serial: _identify(page.body) for page in firsts}
    heard = {serial: stream for serial, stream in list(streams.items())[:MAX_STREAMS] if stream}
    last: dict[int, int] = {}
    is_cut = is_chained = False
    for length in _TAILS:
        start = max(source.size - length, 0)
        tail = list(_pages(source.read(start, source.size), start))
        is_cut = not tail or _goes_on(source, tail[-1])
        is_chained = is_joined or any(page.serial not in streams for page in tail)
        last = {page.serial: page.granule for page in tail if page.granule >= 0 and page.end <= source.size}
        if start == 0 or last.keys() >= heard.keys() or is_chained:
            break
    soundtracks = []
    for serial, stream in heard.items():
        duration = None
        if serial in last and stream.rate_hz and not is_chained:
            samples = last[serial] - _start(stream, [page for page in pages if page.serial == serial])
            duration = max(samples - stream.skip, 0) / stream.rate_hz
        soundtracks.append(Soundtrack(stream.codec, duration))
    found = tuple(soundtracks)
    if is_chained and len(found) == 1 and source.size <= _CHAIN_MAX_BYTES:
        found = (found[0]._replace(duration_s=_chain_length(source)),)
    return Container("ogg", longest(found), missing_bytes=is_cut, soundtracks=found)


def _chain_length(source: Source) -> float:
    """Return how long the streams of a chain are together, in seconds. All of the file is read for it."""
    length_s = 0.0
    stream: _Stream | None = None
    pages: list[_Page] = []
    for page in _all_pages(source):
        source.spend(1)
        if page.flags & _FIRST:
            length_s += _link_length(stream, pages)
            stream, pages = _identify(page.body), []
        elif len(pages) <= _FIRST_PAGES:
            pages.append(page)
        elif page.granule >= 0:
            pages[-1] = page
    return length_s + _link_length(stream, pages)


def _link_length(stream: _Stream | None, pages: list[_Page]) -> float:
    """Return how long one stream of a chain is, by its first pages and its last."""
    granules = [page.granule for page in pages if page.granule >= 0]
    if not stream or not stream.rate_hz or not granules:
        return 0.0
    return max(granules[-1] - _start(stream, pages) - stream.skip, 0) / stream.rate_hz


def _all_pages(source: Source) -> Iterator[_Page]:
    position = 0
    while position < source.size:
        end = position
        for page in _pages(source.read(position, position + _READ_BYTES), position):
            if page.end > position + _READ_BYTES:
                break
            yield page
            end = page.end
        if end == position:
            return
        position = end


def _goes_on(source: Source, page: _Page) -> bool:
    """Say whether the file ends within this page or right after the first bytes of another."""
    if page.end > source.size:
        return True
    rest = source.read(page.end, page.end + _PAGE.size)
    return bool(rest) and len(rest) < _PAGE.size and (rest.startswith(_CAPTURE) or _CAPTURE.startswith(rest))


def _pages(data: bytes, offset: int) -> Iterator[_Page]:
    """Yield the pages in a part of a file, which begins at `offset` there. The last may end behind the part."""
    at = _first_page(data)
    while at >= 0 and at + _PAGE.size <= len(data):
        capture, version, flags, granule, serial, _, _, segments = _PAGE.unpack_from(data, at)
        if capture != _CAPTURE or version:
            at = data.find(_CAPTURE, at + 1)
            continue
        start = at + _PAGE.size
        lengths = data[start : start + segments]
        start += segments
        at = start + sum(lengths)
        packets = sum(1 for length in lengths if length < 255)
        yield _Page(offset + start, offset + at, flags, granule, serial, packets, data[start:at])
        if len(lengths) < segments:
            return


def _first_page(data: bytes) -> int:
    """Return where the first page begins after which comes another one, or the end: sound may hold the same 4 bytes."""
    at = data.find(_CAPTURE)
    while at >= 0 and at + _PAGE.size <= len(data):
        segments = data[at + _PAGE.size - 1]
        start = at + _PAGE.size + segments
        end = start + sum(data[at + _PAGE.size : start])
        if end >= len(data) or data.startswith(_CAPTURE, end):
            return at
        at = data.find(_CAPTURE, at + 1)
    return at


def _identify(packet: bytes) -> _Stream | None:
    """Return what the first packet of a stream says, or None if it is no sound."""
    if packet.startswith(b"\x01vorbis") and len(packet) >= 29:
        return _Stream("vorbis", int.from_bytes(packet[12:16], "little"), packet=1 << (packet[28] >> 4))
    if packet.startswith(b"OpusHead") and len(packet) >= 12:
        return _Stream("opus", _OPUS_RATE_HZ, skip=int.from_bytes(packet[10:12], "little"))
    if packet.startswith(b"\x7fFLAC") and len(packet) >= 51:
        rate = int.from_bytes(packet[27:30], "big") >> 4
        return _Stream("flac", rate, packet=int.from_bytes(packet[19:21], "big"))
    if packet.startswith(b"Speex   ") and len(packet) >= 68:
        rate, frame, frames = (int.from_bytes(packet[at : at + 4], "little") for at in (36, 56, 64))
        return _Stream("speex", rate, packet=frame * max(frames, 1))
    return None


def _start(stream: _Stream, pages: list[_Page]) -> int:
    """Return the granule position at which a stream begins: 0, unless it was joined late."""
    timed = [page for page in pages if page.granule > 0 and page.packets]
    if not timed:
        return 0
    first = timed[0]
    samples = first.packets * (_opus_samples(first.body) if stream.codec == "opus" else stream.packet)
    # The first page may hold less than full packets, so a start near 0 is 0.
    if first.granule <= samples + stream.rate_hz // 10:
        return 0
    if len(timed) > 1 and stream.codec == "vorbis":
        # Its packets have two lengths. The second page tells how long they are on average.
        samples = (first.packets - 1) * (timed[1].granule - first.granule) // timed[1].packets
    return max(first.granule - samples, 0)


def _opus_samples(packet: bytes) -> int:
    """Return the samples of an Opus packet: RFC 6716, 3.1 and 3.2."""
    if not packet:
        return 0
    code = packet[0] & 3
    frames = (1, 2, 2, packet[1] & 0x3F if len(packet) > 1 else 1)[code]
    return _OPUS_FRAMES[packet[0] >> 3] * frames
