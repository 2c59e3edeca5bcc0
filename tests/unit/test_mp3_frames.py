"""The frames of an MP3, and what they prove."""

import io
import itertools
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from mutagen.mp3 import MP3

from functions.convert.mp3.frames import LONGEST_FRAME_BYTES, BrokenMp3, frame_of, read_mp3, walk
from tests.media import ffmpeg


def make_mp3(path: Path, *, rate: int = 44_100, channels: int = 2, quality: tuple[str, str] = ("-q:a", "2")) -> Path:
    sine = ("-f", "lavfi", "-i", f"sine=frequency=440:sample_rate={rate}:duration=2", "-ac", str(channels))
    ffmpeg(*sine, "-c:a", "libmp3lame", *quality, "-id3v2_version", "0", str(path))
    return path


@pytest.fixture(scope="module")
def mp3(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    return make_mp3(tmp_path_factory.mktemp("mp3") / "a.mp3").read_bytes()


@pytest.mark.parametrize(
    ("rate", "channels", "quality"),
    [
        (44_100, 2, ("-q:a", "2")),
        (48_000, 1, ("-b:a", "128k")),
        (32_000, 2, ("-q:a", "4")),
        (22_050, 1, ("-q:a", "0")),
        (8_000, 1, ("-b:a", "16k")),
    ],
)
def test_the_facts_are_those_that_mutagen_reads(tmp_path, rate, channels, quality):
    """MPEG 1, 2 and 2.5 have frames of different sizes; an established library is the judge."""
    path = make_mp3(tmp_path / "a.mp3", rate=rate, channels=channels, quality=quality)
    judge: Any = MP3(path).info

    with path.open("rb") as file:
        facts = read_mp3(file)

    # Mutagen counts the encoder's padding, which players leave out.
    assert facts.duration_s == 2.0
    assert facts.samples == 2 * rate
    assert facts.samples + facts.delay + facts.padding == facts.frames * (1152 if rate >= 32_000 else 576)
    assert facts.duration_s <= judge.length
    assert (facts.sample_rate_hz, facts.channels) == (judge.sample_rate, judge.channels)
    assert facts.bit_rate_bps == pytest.approx(judge.bitrate, rel=0.05)


@pytest.mark.parametrize("lost", [1, 100, 10_000])
def test_an_mp3_without_its_end_is_broken(mp3, lost):
    """What a killed encoder leaves plays, but it is not complete."""
    with pytest.raises(BrokenMp3):
        read_mp3(io.BytesIO(mp3[:-lost]))


def test_an_mp3_that_lacks_a_frame_is_broken(mp3):
    """Every frame that is left is whole, so only the count shows the loss."""
    *_, (last, _) = walk(io.BytesIO(mp3))

    with pytest.raises(BrokenMp3, match="counts"):
        read_mp3(io.BytesIO(mp3[:last]))


def test_an_mp3_without_a_xing_header_is_broken(mp3):
    """Without it players show a wrong length for VBR."""
    info = frame_of(mp3[:4])
    assert info

    with pytest.raises(BrokenMp3, match="Xing"):
        read_mp3(io.BytesIO(mp3[info.bytes :]))


@pytest.mark.parametrize("content", [b"", b"\xff", b"\xff\xfb\x90\x00", b"RIFF" * 100])
def test_what_is_not_an_mp3_is_broken(content):
    """The file comes from a process that may have been killed at any point."""
    with pytest.raises(BrokenMp3):
        read_mp3(io.BytesIO(content))


def test_bytes_between_two_frames_are_found(mp3):
    """Players would skip them with a click."""
    places = [position for position, _ in walk(io.BytesIO(mp3))]
    damaged = mp3[: places[9]] + b"\0" + mp3[places[9] :]

    with pytest.raises(BrokenMp3, match=f"at byte {places[9]}"):
        read_mp3(io.BytesIO(damaged))


def test_frames_that_span_two_reads_are_counted_once(mp3):
    """A file is read in pieces, and a frame ends where a piece ends only by accident."""
    once = [position for position, _ in walk(io.BytesIO(mp3))]
    times = 4 * (1 << 20) // len(mp3)

    places = [position for position, _ in walk(io.BytesIO(mp3 * times))]

    assert places == [position + turn * len(mp3) for turn in range(times) for position in once]


def test_no_frame_is_longer_than_the_longest():
    """A frame that is longer than the rest of a piece would be called cut off."""
    headers = (bytes(each) for each in itertools.product([0xFF], range(256), range(256), [0x00, 0xC0]))

    assert max(frame.bytes for header in headers if (frame := frame_of(header))) == LONGEST_FRAME_BYTES


@given(st.binary(max_size=3000))
def test_random_bytes_are_broken(content):
    """Whatever is in the file, the answer is one of the errors that the caller knows."""
    with pytest.raises(BrokenMp3):
        read_mp3(io.BytesIO(content))


@given(st.data())
def test_one_changed_byte_is_read_or_broken(mp3, data):
    """Damage is most often a few bytes in a file that is otherwise right."""
    damaged = bytearray(mp3)
    damaged[data.draw(st.integers(0, len(mp3) - 1))] = data.draw(st.integers(0, 255))

    try:
        facts = read_mp3(io.BytesIO(damaged))
    except BrokenMp3:
        return

    assert facts.frames > 0
    assert 0 <= facts.duration_s <= 2.1
