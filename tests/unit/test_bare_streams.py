"""Streams of frames without a container, and what lies between the frames that is none."""

import io
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from functions.convert.media.bare import junk_bytes
from tests.media import ffmpeg

READ_BYTES = 1024 * 1024
# No header begins with any of them.
PAYLOAD, NOTHING = b"\x55", b"\x2a"

# The words of a frame, by half of `frmsizecod`, at 48, 44.1 and 32 kHz: ETSI TS 102 366, table 4.13. An odd
# `frmsizecod` adds a word at 44.1 kHz.
AC3_WORDS = (
    (64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384, 448, 512, 640, 768, 896, 1024, 1152, 1280),
    (69, 87, 104, 121, 139, 174, 208, 243, 278, 348, 417, 487, 557, 696, 835, 975, 1114, 1253, 1393),
    (96, 120, 144, 168, 192, 240, 288, 336, 384, 480, 576, 672, 768, 960, 1152, 1344, 1536, 1728, 1920),
)
MPEG_1, MPEG_2, MPEG_2_5 = 3, 2, 0


def filled(header: bytes, length: int) -> bytes:
    return header + PAYLOAD * (length - len(header))


def adts(length: int, *, rate: int = 3, has_crc: bool = False) -> bytes:
    """Return a frame of AAC: ISO/IEC 14496-3, 1.A.3.2. `rate` is the index of its sample rate."""
    head = [0xFF, 0xF0 if has_crc else 0xF1, 0x40 | rate << 2, 0x80 | length >> 11, length >> 3 & 0xFF, 0x1F]
    head[5] |= (length & 7) << 5
    return filled(bytes([*head, 0xFC]), length)


def ac3(rate: int, size: int) -> bytes:
    """Return a frame of AC-3 with `fscod` and `frmsizecod`: ETSI TS 102 366, 4.4.1."""
    words = AC3_WORDS[rate][size // 2] + (size % 2 if rate == 1 else 0)
    return filled(bytes([0x0B, 0x77, 0, 0, rate << 6 | size, 8 << 3]), 2 * words)


def eac3(length: int) -> bytes:
    """Return a frame of E-AC-3: ETSI TS 102 366, E.1.3.1."""
    words = length // 2 - 1
    return filled(bytes([0x0B, 0x77, words >> 8, words & 0xFF, 0x34, 16 << 3]), length)


def mpeg(version: int, layer: int, index: int, rate: int, length: int, *, padding: int = 0) -> bytes:
    """Return a frame of MPEG audio with the indices of its bit rate and sample rate: ISO/IEC 11172-3, 2.4.2.3."""
    head = [0xFF, 0xE1 | version << 3 | 4 - layer << 1, index << 4 | rate << 2 | padding << 1, 0xC4]
    return filled(bytes(head), length)


FRAMES = {
    "adts": adts(371),
    "ac3": ac3(0, 20),
    "eac3": eac3(768),
    "mp1": mpeg(MPEG_1, 1, 12, 1, 384),
    "mp2": mpeg(MPEG_1, 2, 10, 1, 576),
    "mp3": mpeg(MPEG_1, 3, 9, 0, 417),
}
EACH_KIND = pytest.mark.parametrize("kind", FRAMES)
kinds = st.sampled_from(list(FRAMES))


def junk_in(data: bytes, kind: str) -> int:
    return junk_bytes(io.BytesIO(data), kind)


def assert_length_is_known(frame: bytes, kind: str) -> None:
    assert junk_in(frame * 5, kind) == 0
    assert junk_in(frame * 2 + NOTHING * 1000 + frame * 3, kind) == 1000


@pytest.mark.parametrize("length", [8, 9, 371, 2047, 2048, 8191])
@pytest.mark.parametrize("rate", [0, 4, 11, 12])
@pytest.mark.parametrize("has_crc", [False, True])
def test_frames_of_aac_are_as_long_as_they_say(length, rate, has_crc):
    """From 96 kHz to 7350 Hz, with a checksum and without."""
    assert_length_is_known(adts(length, rate=rate, has_crc=has_crc), "adts")


@pytest.mark.parametrize("kind", ["ac3", "eac3"])
@pytest.mark.parametrize("rate", range(3))
def test_frames_of_ac3_are_as_long_as_the_table_says(kind, rate):
    """At 44.1 kHz they alternate between two lengths. A file named for the newer codec may hold the older one."""
    for size in range(38):
        assert_length_is_known(ac3(rate, size), kind)


def test_frames_of_ac3_at_44_khz_alternate_in_length():
    """Their bit rate comes out only on average."""
    stream = (ac3(1, 20) + ac3(1, 21)) * 4

    assert junk_in(stream, "ac3") == 0
    assert junk_in(stream + NOTHING * 500 + stream, "ac3") == 500


@pytest.mark.parametrize("kind", ["ac3", "eac3"])
@pytest.mark.parametrize("length", [64, 512, 768, 2560, 4096])
def test_frames_of_eac3_are_as_long_as_they_say(kind, length):
    """What begins a file decides what it is taken for, and both codecs begin alike."""
    assert_length_is_known(eac3(length), kind)


@pytest.mark.parametrize(
    ("version", "layer", "index", "rate", "padding", "length"),
    [
        pytest.param(MPEG_1, 1, 12, 1, 0, 384, id="layer 1, 384 kbit/s at 48 kHz"),
        pytest.param(MPEG_1, 1, 1, 0, 0, 32, id="layer 1, 32 kbit/s at 44.1 kHz"),
        pytest.param(MPEG_1, 1, 1, 0, 1, 36, id="layer 1, 32 kbit/s at 44.1 kHz, padded"),
        pytest.param(MPEG_1, 1, 14, 2, 0, 672, id="layer 1, 448 kbit/s at 32 kHz"),
        pytest.param(MPEG_1, 2, 10, 1, 0, 576, id="layer 2, 192 kbit/s at 48 kHz"),
        pytest.param(MPEG_1, 2, 14, 0, 0, 1253, id="layer 2, 384 kbit/s at 44.1 kHz"),
        pytest.param(MPEG_1, 2, 14, 0, 1, 1254, id="layer 2, 384 kbit/s at 44.1 kHz, padded"),
        pytest.param(MPEG_1, 3, 9, 0, 0, 417, id="layer 3, 128 kbit/s at 44.1 kHz"),
        pytest.param(MPEG_1, 3, 9, 0, 1, 418, id="layer 3, 128 kbit/s at 44.1 kHz, padded"),
        pytest.param(MPEG_1, 3, 14, 1, 0, 960, id="layer 3, 320 kbit/s at 48 kHz"),
        pytest.param(MPEG_1, 3, 1, 2, 0, 144, id="layer 3, 32 kbit/s at 32 kHz"),
        pytest.param(MPEG_2, 1, 8, 1, 0, 256, id="MPEG-2 layer 1, 128 kbit/s at 24 kHz"),
        pytest.param(MPEG_2, 2, 14, 0, 0, 1044, id="MPEG-2 layer 2, 160 kbit/s at 22.05 kHz"),
        pytest.param(MPEG_2, 3, 8, 1, 0, 192, id="MPEG-2 layer 3, 64 kbit/s at 24 kHz"),
        pytest.param(MPEG_2, 3, 14, 2, 1, 721, id="MPEG-2 layer 3, 160 kbit/s at 16 kHz, padded"),
        pytest.param(MPEG_2_5, 3, 1, 2, 0, 72, id="MPEG-2.5 layer 3, 8 kbit/s at 8 kHz"),
        pytest.param(MPEG_2_5, 3, 8, 0, 0, 417, id="MPEG-2.5 layer 3, 64 kbit/s at 11.025 kHz"),
        pytest.param(MPEG_2_5, 3, 14, 1, 0, 960, id="MPEG-2.5 layer 3, 160 kbit/s at 12 kHz"),
    ],
)
def test_frames_of_mpeg_audio_are_as_long_as_their_bit_rate_says(version, layer, index, rate, padding, length):
    """Each version and layer has a table and a rule of its own."""
    frame = mpeg(version, layer, index, rate, length, padding=padding)

    assert_length_is_known(frame, f"mp{layer}")


def test_bit_rates_may_change_from_frame_to_frame():
    """That is what a variable bit rate is."""
    slow, fast = mpeg(MPEG_1, 3, 1, 0, 104), mpeg(MPEG_1, 3, 14, 0, 1044)

    assert junk_in((slow + fast * 2) * 10, "mp3") == 0


@EACH_KIND
def test_a_stream_without_junk_has_none(kind):
    assert junk_in(FRAMES[kind] * 100, kind) == 0


@EACH_KIND
@pytest.mark.parametrize("size", [1, 5, 100, 40_000])
def test_only_junk_between_frames_counts(kind, size):
    """What comes before and behind the frames is a tag. Between them sound was lost."""
    sound, junk = FRAMES[kind] * 20, NOTHING * size

    assert junk_in(junk + sound, kind) == 0
    assert junk_in(sound + junk, kind) == 0
    assert junk_in(junk + sound + junk + sound + junk, kind) == size


@EACH_KIND
def test_what_is_left_of_spoiled_frames_counts(kind):
    """A bad disk does not care where frames begin."""
    frame = FRAMES[kind]
    data = bytearray(frame * 100)
    data[20 * len(frame) : 31 * len(frame)] = bytes(11 * len(frame))

    assert junk_in(bytes(data), kind) == 11 * len(frame)


@EACH_KIND
def test_a_frame_that_is_cut_off_is_the_last(kind):
    """A recorder was switched off while it wrote; nothing is between frames."""
    frame = FRAMES[kind]

    assert junk_in(frame * 20 + frame[:-9], kind) == 0
    assert junk_in(frame * 20 + frame[:3], kind) == 0


@EACH_KIND
def test_a_header_in_the_middle_of_junk_is_junk(kind):
    """Two bytes of a header come up anywhere. A frame has another one behind it."""
    sound = FRAMES[kind] * 20
    junk = (NOTHING * 700 + FRAMES[kind][:7]) * 30 + NOTHING * 5000

    assert junk_in(sound + junk + sound, kind) == len(junk)
    assert junk_in(junk + sound, kind) == 0
    assert junk_in(sound + junk, kind) == 0


@pytest.mark.parametrize(
    ("kind", "header"),
    [
        pytest.param("adts", adts(7), id="AAC shorter than its header"),
        pytest.param("adts", adts(371, rate=13)[:7], id="AAC with a reserved sample rate"),
        pytest.param("ac3", bytes([0x0B, 0x77, 0, 0, 3 << 6, 8 << 3]), id="AC-3 with a reserved sample rate"),
        pytest.param("ac3", bytes([0x0B, 0x77, 0, 0, 38, 8 << 3]), id="AC-3 with a reserved frame size"),
        pytest.param("mp3", mpeg(1, 3, 9, 0, 4), id="MPEG with a reserved version"),
        pytest.param("mp3", mpeg(MPEG_1, 4, 9, 0, 4), id="MPEG with a reserved layer"),
        pytest.param("mp3", mpeg(MPEG_1, 3, 15, 0, 4), id="MPEG with a forbidden bit rate"),
        pytest.param("mp3", mpeg(MPEG_1, 3, 0, 0, 4), id="MPEG of a free format"),
        pytest.param("mp3", mpeg(MPEG_1, 3, 9, 3, 4), id="MPEG with a reserved sample rate"),
    ],
)
def test_a_header_with_a_value_that_does_not_exist_is_none(kind, header):
    """The standards reserve these, so that they begin no frame."""
    sound = FRAMES[kind] * 3

    assert junk_in(sound + header + sound, kind) == len(header)


@EACH_KIND
@pytest.mark.parametrize("where", [READ_BYTES, READ_BYTES - 16 * 1024 - 8])
@pytest.mark.parametrize("shift", range(-9, 10, 2))
def test_junk_is_counted_across_the_border_between_two_reads(kind, where, shift):
    """A header, a frame and junk can each lie on both sides of it, and on those of where frames are still looked at."""
    frame = FRAMES[kind]
    before = frame * ((where - 5000) // len(frame))
    junk = NOTHING * (where - len(before) + shift)

    assert junk_in(before + junk + frame * 100, kind) == len(junk)
    assert junk_in(before + frame * 30 + junk + frame * 100, kind) == len(junk)


@EACH_KIND
def test_junk_may_be_larger_than_a_read(kind):
    """A disk loses more than a few frames."""
    sound, junk = FRAMES[kind] * 30, NOTHING * (READ_BYTES + 5000)

    assert junk_in(sound + junk + sound, kind) == len(junk)


class Trickle(io.BytesIO):
    """A file that gives a few bytes at a time."""

    def read(self, size: int | None = -1, /) -> bytes:
        return super().read(min(size or 0, 997))


@EACH_KIND
def test_it_does_not_matter_how_much_a_read_gives(kind):
    """Nothing obliges a file to give as much as it is asked for."""
    data = (FRAMES[kind] * 7 + NOTHING * 1234) * 12 + FRAMES[kind] * 2

    assert junk_bytes(Trickle(data), kind) == junk_in(data, kind) == 12 * 1234


@EACH_KIND
def test_a_file_is_read_from_its_start(kind):
    """Others have read from it before."""
    file = io.BytesIO(FRAMES[kind] * 7 + NOTHING * 50 + FRAMES[kind] * 7)
    file.seek(0, io.SEEK_END)

    assert junk_bytes(file, kind) == 50


@pytest.mark.parametrize("kind", ["dts", "loas", "mp4", ""])
def test_nothing_is_said_of_other_kinds(kind):
    """Nobody here knows how their frames begin."""
    assert junk_in(FRAMES["mp3"] * 9 + NOTHING * 50 + FRAMES["mp3"] * 9, kind) == 0


@EACH_KIND
@pytest.mark.parametrize("data", [b"", b"\xff", b"\x0b\x77", NOTHING * 70_000, bytes(70_000), b"\xff" * 70_000])
def test_nothing_lies_between_frames_where_there_are_none(kind, data):
    assert junk_in(data, kind) == 0


@given(kinds, st.lists(st.tuples(st.integers(2, 9), st.integers(0, 300)), min_size=1, max_size=12), st.integers(0, 300))
def test_junk_adds_up(kind, runs, before):
    """However it is spread over a stream. Two frames are the least that show where sound goes on."""
    data = NOTHING * before + b"".join(FRAMES[kind] * count + NOTHING * size for count, size in runs)

    assert junk_in(data, kind) == sum(size for _, size in runs[:-1])


@given(kinds, st.lists(st.one_of(st.binary(max_size=60), kinds.map(FRAMES.__getitem__)), max_size=40))
def test_no_bytes_are_too_strange(kind, parts):
    """An uploader decides what is in a file: it may give any number, but none that is larger than the file."""
    data = b"".join(parts)

    assert 0 <= junk_in(data, kind) <= len(data)


@pytest.mark.parametrize(
    ("kind", "rate_hz", "arguments"),
    [
        ("adts", 44_100, ["-c:a", "aac"]),
        ("adts", 8_000, ["-c:a", "aac", "-b:a", "24k"]),
        ("ac3", 48_000, ["-c:a", "ac3", "-b:a", "192k"]),
        ("ac3", 44_100, ["-c:a", "ac3", "-b:a", "448k"]),
        ("ac3", 32_000, ["-c:a", "ac3", "-b:a", "96k"]),
        ("eac3", 48_000, ["-c:a", "eac3", "-b:a", "128k"]),
        ("eac3", 44_100, ["-c:a", "eac3", "-b:a", "96k"]),
        ("mp2", 48_000, ["-c:a", "mp2", "-b:a", "192k"]),
        ("mp2", 44_100, ["-c:a", "mp2", "-b:a", "320k"]),
        ("mp2", 22_050, ["-c:a", "mp2", "-b:a", "64k"]),
        ("mp3", 44_100, ["-c:a", "libmp3lame", "-b:a", "128k"]),
        ("mp3", 48_000, ["-c:a", "libmp3lame", "-q:a", "4"]),
        ("mp3", 24_000, ["-c:a", "libmp3lame", "-b:a", "64k"]),
        ("mp3", 11_025, ["-c:a", "libmp3lame", "-b:a", "24k"]),
    ],
)
def test_bytes_that_were_put_into_a_real_stream_are_found(tmp_path, kind, rate_hz, arguments):
    """Wherever they split a frame, as many bytes are between frames, or in their place in one, as were put in."""
    stream = real_stream(tmp_path, kind, rate_hz, arguments)
    third = len(stream) // 3
    spoiled = stream[:third] + bytes(20_000) + stream[third : 2 * third] + bytes(9_000) + stream[2 * third :]

    assert junk_in(stream, kind) == 0
    assert junk_in(spoiled, kind) == 29_000
    assert junk_in(bytes(300) + stream + bytes(300), kind) == 0


def real_stream(folder: Path, kind: str, rate_hz: int, arguments: list[str]) -> bytes:
    """Return ten seconds of noise and a tone, coded by ffmpeg, with no tag."""
    path = folder / "stream"
    sound = f"anoisesrc=r={rate_hz}:a=0.2:seed=1:d=10,aformat=channel_layouts=stereo"
    plain = ["-write_xing", "0", "-id3v2_version", "0"] if kind == "mp3" else []
    ffmpeg("-f", "lavfi", "-i", sound, *arguments, "-map_metadata", "-1", *plain, "-f", kind, str(path))
    return path.read_bytes()
