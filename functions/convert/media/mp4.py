"""Reads the index of an MP4 or MOV: ISO/IEC 14496-12, and Apple's QuickTime File Format.

Only the tables of the tracks count. What `mvhd` and `tkhd` say about the length is often wrong.
"""

import struct
from array import array
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import chain, islice, pairwise, repeat
from operator import mul
from typing import NamedTuple

from functions.convert.media.boxes import Box, all_boxes, children
from functions.convert.media.findings import Container, Soundtrack
from functions.convert.media.fragments import Defaults, Fragments, last_fragment
from functions.convert.media.limits import MAX_TABLE_BYTES
from functions.convert.media.source import Source, big_endian

# An edit list that is longer is cut, and a table of times that is larger is read for soundtracks only.
_MOST_EDITS = 2000
_SMALL_TABLE_BYTES = 1024 * 1024

_UNTIL_THE_END = 2**62

# Bytes of one sample of one channel, for the kinds of PCM whose name tells it:
# https://developer.apple.com/documentation/quicktime-file-format/sound_sample_descriptions
_PCM_BYTES = {
    b"alaw": 1,
    b"ulaw": 1,
    b"sowt": 2,
    b"twos": 2,
    b"in24": 3,
    b"in32": 4,
    b"fl32": 4,
    b"fl64": 8,
}


class _Edit(NamedTuple):
    """A part of a track that is presented: for how long, in the movie's units, and from which media time on."""

    length: int
    media_time: int


@dataclass(slots=True)
class _Track:
    """A track, as its boxes are read one after the other. Times are in units of `timescale`."""

    id: int = 0
    handler: bytes = b""
    timescale: int = 0
    codec: str = ""
    encryption: str = ""
    frame: tuple[int, int] = (0, 0)  # bytes, and samples in them, of a codec with frames of one size
    edits: list[_Edit] = field(default_factory=list)
    first: int = 0
    length: int = 0
    unit_samples: bool = False
    are_grouped: bool = False
    samples: int | None = None
    is_cut: bool = False


# An encoder's delay and padding, which edits leave out of nearly every file, are shorter.
_EDITED_S = 0.15


@dataclass(slots=True)
class _Movie:
    """The index: `moov`."""

    timescale: int = 0
    tracks: list[_Track] = field(default_factory=list)
    defaults: dict[int, Defaults] = field(default_factory=dict)
    is_fragmented: bool = False
    fragments_length: int = 0  # in units of `timescale`; 0 is unknown


def read_mp4(source: Source) -> Container:
    """Say what the index promises, and whether the sound that it lists is in the file.

    A fragmented file that ends within a fragment is unfinished, as recorders leave it, unless its head proves that it
    was finished: `mehd` gives a length and `sidx` the sizes of many fragments, which only packagers know. Neither is
    believed when the file ends between two fragments: a download of some fragments is whole in itself.
    Raises InvalidMedia for absurd files.
    """
    movie: _Movie | None = None
    fragments = Fragments(source)
    kinds: set[bytes] = set()
    is_cut_within = False
    indexed_end = 0
    for box in _first_and_last_boxes(source, fragments):
        is_cut_within = box.end > source.size
        if box.kind == b"moov" and movie is None:
            if is_cut_within:
                return Container("mp4", missing_bytes=True)
            movie = _read_movie(source, box)
            for track in movie.tracks:
                fragments.expect(track.id, track.timescale, track.length, movie.defaults.get(track.id, Defaults()))
        elif box.kind == b"moof" and not is_cut_within:
            fragments.read(box)
        elif box.kind == b"sidx" and kinds.isdisjoint({b"moof", b"styp"}):
            indexed_end = max(indexed_end, _indexed_end(source, box))
        kinds.add(box.kind)
    if movie is None:
        # Without an index it is no video. Only if it ends within the media, the index was behind them.
        return Container("mp4", missing_bytes=is_cut_within and b"mdat" in kinds and b"moof" not in kinds)
    if not movie.tracks:
        # QuickTime can compress its index. Then only the boxes tell.
        return Container("mp4", missing_bytes=is_cut_within)
    if not movie.is_fragmented and not fragments.tracks:
        return _described("mp4", movie, fragments)
    found = _described("mp4-fragmented", movie, fragments)
    if not is_cut_within and not fragments.are_cut:
        return found
    is_packaged = indexed_end > source.size or movie.fragments_length > 0
    return found._replace(missing_bytes=is_packaged, is_unfinished=not is_packaged)


def _first_and_last_boxes(source: Source, fragments: Fragments) -> Iterator[Box]:
    """Yield the boxes of a file, without the fragments between the first and the last if its end lists where they are.

    They would take thousands of reads, and there is no need to ask whether such a file was cut off.
    """
    boxes = all_boxes(source.read, source.size)
    for box in boxes:
        yield box
        if box.kind == b"moof":
            last = last_fragment(source)
            if last > box.end:
                fragments.skip()
                boxes = all_boxes(source.read, source.size, last)
            break
    yield from boxes


def _described(kind: str, movie: _Movie, fragments: Fragments) -> Container:
    spans = [_presented(track, movie, fragments) for track in movie.tracks]
    heard_or_seen = {b"soun", b"vide"}
    starts = [
        span[0] for track, span in zip(movie.tracks, spans, strict=True) if span and track.handler in heard_or_seen
    ]
    start = min(starts, default=0.0)
    soundtracks = []
    for track, span in zip(movie.tracks, spans, strict=True):
        if track.handler != b"soun":
            continue
        found = fragments.tracks.get(track.id)
        # Samples of one size are not packets: ffmpeg reads as many at once as it likes.
        samples = None if track.samples and (track.are_grouped or _is_edited(track, movie)) else track.samples
        if kind != "mp4":
            samples = None if fragments.have_gaps else (samples or 0) + (found.samples if found else 0)
        soundtracks.append(
            Soundtrack(track.codec, span[1] - start if span else None, samples, track.is_cut, track.encryption)
        )
    ends = [span[1] for track, span in zip(movie.tracks, spans, strict=True) if span and track.handler in heard_or_seen]
    return Container(kind, max(ends) - start if ends else None, soundtracks=tuple(soundtracks))


def _is_edited(track: _Track, movie: _Movie) -> bool:
    """Say whether the edits leave out some of a track, or show it twice: then fewer or more packets are read."""
    shown = [edit for edit in track.edits if edit.media_time >= 0]
    if not shown or not movie.timescale or not track.timescale:
        return False
    left_out_s = track.length / track.timescale - shown[0].length / movie.timescale
    return len(shown) > 1 or (shown[0].length > 0 and left_out_s > _EDITED_S)


def _presented(track: _Track, movie: _Movie, fragments: Fragments) -> tuple[float, float] | None:
    """Return when a track begins and ends, in seconds of the movie, or None if its index promises nothing."""
    first, end, is_open = track.first, track.length, False
    if found := fragments.tracks.get(track.id):
        if not found.is_regular:
            return None
        first, end, is_open = (first if track.length else found.first or 0), found.end, True
    if not track.timescale or end <= 0:
        return None
    if not track.edits or not movie.timescale:
        return first / track.timescale, end / track.timescale
    now = last = 0.0
    start: float | None = None
    for number, edit in enumerate(track.edits, 1):
        length = edit.length / movie.timescale
        if edit.media_time < 0:
            now += length
            continue
        available = max(end - edit.media_time, 0) / track.timescale
        # What a recorder wrote before the fragments were known says nothing about where they end.
        is_last_open = is_open and number == len(track.edits)
        shown = available if not edit.length or is_last_open else min(length, available)
        if shown > 0:
            if start is None:
                start = now + min(max(first - edit.media_time, 0) / track.timescale, shown)
            last = now + shown
        now += length or shown
    return None if start is None else (start, last)


def _indexed_end(source: Source, box: Box) -> int:
    """Return where the last fragment that a segment index lists ends; 0 if it lists only one.

    See ISO/IEC 14496-12, 8.16.3. A live recording has an index of one fragment before each.
    """
    data = source.read(box.start + 8, min(box.end, box.start + 8 + MAX_TABLE_BYTES))
    wide = 8 if data[:1] == b"\1" else 4
    first_offset = int.from_bytes(data[12 + wide : 12 + 2 * wide], "big")
    entries = 16 + 2 * wide
    count = int.from_bytes(data[entries - 2 : entries], "big")
    words = big_endian("I", data[entries : entries + 12 * count])
    sizes = [word & 0x7FFFFFFF for word in words[::3]]
    return box.end + first_offset + sum(sizes) if len(sizes) > 1 else 0


def _read_movie(source: Source, box: Box) -> _Movie:
    movie = _Movie()
    for child in children(source.read, box.start + _header(source, box), box.end):
        if child.kind == b"mvhd":
            movie.timescale = _timescale(source, child)
        elif child.kind == b"trak":
            movie.tracks.append(_read_track(source, child))
        elif child.kind == b"mvex":
            movie.is_fragmented = True
            _read_extends(source, child, movie)
    return movie


def _read_extends(source: Source, box: Box, movie: _Movie) -> None:
    for child in children(source.read, box.start + 8, box.end):
        body = child.start + 12
        if child.kind == b"mehd":
            version = source.read(child.start + 8, child.start + 9)
            movie.fragments_length = source.unpack(">Q" if version == b"\1" else ">I", body)[0]
        elif child.kind == b"trex" and child.end - body >= 20:
            track_id, _, duration, size = source.unpack(">4I", body)
            movie.defaults[track_id] = Defaults(duration, size)


def _read_track(source: Source, box: Box) -> _Track:
    track = _Track()
    read = source.read
    table: dict[bytes, Box] = {}
    for child in children(read, box.start + 8, box.end):
        if child.kind == b"tkhd":
            wide = read(child.start + 8, child.start + 9) == b"\1"
            track.id = source.unpack(">I", child.start + (28 if wide else 20))[0]
        elif child.kind == b"edts":
            for inner in children(read, child.start + 8, child.end):
                if inner.kind == b"elst":
                    track.edits = list(_edits(source, inner))
        elif child.kind == b"mdia":
            for inner in children(read, child.start + 8, child.end):
                if inner.kind == b"mdhd":
                    track.timescale = _timescale(source, inner)
                elif inner.kind == b"hdlr":
                    track.handler = read(inner.start + 16, inner.start + 20)
                elif inner.kind == b"minf":
                    table = _tables(source, inner)
    _read_tables(source, track, table)
    return track


def _tables(source: Source, box: Box) -> dict[bytes, Box]:
    for child in children(source.read, box.start + 8, box.end):
        if child.kind == b"stbl":
            return {inner.kind: inner for inner in children(source.read, child.start + 8, child.end)}
    return {}


def _read_tables(source: Source, track: _Track, table: dict[bytes, Box]) -> None:
    is_sound = track.handler == b"soun"
    if (box := table.get(b"stsd")) and is_sound:
        _read_description(source, box, track)
    if (box := table.get(b"ctts")) and not is_sound:
        track.first = int.from_bytes(source.read(box.start + 20, box.start + 24), "big", signed=True)
    if (box := table.get(b"stts")) and (is_sound or box.end - box.start <= _SMALL_TABLE_BYTES):
        words = _words(source, box, "I", width=2)
        track.length = sum(map(mul, words[::2], words[1::2]))
        track.unit_samples = len(words) == 2 and words[1] == 1
    if is_sound:
        _read_samples(source, track, table)


def _read_description(source: Source, box: Box, track: _Track) -> None:
    """Read the codec, how it packs samples, and whether it is encrypted: ISO/IEC 14496-12, 8.5.2 and 8.12."""
    for number, entry in enumerate(children(source.read, box.start + 16, box.end)):
        kind = entry.kind
        data = source.read(entry.start, min(entry.end, entry.start + _SMALL_TABLE_BYTES))
        if kind in {b"enca", b"drms"}:
            track.encryption = kind.decode()
            original = data.find(b"frma")
            kind = data[original + 4 : original + 8] if original > 0 else kind
        if number:
            continue
        track.codec = kind.decode("latin-1").strip("\0 ")
        channels = int.from_bytes(data[24:26], "big")
        version = int.from_bytes(data[16:18], "big")
        if version == 1 and len(data) >= 52:
            samples, _, frame_bytes = (int.from_bytes(data[at : at + 4], "big") for at in (36, 40, 44))
            track.frame = (frame_bytes, samples)
        elif version == 2 and len(data) >= 72:
            track.frame = (int.from_bytes(data[64:68], "big"), int.from_bytes(data[68:72], "big"))
        elif entry.kind in _PCM_BYTES:
            track.frame = (_PCM_BYTES[entry.kind] * channels, 1)


def _read_samples(source: Source, track: _Track, table: dict[bytes, Box]) -> None:
    """Count the samples, and look for one that lies beyond the end of the file: ISO/IEC 14496-12, 8.7."""
    chunks = table.get(b"stco") or table.get(b"co64")
    sizes = table.get(b"stsz") or table.get(b"stz2")
    if not sizes or not chunks:
        track.samples = 0
        return
    same_size, track.samples = source.unpack(">II", sizes.start + 12)
    positions = _words(source, chunks, "I" if chunks.kind == b"stco" else "Q")
    source.spend(len(positions) // 8)
    counts = _samples_per_chunk(source, table.get(b"stsc"))
    if sizes.kind == b"stz2":
        track.is_cut = _lies_beyond(positions, counts, iter(_small_sizes(source, sizes, same_size & 0xFF)), source.size)
    elif not same_size:
        track.is_cut = _lies_beyond(positions, counts, iter(_words(source, sizes, "I", start=20)), source.size)
    else:
        track.are_grouped = True
        frame_bytes, frame_samples = track.frame if track.unit_samples and all(track.frame) else (same_size, 1)
        left = track.samples
        for position, count in zip(positions, counts, strict=False):
            length = min(count, left) * frame_bytes // frame_samples
            left -= min(count, left)
            if length and position + length > source.size:
                track.is_cut = True
                break


def _lies_beyond(positions: Iterable[int], counts: Iterable[int], sizes: Iterator[int], end: int) -> bool:
    """Say whether a chunk ends beyond `end`. Each has so many samples, and the samples have these sizes, in bytes."""
    # A chunk without bytes may lie anywhere.
    lengths = map(sum, map(islice, repeat(sizes), counts))
    return any(length and position + length > end for position, length in zip(positions, lengths, strict=False))


def _samples_per_chunk(source: Source, box: Box | None) -> Iterable[int]:
    """Yield how many samples each chunk has: the table has an entry only where that changes."""
    if box is None:
        return ()
    words = _words(source, box, "I", width=3)
    first, counts = words[::3], words[1::3]
    runs = [max(after - before, 0) for before, after in pairwise(first)]
    return chain.from_iterable(map(repeat, counts, [*runs, _UNTIL_THE_END]))


def _small_sizes(source: Source, box: Box, bits: int) -> Iterable[int]:
    if bits == 16:
        return _words(source, box, "H", start=20)
    data = source.read(box.start + 20, box.end)
    if bits == 4:
        return chain.from_iterable((byte >> 4, byte & 0xF) for byte in data)
    return data


def _edits(source: Source, box: Box) -> Iterator[_Edit]:
    wide = source.read(box.start + 8, box.start + 9) == b"\1"
    count = source.unpack(">I", box.start + 12)[0]
    entry = struct.Struct(">Qq4x" if wide else ">Ii4x")
    data = source.read(box.start + 16, min(box.end, box.start + 16 + min(count, _MOST_EDITS) * entry.size))
    for values in entry.iter_unpack(data[: len(data) // entry.size * entry.size]):
        yield _Edit(*values)


def _timescale(source: Source, box: Box) -> int:
    """Return the units per second that `mvhd` and `mdhd` tell alike."""
    wide = source.read(box.start + 8, box.start + 9) == b"\1"
    scale: int = source.unpack(">I", box.start + (28 if wide else 20))[0]
    return scale


def _header(source: Source, box: Box) -> int:
    return 16 if source.read(box.start, box.start + 4) == b"\0\0\0\1" else 8


def _words(source: Source, box: Box, code: str, *, start: int = 16, width: int = 1) -> "array[int]":
    """Return the entries of a table, which begin `start` bytes into its box and have `width` words each."""
    begin = box.start + start
    count = source.unpack(">I", begin - 4)[0]
    entry = array(code).itemsize * width
    return big_endian(code, source.read(begin, begin + min(count, max(box.end - begin, 0) // entry) * entry))
