"""Reads the lists that an AVI is made of: Microsoft's "AVI RIFF File Reference", and OpenDML for more than 2 GB."""

from collections.abc import Iterator
from itertools import islice
from typing import NamedTuple

from functions.convert.media.findings import Container, Soundtrack, longest
from functions.convert.media.limits import MAX_STREAMS
from functions.convert.media.riff import is_open_length
from functions.convert.media.source import Source

_MOST_RIFFS = 100  # each has up to 1 GB
_MOST_CHUNKS = 1000
_MOST_STREAM_CHUNKS = 100
_LISTS = (b"RIFF", b"LIST")


class _Chunk(NamedTuple):
    """A chunk or a list, whose name is then that of what it holds. `length` is as it says."""

    name: bytes
    start: int
    length: int

    @property
    def end(self) -> int:
        return self.start + self.length + self.length % 2


def read_avi(source: Source) -> Container:
    """Say how long each soundtrack promises to be, and whether the lists of media end within the file.

    What comes after the media, which is an index that players can do without, may be cut. A file whose lengths were
    left open is one whose recorder stopped, or came through a pipe.
    """
    if source.read(8, 12) != b"AVI ":
        return Container("amv")  # the format of small players, all of whose lengths are 0
    soundtracks: tuple[Soundtrack, ...] = ()
    has_media = is_cut = is_open = False
    for riff in islice(_chunks(source, 0, source.size), _MOST_RIFFS):
        if riff.name not in {b"AVI ", b"AVIX"}:
            break
        end = source.size if is_open_length(riff.length) else min(riff.end, source.size)
        for chunk in islice(_chunks(source, riff.start + 4, end), _MOST_CHUNKS):
            if chunk.name == b"hdrl" and not has_media:
                soundtracks = tuple(_soundtracks(source, chunk))
            elif chunk.name == b"movi":
                has_media = True
                is_open = is_open_length(chunk.length)
                is_cut = not is_open and chunk.start + chunk.length > source.size
            if is_open:
                break
        is_cut = is_cut or (riff.end > source.size and not has_media and not is_open_length(riff.length))
        if is_open or is_cut:
            break
    duration = None if is_open else longest(soundtracks)
    return Container("avi", duration, missing_bytes=is_cut, is_unfinished=is_open, soundtracks=soundtracks)


def _soundtracks(source: Source, header: _Chunk) -> Iterator[Soundtrack]:
    for stream in islice(_chunks(source, header.start + 4, header.end), MAX_STREAMS * 2):
        if stream.name != b"strl":
            continue
        duration, samples, codec, is_sound = None, None, "", False
        for chunk in islice(_chunks(source, stream.start + 4, stream.end), _MOST_STREAM_CHUNKS):
            if chunk.name == b"strh" and chunk.length >= 48:
                is_sound = source.read(chunk.start, chunk.start + 4) == b"auds"
                scale, rate, start, length = source.unpack("<4I", chunk.start + 20)
                sample_bytes = source.unpack("<I", chunk.start + 44)[0]
                if length and rate and scale:
                    duration = (start + length) * scale / rate
                    samples = None if sample_bytes else length
            elif chunk.name == b"strf" and is_sound:
                codec = f"0x{source.unpack('<H', chunk.start)[0]:04x}"
        if is_sound:
            yield Soundtrack(codec, duration, samples)


def _chunks(source: Source, position: int, end: int) -> Iterator[_Chunk]:
    """Yield what lies between two positions, up to what has no room for a header."""
    while position + 8 <= min(end, source.size):
        name, length = source.unpack("<4sI", position)
        if name in _LISTS:
            name = source.read(position + 8, position + 12)
        chunk = _Chunk(name, position + 8, length)
        yield chunk
        position = chunk.end
