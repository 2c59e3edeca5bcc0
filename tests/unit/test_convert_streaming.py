"""Which videos can be read from a pipe, and what is written into it."""

import struct
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from functions.convert.streaming import as_stream
from tests.media import real_clip

MEDIA = bytes(range(256)) * 8


class Video:
    """A video in memory, which comes in parts of this many bytes."""

    def __init__(self, content: bytes, part_bytes: int = 1000) -> None:
        self._content = content
        self._part_bytes = part_bytes
        self.size = len(content)

    def read(self, start: int, end: int) -> bytes:
        return self._content[start:end]

    def parts(self) -> Iterator[bytes]:
        for position in range(0, self.size, self._part_bytes):
            yield self.read(position, position + self._part_bytes)


def streamed(content: bytes, part_bytes: int = 1000) -> bytes | None:
    """Return what goes through the pipe, or None if only a file will do."""
    stream = as_stream(Video(content, part_bytes))
    return None if stream is None else b"".join(stream())


def box(kind: bytes, body: bytes = b"") -> bytes:
    return struct.pack(">I4s", 8 + len(body), kind) + body


def table(kind: bytes, *positions: int) -> bytes:
    """Return a table of positions, with 4 bytes for each in `stco` and 8 in `co64`."""
    width = {b"stco": "I", b"co64": "Q"}[kind]
    return box(kind, struct.pack(f">II{len(positions)}{width}", 0, len(positions), *positions))


def index(*tables: bytes) -> bytes:
    """Return the index of a video with one track for each table."""
    return box(b"moov", b"".join(box(b"trak", box(b"mdia", box(b"minf", box(b"stbl", table)))) for table in tables))


FTYP = box(b"ftyp", b"isom0000")
MDAT = box(b"mdat", MEDIA)
# Where the bytes of the media begin.
AT = len(FTYP) + 8


@pytest.mark.parametrize("part_bytes", [1, 7, len(FTYP), len(FTYP) + 1, 100_000])
@pytest.mark.parametrize("kind", [b"stco", b"co64"])
def test_an_index_at_the_end_is_moved_to_the_front(kind, part_bytes):
    """That is where most cameras and programs write it, and without it ffmpeg can make nothing of the bytes."""
    old = index(table(kind, AT, AT + 300), table(kind, AT + 100))
    by = len(old)
    new = index(table(kind, AT + by, AT + 300 + by), table(kind, AT + 100 + by))

    assert streamed(FTYP + MDAT + old, part_bytes) == FTYP + new + MDAT + old


@pytest.mark.parametrize("before", [b"", FTYP])
def test_no_part_is_empty(before):
    """An empty part would be taken for the end, here where the index goes to the border of two parts."""
    stream = as_stream(Video(before + MDAT + index(table(b"stco", len(before) + 8)), len(FTYP)))

    assert stream is not None
    assert all(stream())


def test_every_position_still_names_the_same_bytes(media):
    """One byte beside it, and the sound is noise."""
    content = media.video("mp4 moov last").read_bytes()

    through_the_pipe = streamed(content)

    assert through_the_pipe is not None
    before, after = positions_in(content), positions_in(through_the_pipe)
    assert len(before) > 2
    assert [content[at : at + 16] for at in before] == [through_the_pipe[at : at + 16] for at in after]


def positions_in(content: bytes) -> list[int]:
    """Return the positions in all tables of the first index, in a way of its own."""
    found: list[int] = []
    at = content.index(b"moov")
    end = at - 4 + int.from_bytes(content[at - 4 : at], "big")
    while (at := content.find(b"stco", at, end)) > 0:
        count = int.from_bytes(content[at + 8 : at + 12], "big")
        found.extend(struct.unpack_from(f">{count}I", content, at + 12))
        at += 4
    return found


@pytest.mark.parametrize("name", ["mp4 moov first", "mkv", "webm opus"])
def test_what_is_in_order_goes_through_as_it_is(media, name):
    content = media.video(name).read_bytes()

    assert streamed(content) == content


def test_a_real_clip_can_be_streamed():
    assert streamed(real_clip().read_bytes()) is not None


@pytest.mark.parametrize("name", ["mp4 fragmented", "avi", "mpeg-ts", "flv", "wmv", "ogv"])
def test_what_tells_its_length_at_its_end_needs_a_file(media, name):
    """From a pipe ffmpeg would not learn how long it is, and nobody could tell when it is cut off."""
    assert streamed(media.video(name).read_bytes()) is None


INDEX = index(table(b"stco", AT))


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"text",
        FTYP + MDAT,
        FTYP + INDEX,
        FTYP + MDAT + INDEX[:-1],
        FTYP + MDAT + INDEX + b"\0\0\0",
        FTYP + MDAT + INDEX + INDEX,
        FTYP + MDAT + INDEX + box(b"meta"),
        FTYP + MDAT + INDEX + box(b"moof"),
        FTYP + box(b"free") * 40 + MDAT + INDEX,
        FTYP + MDAT + b"\0\0\0\0" + INDEX[4:],
        FTYP + MDAT + box(b"moov", box(b"cmov", b"compressed")),
        FTYP + MDAT + box(b"moov", box(b"trak", table(b"stco", AT))),
        FTYP + MDAT + index(table(b"stco", AT), box(b"free", table(b"stco", AT))),
        FTYP + MDAT + index(box(b"stco", struct.pack(">III", 0, 2, AT))),
        FTYP + MDAT + index(table(b"stco", 2**32 - 1)),
        FTYP + MDAT + index(*[table(b"stco", AT)] * 100),
        FTYP + MDAT + index(table(b"stco", AT) + box(b"free") * 2000),
        FTYP + MDAT + box(b"moov", b"\0\0\0\x07trak"),
        FTYP + MDAT + box(b"moov", b"\0\0\0\xfftrak"),
    ],
    ids=[
        *(
            "nothing",
            "text",
            "no index",
            "no media",
            "cut off",
            "padding",
            "two indexes",
            "more behind it",
            "fragments",
        ),
        *("many boxes", "an open end", "compressed", "a table in an odd place", "another one", "too few entries"),
        *("no room", "many tracks", "many boxes in one", "a box too small", "a box too large"),
    ],
)
def test_what_is_not_as_usual_needs_a_file(content):
    """Only ffmpeg, with the whole file before it, can tell what to make of it."""
    assert streamed(content) is None


def test_an_index_that_is_too_large_needs_a_file(monkeypatch):
    """It is held in memory, which must not grow with what people send."""
    monkeypatch.setattr("functions.convert.streaming._INDEX_MAX_BYTES", len(INDEX) - 1)

    assert streamed(FTYP + MDAT + INDEX) is None


def test_a_matroska_file_with_its_tags_at_the_end_needs_a_file(media):
    """Mkvmerge writes them there, and from a pipe ffmpeg would see neither artist nor album."""
    content = media.video("mkv").read_bytes()
    tags, cues = bytes.fromhex("1254C367"), bytes.fromhex("1C53BB6B")
    where = content.index(tags, content.index(tags) + 1)  # the first is in the seek head

    assert streamed(content[:where] + cues + content[where + 4 :]) is None


@pytest.mark.parametrize("missing", ["1549A966", "1654AE6B", "18538067", "1F43B675"])
def test_a_matroska_file_without_its_beginning_needs_a_file(media, missing):
    """Length, tracks, the segment around all, the first cluster: without them nothing is as usual."""
    content = media.video("webm opus").read_bytes()

    assert streamed(content.replace(bytes.fromhex(missing), b"\x1c\x53\xbb\x6b")) is None


def test_a_live_webm_needs_a_file(media):
    """Its segment does not tell where it ends."""
    content = media.video("webm opus").read_bytes()
    at = content.index(bytes.fromhex("18538067")) + 4

    assert streamed(content[:at] + b"\x01" + b"\xff" * 7 + content[at + 8 :]) is None


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(name=st.sampled_from(["mp4 moov last", "mkv"]), data=st.data())
def test_a_damaged_index_raises_nothing(media, name, data):
    """Whatever people send must get an answer, and ffmpeg is who gives it."""
    content = bytearray(media.video(name).read_bytes())
    first = content.rindex(b"moov") if name.startswith("mp4") else 0
    for _ in range(data.draw(st.integers(1, 5))):
        at = data.draw(st.integers(first, min(first + 2000, len(content) - 1)))
        content[at] = data.draw(st.integers(0, 255))

    out = streamed(bytes(content), 100_000)

    assert out is None or out.endswith(content[-1000:])


def test_an_index_is_not_walked_deeper_than_it_goes():
    """Boxes in boxes in boxes would end Python's stack."""
    nested = b""
    for _ in range(3_000):
        nested = box(b"trak", nested)

    assert streamed(FTYP + MDAT + box(b"moov", nested)) is None


def test_a_seek_head_that_names_another_needs_a_file(media):
    """Then what that one names is anywhere."""
    content = media.video("webm opus").read_bytes()
    seek_head, cues = bytes.fromhex("114D9B74"), bytes.fromhex("1C53BB6B")
    at = content.index(cues)  # in the seek head

    assert streamed(content[:at] + seek_head + content[at + 4 :]) is None
