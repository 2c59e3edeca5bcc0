"""Listings by ffmpeg's muxer framecrc: the streams, and a line for each packet or each decoded piece of sound.

It is written for machines, and nothing in it is quoted from the file: https://ffmpeg.org/ffmpeg-formats.html#framecrc-1
"""

import re
from collections.abc import Iterable, Iterator
from typing import NamedTuple

_HEADER = re.compile(rb"#(\w+) (\d+): (.*)")
_PACKET = re.compile(rb"(\d+), *-?\d+, *(-?\d+), *(\d+), *(\d+), (0x[0-9a-f]{8})")


class Stream(NamedTuple):
    """A stream. `layout` is the name of a channel layout, empty for pictures."""

    kind: str
    codec: str
    rate_hz: int
    layout: str


class Packet(NamedTuple):
    """A packet: its stream, its time stamp and duration in units of `tick_s`, its size, and a checksum."""

    stream: int
    pts: int
    duration: int
    size: int
    checksum: bytes
    tick_s: float

    @property
    def end_s(self) -> float:
        """When it ends, in seconds."""
        return (self.pts + self.duration) * self.tick_s


def packets(lines: Iterable[bytes]) -> Iterator[Packet]:
    """Yield the packets of a listing, as they come."""
    ticks: dict[int, float] = {}
    for line in lines:
        if found := _PACKET.match(line):
            stream, pts, duration, size, checksum = found.groups()
            yield Packet(int(stream), int(pts), int(duration), int(size), checksum, ticks[int(stream)])
        elif (header := _HEADER.match(line)) and header[1] == b"tb":
            numerator, denominator = header[3].split(b"/")
            ticks[int(header[2])] = int(numerator) / int(denominator)


def streams(listing: bytes) -> list[Stream]:
    """Return the streams of a listing."""
    values: dict[int, dict[bytes, bytes]] = {}
    for line in listing.splitlines():
        if found := _HEADER.match(line):
            values.setdefault(int(found[2]), {})[found[1]] = found[3]
    return [
        Stream(
            kind=value[b"media_type"].decode(),
            codec=value.get(b"codec_id", b"").decode(),
            rate_hz=int(value.get(b"sample_rate", b"0")),
            layout=value.get(b"channel_layout_name", b"").decode(),
        )
        for _, value in sorted(values.items())
        if b"media_type" in value
    ]
