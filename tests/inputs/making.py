"""What recipes are made of: sounds and pictures for ffmpeg, and changes to the bytes of a file."""

import struct
from collections.abc import Callable, Iterator, Sequence
from itertools import chain
from pathlib import Path

from tests.media import ffmpeg

Data = bytes | bytearray

TS_PACKET = 188
MPEG4 = ("-c:v", "mpeg4", "-q:v", "8")
MPEG2 = ("-c:v", "mpeg2video", "-r", "25")
VP8 = ("-c:v", "libvpx", "-deadline", "realtime", "-b:v", "100k")
LIVE_MP4 = ("-g", "10", "-movflags", "+frag_keyframe+empty_moov+default_base_moof", "-f", "mp4")
EXACT = ("-fflags", "+bitexact", "-flags:a", "+bitexact")


def tone(hz: float, seconds: float, *, level: float = 0.25, rate_hz: int = 48_000) -> str:
    """Return a sine in mono."""
    return channels(_sine(hz, level), seconds=seconds, rate_hz=rate_hz)


def stereo(seconds: float, *, rate_hz: int = 48_000) -> str:
    """Return 440 Hz on the left and 880 Hz on the right."""
    return channels(_sine(440, 0.25), _sine(880, 0.25), seconds=seconds, rate_hz=rate_hz)


def other(seconds: float) -> str:
    """Return 1500 Hz on both sides: what must not be chosen."""
    return channels(_sine(1500, 0.25), _sine(1500, 0.25), seconds=seconds)


def silence(seconds: float) -> str:
    """Return digital silence in stereo."""
    return channels("0", "0", seconds=seconds)


def steps(seconds: float) -> str:
    """Return a tone in mono that is 440 Hz at first and rises by 220 Hz each second."""
    return channels("0.25*sin(2*PI*(440+220*floor(t))*t)", seconds=seconds)


def chord(*tones_hz: float | None, seconds: float, layout: str = "", level: float = 0.25) -> str:
    """Return one channel for each tone; None is a silent one."""
    each = ("0" if hz is None else _sine(hz, level) for hz in tones_hz)
    return channels(*each, seconds=seconds, layout=layout)


def channels(*expressions: str, seconds: float, rate_hz: int = 48_000, layout: str = "") -> str:
    """Return a source whose channels follow these expressions of the time t."""
    named = f":c={layout}" if layout else ""
    return f"aevalsrc={'|'.join(expressions)}:s={rate_hz}:d={seconds}{named}"


def pictures(seconds: float, *, size: str = "176x144", rate: float = 10) -> str:
    """Return moving pictures."""
    return f"testsrc=size={size}:rate={rate}:duration={seconds}"


def make(path: Path, *sources: str, arguments: Sequence[str] = (), late_s: float = 0) -> None:
    """Make a file of all `sources`, in their order, of which the last one begins `late_s` seconds later."""
    inputs = [["-f", "lavfi", "-i", source] for source in sources]
    if late_s:
        inputs[-1] = ["-itsoffset", str(late_s), *inputs[-1]]
    maps = [part for number in range(len(sources)) for part in ("-map", str(number))]
    ffmpeg("-threads", "1", *chain.from_iterable(inputs), *maps, *arguments, str(path))


def copy(source: Path, path: Path, *arguments: str) -> None:
    """Copy the packets of a file into another."""
    ffmpeg("-i", str(source), "-map", "0", "-c", "copy", *arguments, str(path))


def beside(path: Path, name: str) -> Path:
    """Return where an intermediate file goes."""
    return path.with_name(f"{path.name}.{name}")


def patched(source: Path, path: Path, change: Callable[[bytearray], bytes | None]) -> None:
    """Write what `change` makes of the bytes of `source`: what it returns, or the bytes that it changed."""
    data = bytearray(source.read_bytes())
    path.write_bytes(change(data) or data)


def joined(path: Path, *sources: Path) -> None:
    """Write one file behind the other, as cat does."""
    path.write_bytes(b"".join(source.read_bytes() for source in sources))


def put(data: bytearray, at: int, layout: str, *values: int | bytes) -> None:
    """Overwrite fields, as struct.pack_into does."""
    struct.pack_into(layout, data, at, *values)


def get(data: Data, at: int, layout: str) -> int:
    """Return a field."""
    return int(struct.unpack_from(layout, data, at)[0])


def box(data: Data, *path: str) -> int:
    """Return where the content of an MP4 box begins: of the first one of this name behind the first one of the last."""
    at = 0
    for name in path:
        at = data.index(name.encode(), at) + 4
    return at


def boxes(data: Data) -> Iterator[tuple[str, int, int]]:
    """Yield the name of each box of an MP4 that lies in no other, and where it begins and ends."""
    start = 0
    while start < len(data):
        end = start + get(data, start, ">I")
        yield data[start + 4 : start + 8].decode(), start, end
        start = end


def media_bytes(data: Data) -> range:
    """Return which bytes of an MP4 that ends with its media are media."""
    return range(box(data, "mdat"), len(data))


def zeros(data: bytearray, start: int, end: int) -> None:
    """Wipe some bytes, as a failing card or an unfinished download does."""
    data[start:end] = bytes(end - start)


def cut_to(data: bytearray, share: float) -> bytes:
    """Return the first part of a file."""
    return bytes(data[: round(len(data) * share)])


def ts_packets(data: Data) -> Iterator[bytes]:
    """Yield the packets of an MPEG transport stream."""
    for at in range(0, len(data), TS_PACKET):
        yield bytes(data[at : at + TS_PACKET])


def ts_pid(packet: bytes) -> int:
    """Return which stream a packet belongs to (ISO/IEC 13818-1, 2.4.3.2)."""
    return (packet[1] & 0x1F) << 8 | packet[2]


def ogg_pages(data: Data) -> Iterator[tuple[int, int]]:
    """Yield where each page begins and ends (RFC 3533, section 6)."""
    start = 0
    while start < len(data):
        segments = data[start + 26]
        end = start + 27 + segments + sum(data[start + 27 : start + 27 + segments])
        yield start, end
        start = end


def ogg_sign(data: bytearray, start: int, end: int) -> None:
    """Put the right checksum into a page that was changed."""
    put(data, start + 22, "<I", 0)
    checksum = 0
    for byte in data[start:end]:
        checksum = (checksum << 8) & 0xFFFFFFFF ^ _OGG_CRC[checksum >> 24 ^ byte]
    put(data, start + 22, "<I", checksum)


def _sine(hz: float, level: float) -> str:
    return f"{level}*sin(2*PI*{hz}*t)"


def _ogg_crc(byte: int) -> int:
    rest = byte << 24
    for _ in range(8):
        rest = (rest << 1 ^ 0x04C11DB7 if rest & 0x80000000 else rest << 1) & 0xFFFFFFFF
    return rest


_OGG_CRC = [_ogg_crc(byte) for byte in range(256)]
