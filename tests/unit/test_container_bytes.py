"""What the container readers make of bytes that no ffmpeg writes: odd indexes, hostile ones, and noise."""

import contextlib
import struct
from collections.abc import Iterable

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from functions.convert.failures import InvalidMedia
from functions.convert.media.container import Container, read_container


def read(content: bytes) -> Container:
    return read_container(lambda start, end: content[start:end], len(content))


def box(kind: bytes, *parts: bytes) -> bytes:
    content = b"".join(parts)
    return struct.pack(">I4s", len(content) + 8, kind) + content


def table(kind: bytes, layout: str, entries: Iterable[tuple[int, ...]], head: bytes = b"") -> bytes:
    rows = [struct.pack(">" + layout, *entry) for entry in entries]
    return box(kind, bytes(4), head, struct.pack(">I", len(rows)), *rows)


def sound(
    *,
    stsz: bytes,
    stsc: Iterable[tuple[int, int, int]] = ((1, 1, 1),),
    positions: Iterable[int] = (),
    durations: Iterable[tuple[int, int]] = (),
    edits: Iterable[tuple[int, int, int]] = (),
    handler: bytes = b"soun",
    entry: bytes = b"mp4a",
) -> bytes:
    """Return the index of a track with 1000 units a second."""
    description = table(b"stsd", "", ()).replace(b"\0\0\0\x10stsd", b"\0\0\0\x34stsd")[:-4] + struct.pack(">I", 1)
    description += box(entry, bytes(28))
    tables = box(
        b"stbl",
        description,
        table(b"stts", "II", durations),
        table(b"stsc", "III", stsc),
        stsz,
        table(b"stco", "I", ((position,) for position in positions)),
    )
    header = box(b"mdhd", bytes(12), struct.pack(">I", 1000), bytes(8))
    media = box(b"mdia", header, box(b"hdlr", bytes(8), handler, bytes(12)), box(b"minf", tables))
    listed = list(edits)
    return box(
        b"trak",
        box(b"tkhd", bytes(12), struct.pack(">I", 1), bytes(64)),
        box(b"edts", table(b"elst", "IiI", listed)) if listed else b"",
        media,
    )


def sizes(*each: int) -> bytes:
    return table(b"stsz", "I", ((size,) for size in each), head=bytes(4))


def movie(*tracks: bytes) -> bytes:
    return box(b"moov", box(b"mvhd", bytes(12), struct.pack(">I", 1000), bytes(80)), *tracks)


def mp4(*tracks: bytes, media: int = 0) -> bytes:
    """Return an MP4 whose index comes first, and so many bytes of media behind it, of which the box tells 10 more."""
    return box(b"ftyp", b"isom", bytes(4)) + movie(*tracks) + struct.pack(">I4s", media + 18, b"mdat") + bytes(media)


def test_each_sample_is_found_where_its_chunk_puts_it():
    """The last chunk has fewer samples than the others, and the sizes differ."""
    for positions, expected in (((900, 950, 970), False), ((900, 950, 971), True), ((971, 950, 900), True)):
        track = sound(
            stsz=sizes(10, 20, 5, 5, 30), stsc=((1, 2, 1), (3, 1, 1)), positions=positions, durations=((5, 100),)
        )
        content = mp4(track).ljust(1000, b"\0")[:1000]
        found = read(content)
        assert [each.is_cut for each in found.soundtracks] == [expected]
        assert found.soundtracks[0].samples == 5


def test_a_media_box_that_ends_behind_the_file_cuts_nothing_off_by_itself():
    """Only the samples count: some writers tell a size that is a few bytes too large."""
    content = mp4(sound(stsz=sizes(10), positions=(520,), durations=((1, 100),)), media=200)

    found = read(content)

    assert not found.missing_bytes
    assert not found.soundtracks[0].is_cut


def test_a_chunk_without_samples_may_lie_anywhere():
    """Editors leave such entries behind."""
    track = sound(stsz=sizes(10), positions=(500, 10**9), durations=((1, 100),))

    assert not read(mp4(track, media=200)).soundtracks[0].is_cut


def test_a_declared_soundtrack_without_samples_is_empty():
    """The person should be told that there is no sound in the file, and not that it has no soundtrack."""
    assert [each.samples for each in read(mp4(sound(stsz=sizes()))).soundtracks] == [0]


def test_small_sizes_are_read():
    """The compact form of the sizes has 4, 8 or 16 bits for each."""
    for bits, packed in ((4, b"\xf1\x20"), (8, b"\x0f\x01\x02"), (16, b"\0\x0f\0\x01\0\x02")):
        compact = box(b"stz2", bytes(7), bytes([bits]), struct.pack(">I", 3), packed)
        for position, expected in ((982, False), (983, True)):
            track = sound(stsz=compact, stsc=((1, 3, 1),), positions=(position,), durations=((3, 100),))
            assert read(mp4(track).ljust(1000, b"\0")).soundtracks[0].is_cut is expected


@pytest.mark.parametrize(
    ("edits", "expected"),
    [
        ((), 4.0),
        (((2000, 0, 65536),), 2.0),
        (((9000, 0, 65536),), 4.0),
        (((0, 1000, 65536),), 3.0),
        (((1000, -1, 65536), (2000, 500, 65536)), 3.0),
        (((1000, 0, 65536), (1000, 3000, 65536)), 2.0),
        (((1000, 0, 65536), (5000, -1, 65536)), 1.0),
    ],
)
def test_the_promise_is_where_the_sound_ends_after_all_edits(edits, expected):
    """An edit that is empty moves what follows; one after the sound adds nothing to it."""
    pictures = sound(stsz=sizes(1), durations=((1, 100),), handler=b"vide")
    track = sound(stsz=sizes(1, 1), durations=((2, 2000),), edits=edits)

    assert read(mp4(pictures, track)).soundtracks[0].duration_s == pytest.approx(expected)


def test_a_delay_of_the_whole_file_is_not_part_of_its_length():
    """The MP3 of such a file does not begin with silence."""
    track = sound(stsz=sizes(1), durations=((1, 2000),), edits=((500, -1, 65536), (2000, 0, 65536)))

    assert read(mp4(track)).duration_s == pytest.approx(2.0)


def test_what_itunes_sold_with_protection_is_named():
    """It cannot be decoded, and the person should know why."""
    protected = mp4(sound(stsz=sizes(1), durations=((1, 100),), entry=b"drms"))

    assert [(each.codec, each.encryption) for each in read(protected).soundtracks] == [("drms", "drms")]


def test_a_file_that_ends_within_the_media_was_cut_off():
    """Cameras write the index last. A file that is whole but for its index is no video at all."""
    media = box(b"ftyp", b"isom", bytes(4)) + struct.pack(">I4s", 5000, b"mdat") + bytes(100)

    assert read(media).missing_bytes
    assert not read(box(b"ftyp", b"isom", bytes(4)) + box(b"mdat", bytes(100))).missing_bytes


def voc(*blocks: bytes) -> bytes:
    return b"Creative Voice File\x1a" + struct.pack("<HHH", 26, 0x010A, 0x1129) + b"".join(blocks)


def voc_block(kind: int, body: bytes) -> bytes:
    return bytes([kind]) + struct.pack("<I", len(body))[:3] + body


# 8,000 samples a second, of 8 bits each.
VOC_SOUND = voc_block(1, bytes([256 - 125, 0]) + bytes(4000))
VOC_MORE = voc_block(2, bytes(4000))


@pytest.mark.parametrize(
    ("blocks", "expected"),
    [
        ((VOC_SOUND, VOC_MORE, b"\0"), 1.0),
        ((VOC_SOUND, b"\0", VOC_MORE[1:]), 1.0),
        ((voc_block(9, struct.pack("<IBBHI", 8000, 16, 2, 4, 0) + bytes(32_000)), b"\0"), 1.0),
        ((VOC_SOUND, voc_block(3, b"\0\1\0"), b"\0"), None),
        ((voc_block(1, bytes([131, 2]) + bytes(4000)), b"\0"), None),
    ],
    ids=["whole", "the head of a block is zeros", "16 bits in stereo", "with a pause", "not plain samples"],
)
def test_a_voice_file_is_as_long_as_its_bytes(blocks, expected):
    """A block whose head is damaged looks like the end of the file, and ffmpeg stops there without a word."""
    assert read(voc(*blocks)).duration_s == pytest.approx(expected, abs=0.01)


def test_a_voice_file_that_ends_within_a_block_was_cut_off():
    assert read(voc(VOC_SOUND, VOC_MORE)[:-1]).missing_bytes


def test_a_picture_is_not_a_video_without_its_index():
    """HEIC and AVIF are made of boxes, too. They should not be called cut off."""
    picture = box(b"ftyp", b"heic", bytes(4)) + box(b"meta", bytes(50)) + box(b"mdat", bytes(100))

    assert not read(picture).missing_bytes


def test_encrypted_matroska_is_named_and_compressed_is_not():
    """Both are encodings of the content."""

    def element(name: str, *parts: bytes) -> bytes:
        content = b"".join(parts)
        return bytes.fromhex(name) + struct.pack(">I", len(content) | 0x10000000) + content

    def file(kind: int) -> bytes:
        encodings = element("6D80", element("6240", element("5033", bytes([kind]))))
        entry = element("AE", element("83", b"\2"), element("86", b"A_OPUS"), encodings)
        cluster = element("1F43B675", element("E7", b"\0"))
        return element("1A45DFA3") + element("18538067", element("1654AE6B", entry), cluster)

    assert [each.encryption for each in read(file(1)).soundtracks] == ["ContentEncryption"]
    assert [each.encryption for each in read(file(0)).soundtracks] == [""]


def test_the_index_of_eight_hours_is_read_in_a_few_steps():
    """It lists 1.3 million packets; only the tables of the sound are read, and each once."""
    packets = 1_300_000
    stsz = box(b"stsz", bytes(8), struct.pack(">I", packets), struct.pack(">I", 400) * packets)
    pictures = sound(stsz=stsz, durations=((packets, 22),), handler=b"vide")
    chunks = range(20_000_000, 20_000_000 + packets // 10 * 4000, 4000)
    track = sound(stsz=stsz, stsc=((1, 10, 1),), positions=chunks, durations=((packets, 22),))
    content = mp4(pictures, track)
    size = 20_000_000 + packets * 400
    fetched = []

    def fetch(start: int, end: int) -> bytes:
        fetched.append(end - start)
        return content[start:end]

    assert [each.is_cut for each in read_container(fetch, size).soundtracks] == [False]
    assert [each.is_cut for each in read_container(fetch, size - 1).soundtracks] == [True]
    assert sum(fetched) < 2 * 9_000_000
    assert len(fetched) < 40


MAGIC = [
    *(b"\0\0\0\x10ftypisom\0\0\0\0", b"\x1a\x45\xdf\xa3\x80\x18\x53\x80\x67", b"OggS\0\2", b"RIFF\0\0\0\0WAVE"),
    *(b"RF64\0\0\0\0WAVEds64", b"RIFF\0\0\0\0AVI LIST", b"FORM\0\0\0\0AIFFCOMM", b".snd", b"caff\0\1\0\0desc"),
    *(b"fLaC", b"TTA1", b"wvpk", b"FLV\1\5\0\0\0\x09\0\0\0\0", b"ID3\3\0\0\0\0\0\0\xff\xfb\x90\0", b"\xff\xfb\x90\0"),
    bytes.fromhex("3026B2758E66CF11A6D900AA0062CE6C"),
    bytes.fromhex("060e2b34020501010d01020101020400"),
    bytes.fromhex("726966662e91cf11a5d628db04c10000"),
]
PARTS = [b"moov", b"trak", b"mdia", b"minf", b"stbl", b"stsz", b"moof", b"traf", b"trun", b"tfhd", b"data", b"fmt "]
PARTS += [b"\x1fC\xb6u", b"OggS", b"SSND", b"LIST", b"movi", b"strl", b"Xing", b"\0\0\0\1", b"\xff" * 8, bytes(8)]


@settings(max_examples=600, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    st.sampled_from(MAGIC), st.lists(st.sampled_from(PARTS) | st.binary(max_size=24), max_size=24), st.integers(0, 40)
)
def test_noise_behind_a_known_head_raises_nothing_unexpected(magic, parts, lost):
    """What people upload may hold anything, and is read before anything else is known."""
    content = magic + b"".join(parts)
    try:
        found = read(content[: max(len(content) - lost, 0)])
    except InvalidMedia:
        return
    assert found.duration_s is None or found.duration_s >= 0


_NESTED = [b"moov", b"trak", b"mdia", b"minf", b"stbl", b"edts", b"mvex", b"moof", b"traf"]
_LEAVES = [b"mvhd", b"tkhd", b"mdhd", b"hdlr", b"elst", b"stsd", b"stts", b"stsc", b"stsz", b"stz2", b"stco", b"co64"]
_LEAVES += [b"ctts", b"mehd", b"trex", b"tfhd", b"tfdt", b"trun", b"sidx"]
_LEAF = st.builds(
    lambda kind, words: box(kind, struct.pack(f">{len(words)}I", *words)),
    st.sampled_from(_LEAVES),
    st.lists(
        st.sampled_from([0, 1, 2, 3, 0x01000000, 0xFFFFFFFF, int.from_bytes(b"soun", "big")])
        | st.integers(0, 2**32 - 1),
        max_size=12,
    ),
)
_BOXES = st.recursive(
    _LEAF,
    lambda inner: st.builds(box, st.sampled_from(_NESTED), st.lists(inner, max_size=5).map(b"".join)),
    max_leaves=24,
)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(_BOXES, max_size=6))
def test_any_tree_of_boxes_raises_nothing_unexpected(boxes):
    """The tables of an index may contradict each other in every way."""
    try:
        found = read(box(b"ftyp", b"isom", bytes(4)) + b"".join(boxes))
    except InvalidMedia:
        return
    assert found.duration_s is None or found.duration_s >= 0


@settings(max_examples=300, deadline=None)
@given(st.lists(st.integers(0, 2**32 - 1), min_size=1, max_size=4), st.integers(0, 2**32 - 1), st.integers(0, 8))
def test_any_sample_table_raises_nothing_unexpected(words, count, version):
    """The numbers of a hostile table are as large as they can be."""
    track = sound(
        stsz=box(b"stsz", bytes(4), struct.pack(">II", words[0], count)),
        stsc=((1, words[-1], 1), (words[0], count, 1)),
        positions=words,
        durations=((count, words[0]), (words[-1], words[0])),
        edits=((words[0], version - 2, 1), (words[-1], 0, 1)),
    )

    assert read(mp4(track)).kind == "mp4"


HOSTILE = {
    "boxes": box(b"free") * 300_000,
    "tracks": box(b"moov", *[box(b"trak", *[box(b"mdia", *[box(b"minf")] * 900)] * 900)] * 2),
    "fragments": movie(box(b"mvex")) + box(b"moof", box(b"traf", box(b"trun", bytes(16)) * 900_000)) * 3,
    "cluster ids": bytes.fromhex("1A45DFA3801853806701FFFFFFFFFFFFFF") + b"\x1f\x43\xb6\x75" * 2_000_000,
    "pages": b"OggS\0" * 2_000_000,
    "wavpack": b"wvpk" * 2_000_000,
    "avi": b"RIFF\0\0\0\0AVI " + b"LIST\4\0\0\0hdrl" * 500_000,
    "chunks": b"RIFF\0\0\0\0WAVE" + b"junk\0\0\0\0" * 500_000,
    "mp3": b"\xff\xfb\x90\0" * 500_000,
    "chunk positions": mp4(
        *[
            sound(stsz=box(b"stsz", bytes(4), struct.pack(">II", 1, 2**32 - 1)), positions=range(500_000))
            for _ in range(2)
        ]
    ),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_file_is_given_up_early(name):
    """What is read of it, and how often, has a limit."""
    content = HOSTILE[name]
    fetched = []

    def fetch(start: int, end: int) -> bytes:
        fetched.append(end - start)
        return content[start:end]

    with contextlib.suppress(InvalidMedia):
        read_container(fetch, len(content))

    assert sum(fetched) < 64 * 1024 * 1024
    assert len(fetched) < 10_000


@pytest.mark.parametrize(
    "content", [b"", b"\0", b"RIFF", b"FLV", b"OggS", b"\x1a\x45\xdf\xa3", b"\0\0\0\x08ftyp", b"ID3"]
)
def test_a_few_bytes_get_an_answer(content):
    """The smallest uploads are files, too."""
    assert read(content).duration_s is None
