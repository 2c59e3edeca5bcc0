"""Tags and chapters, as ffmpeg's ffmetadata muxer writes them."""

import math
import re
import subprocess
from pathlib import Path

import imageio_ffmpeg
import pytest
from hypothesis import given
from hypothesis import strategies as st

from functions.convert.media.chapters import MAX_CHAPTERS, Chapter, fit_chapters
from functions.convert.media.metadata import parse_ffmetadata
from tests.media import ffmpeg


def ffmetadata(path: Path) -> bytes:
    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", "-t", "0", "-i", str(path), "-map", "0", "-c", "copy"]
    return subprocess.run([*command, "-f", "ffmetadata", "-"], capture_output=True, check=True, timeout=60).stdout


def chapter(start: object, end: object, base: str = "1/1000", title: str = "One") -> bytes:
    return f"[CHAPTER]\nTIMEBASE={base}\nSTART={start}\nEND={end}\ntitle={title}\n".encode()


def escaped(text: str) -> str:
    return re.sub(r"([=;#\\\n])", r"\\\1", text)


def test_tags_of_the_file_its_tracks_and_its_chapters_are_kept_apart():
    """A track may be called `Stereo` and a chapter `Intro`, but neither is the title of the recording."""
    text = (
        b";FFMETADATA1\ntitle=Film\nALBUM_ARTIST=Ann\n[STREAM]\n[STREAM]\ntitle=Stereo\nlanguage=eng\n"
        + chapter(0, 2000)
        + chapter(96_000, 192_000, "1/48000", "Two")
    )

    read = parse_ffmetadata(text)

    assert read.container == {"title": "Film", "album_artist": "Ann"}
    assert read.streams == ({}, {"title": "Stereo", "language": "eng"})
    assert read.chapters == (Chapter(0.0, 2.0, "One"), Chapter(2.0, 4.0, "Two"))


def test_what_ffmpeg_escapes_comes_back_as_it_was(tmp_path):
    """The author of a file chooses its values, and one of them may look like a section."""
    forged = "x\n[CHAPTER]\nTIMEBASE=1/1\nSTART=0\nEND=9\ntitle=forged\n[STREAM]\n\\"
    path = tmp_path / "a.mkv"
    tags = ["-metadata", f"comment={forged}", "-metadata", "title=a\\=b;c#d\\\\ = e", "-metadata", "k\n[STREAM]=v"]
    ffmpeg("-f", "lavfi", "-i", "sine=duration=1", *tags, str(path))

    read = parse_ffmetadata(ffmetadata(path))

    assert read.container["comment"] == forged
    assert read.container["title"] == "a\\=b;c#d\\\\ = e"
    assert len(read.streams) == 1
    assert read.chapters == ()


@given(
    tags=st.dictionaries(st.text(min_size=1).map(str.lower), st.text(), max_size=4),
    title=st.text(st.characters(codec="utf-8")),
)
def test_any_text_survives_the_muxers_escaping(tags, title):
    """No value ends early, and none forges another tag."""
    tags = {key: value for key, value in tags.items() if key == key.lower() and _is_utf8(key + value)}
    lines = "".join(f"{escaped(key)}={escaped(value)}\n" for key, value in tags.items())

    read = parse_ffmetadata(f";FFMETADATA1\n{lines}[STREAM]\n".encode() + chapter(0, 1, title=escaped(title)))

    assert read.container == tags
    assert read.streams == ({},)
    assert [each.title for each in read.chapters] == [title]


def _is_utf8(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


@given(
    st.binary()
    | st.lists(st.sampled_from([b"[CHAPTER]", b"[STREAM]", b"\n", b"\\", b"=", b"START", b"9"])).map(b"".join)
)
def test_nothing_makes_it_fail(text):
    """Anybody can write anything into a file."""
    parse_ffmetadata(text)


def test_tags_in_an_old_code_page_are_left_out():
    """Old AVIs have tags in the code page of the author's system. No title is better than a garbled one."""
    title, artist = "Песня".encode("cp1251"), "Zoë".encode()

    read = parse_ffmetadata(b";FFMETADATA1\ntitle=" + title + b"\nartist=" + artist + b"\n" + title + b"=x\n")

    assert read.container == {"artist": "Zoë"}


def test_of_a_tag_that_occurs_twice_the_first_counts():
    """Players ignore case in names."""
    assert parse_ffmetadata(b"Title=a\ntitle=b\nTITLE=c\n").container == {"title": "a"}


def test_control_characters_and_missing_line_ends_do_no_harm():
    """A NUL ends a string in C but not here, and the output may be cut within a line."""
    read = parse_ffmetadata(b"title=a\0b\r\nno value\n[UNKNOWN]\nartist=x\n[STREAM]\nlanguage=eng\ntitle=cut\\")

    assert read.container == {"title": "a\0b\r"}
    assert read.streams == ({"language": "eng", "title": "cut\\"},)


@pytest.mark.parametrize(
    "broken",
    [
        chapter("", ""),
        chapter("x", 1),
        chapter(0, 1, "1/0"),
        chapter(0, 1, "0x1/1000"),
        chapter(0, 1, "-1/1000"),
        chapter(0, 1, ""),
        chapter("9" * 5000, 1),
        chapter("٣", 1),
        chapter("nan", "inf"),
        b"[CHAPTER]\n",
        b"[CHAPTER]\nSTART=0\nEND=1\n",
    ],
)
def test_chapters_without_usable_times_are_left_out(broken):
    """The others stay."""
    assert parse_ffmetadata(broken + chapter(0, 1000)).chapters == (Chapter(0.0, 1.0, "One"),)


def test_extreme_times_stay_numbers():
    """A chapter may claim to last for longer than the universe."""
    read = parse_ffmetadata(chapter(-(2**63), 2**63 - 1, "1/1") + chapter(-(2**63), 2**63 - 1, "999999999/1"))

    assert all(math.isfinite(each.start_s) and math.isfinite(each.end_s) for each in read.chapters)
    assert read.chapters[0][:2] == (-(2.0**63), 2.0**63)
    assert fit_chapters(read.chapters, 0.0, 10.0)[0] == (Chapter(0.0, 10.0, "One"), Chapter(0.0, 10.0, "One"))


def test_a_tag_of_a_chapter_cannot_move_it():
    """A chapter may have a tag called START."""
    assert parse_ffmetadata(chapter(0, 1000) + b"START=500\nend=9\nTimeBase=1/1\n").chapters[0] == Chapter(
        0.0, 1.0, "One"
    )


def test_a_file_full_of_chapters_is_read():
    """It has 100,000 of them, and tags of a megabyte that consist of escapes alone."""
    value, name = b"\\\\" * 500_000, b"\\=" * 500_000
    text = b"comment=" + value + b"\n" + name + b"=x\n" + b"".join(chapter(n, n + 1) for n in range(100_000))

    read = parse_ffmetadata(text)

    assert len(read.chapters) == 100_000
    assert read.container["comment"] == "\\" * 500_000


def test_chapters_follow_the_part_that_is_converted():
    """Their times are relative to its start, and what reaches beyond it is clipped."""
    chapters = [Chapter(0.0, 10.0, "a"), Chapter(10.0, 20.0, "b"), Chapter(20.0, 30.0, "c"), Chapter(30.0, 40.0, "d")]

    fitted, cuts = fit_chapters(chapters, 15.0, 30.0)

    assert fitted == (Chapter(0.0, 5.0, "b"), Chapter(5.0, 15.0, "c"))
    assert cuts == []


def test_chapters_are_put_in_order_and_empty_ones_are_dropped():
    """Players list them in the order of the file, and stumble over empty ones."""
    chapters = [Chapter(5.0, 9.0, "b"), Chapter(3.0, 3.0, "x"), Chapter(9.0, 8.0, "y"), Chapter(-2.0, 5.0, "a")]

    assert fit_chapters(chapters, 0.0, math.inf)[0] == (Chapter(0.0, 5.0, "a"), Chapter(5.0, 9.0, "b"))


def test_titles_of_chapters_are_one_printable_line():
    """Players show them in a list."""
    chapters = [Chapter(0.0, 1.0, " one\r\n\x1b[31mtwo\u202e\0 "), Chapter(1.0, 2.0, "x" * 1_000_000)]

    assert [each.title for each in fit_chapters(chapters, 0.0, 2.0)[0]] == ["one [31mtwo", "x" * 500]


def test_chapters_that_do_not_fit_are_reported():
    """The table of contents counts its entries in one byte. The person learns that there were more."""
    chapters = [Chapter(float(n), n + 1.0, str(n)) for n in reversed(range(300))]

    fitted, cuts = fit_chapters(chapters, 0.0, math.inf)

    assert [each.title for each in fitted] == [str(n) for n in range(MAX_CHAPTERS)]
    assert [cut.code for cut in cuts] == ["chapters-cut"]
    assert "300 chapters" in cuts[0].detail
