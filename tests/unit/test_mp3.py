"""The frames and the tags of an MP3."""

import io
from pathlib import Path
from typing import Any

import pytest
from mutagen.id3 import ID3
from mutagen.mp3 import MP3

from functions.convert.mp3 import BrokenMp3, make_tag, read_mp3
from tests.media import ffmpeg


def make_mp3(path: Path, *, rate: int = 44_100, channels: int = 2, quality: tuple[str, str] = ("-q:a", "2")) -> Path:
    sound = f"sine=frequency=440:sample_rate={rate}:duration=2"
    ffmpeg(
        "-f",
        "lavfi",
        "-i",
        sound,
        "-ac",
        str(channels),
        "-c:a",
        "libmp3lame",
        *quality,
        "-id3v2_version",
        "0",
        str(path),
    )
    return path


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
    """MPEG 1, 2 and 2.5 have frames of other sizes; a library of long standing is the judge."""
    path = make_mp3(tmp_path / "a.mp3", rate=rate, channels=channels, quality=quality)
    judge: Any = MP3(path).info

    with path.open("rb") as mp3:
        facts = read_mp3(mp3)

    # Mutagen counts what the encoder pads with, which players leave out.
    assert facts.duration_s == pytest.approx(2.0, abs=0.001)
    assert facts.duration_s <= judge.length
    assert (facts.sample_rate_hz, facts.channels) == (judge.sample_rate, judge.channels)
    assert facts.bit_rate_bps == pytest.approx(judge.bitrate, rel=0.05)


@pytest.mark.parametrize("lost", [1, 100, 20_000])
def test_an_mp3_without_its_end_is_broken(tmp_path, lost):
    """What a killed encoder leaves plays, but it is not the whole."""
    path = make_mp3(tmp_path / "a.mp3")
    path.write_bytes(path.read_bytes()[:-lost])

    with path.open("rb") as mp3, pytest.raises(BrokenMp3):
        read_mp3(mp3)


def test_an_mp3_without_a_xing_header_is_broken(tmp_path):
    """Without it players show a wrong length for VBR."""
    path = tmp_path / "a.mp3"
    ffmpeg(
        *("-f", "lavfi", "-i", "sine=duration=1", "-c:a", "libmp3lame", "-q:a", "2"),
        *("-write_xing", "0", "-id3v2_version", "0", str(path)),
    )

    with path.open("rb") as mp3, pytest.raises(BrokenMp3, match="Xing"):
        read_mp3(mp3)


@pytest.mark.parametrize("content", [b"", b"\xff", b"\xff\xfb\x90\x00", b"RIFF" * 100])
def test_what_is_no_mp3_is_broken(tmp_path, content):
    path = tmp_path / "a.mp3"
    path.write_bytes(content)

    with path.open("rb") as mp3, pytest.raises(BrokenMp3):
        read_mp3(mp3)


def test_the_tag_carries_what_people_see_and_nothing_else():
    """Where a video was filmed and which program made it is nobody's business."""
    tag = make_tag(
        {"Title": "T", "ARTIST": "A", "date": "2024-05-06", "comment": "C", "location": "+48", "encoder": "E"}
    )

    frames = ID3(io.BytesIO(tag), translate=False)

    assert frames.version == (2, 3, 0)
    assert set(frames) == {"TIT2", "TPE1", "TYER", "TDAT", "COMM::XXX"}


def test_long_and_odd_values_are_cut_and_cleaned():
    """A tag is for people; a megabyte or a NUL in a title is not."""
    tag = ID3(io.BytesIO(make_tag({"title": "x" * 1_000_000, "artist": "a\x00\x1bb"})))

    assert len(str(tag["TIT2"])) == 500
    assert str(tag["TPE1"]) == "ab"


def test_wide_spaces_joined_emoji_and_lines_of_a_comment_stay():
    """They are what the artist wrote: Japanese titles have wide spaces, and lyrics have lines."""
    tag = ID3(io.BytesIO(make_tag({"title": "東京\u3000夜", "artist": "👩\u200d🎤", "comment": "one\ntwo"})))

    assert str(tag["TIT2"]) == "東京\u3000夜"
    assert str(tag["TPE1"]) == "👩\u200d🎤"
    assert str(tag["COMM::XXX"]) == "one\ntwo"


def test_without_metadata_there_is_no_tag():
    assert make_tag({"encoder": "Lavf"}) == b""
