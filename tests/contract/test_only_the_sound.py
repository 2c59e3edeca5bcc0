"""The page sends only the sound of a video: the MP3 is the same as if it had sent all of it."""

import os
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import imageio_ffmpeg
import pytest

from functions.convert.failures import ConversionFailed
from functions.convert.media.listing import packets, streams
from functions.convert.media.tracks import Choice
from functions.shared.conversions import Method, Note, Track
from tests.attempts import attempt
from tests.extractor import Extractor, running_extractor
from tests.inputs.everything import RECIPES
from tests.inputs.making import MPEG2, cut_to, joined, make, patched, pictures, stereo
from tests.inputs.recipe import Recipe
from tests.inputs.sound_only import VIDEOS, Video
from tests.media import Media
from tests.reports import Report

_CUT = {".mp4", ".mov", ".m4b", ".3gp", ".mkv", ".webm", ".ts", ".mts", ".m2ts"}
_ALL = [recipe for recipe in RECIPES if Path(recipe.name).suffix in _CUT]
_CHOSEN = _ALL if os.environ.get("ALL_COMBINATIONS") else _ALL[::16]
_VIDEOS = VIDEOS if os.environ.get("ALL_COMBINATIONS") else [each for at, each in enumerate(VIDEOS) if at % 4 != 3]

# So large is a picture that stands where others were, at most.
_TINY_BYTES = 64
_THOROUGH = ("-probesize", "100M", "-analyzeduration", "60M")


@pytest.fixture(scope="module")
def extractor() -> Iterator[Extractor]:
    with running_extractor() as extractor:
        yield extractor


@pytest.fixture(scope="module")
def sizes(report: Report) -> Iterator[list[str]]:
    sizes: list[str] = []
    yield sizes
    report.add("Only the sound: bytes of the video, bytes sent, share", *sizes)


@pytest.mark.parametrize("video", _VIDEOS, ids=lambda video: video.name)
def test_only_the_sound_is_sent_and_the_mp3_is_the_same(
    tmp_path: Path, extractor: Extractor, sizes: list[str], video: Video
) -> None:
    """Packets, time stamps, tags, cover, chapters and languages arrive as if the whole file had been sent."""
    whole, sound = tmp_path / video.name, tmp_path / f"sound-{video.name}"
    video.make(whole)

    answer = extractor.extract(whole, sound)

    assert answer["extracted"], answer
    assert answer["bytes"] in {None, sound.stat().st_size}
    assert len(answer["tracks"]) == video.soundtracks
    assert _packets(sound) == _packets(whole)
    of_sound, of_whole = _outcomes(sound, whole)
    assert of_sound == of_whole
    assert (of_sound.has_chapters, of_sound.has_cover) == (video.with_chapters, video.with_cover)
    assert _largest_picture(sound) <= _TINY_BYTES
    before, after = whole.stat().st_size, sound.stat().st_size
    sizes.append(f"{video.name:<40} {before:>9,} {after:>9,} {after / before:>6.1%}")


@pytest.mark.parametrize("recipe", _CHOSEN, ids=lambda recipe: recipe.name)
def test_what_people_have_is_sent_whole_or_sounds_the_same(
    tmp_path: Path, extractor: Extractor, recipe: Recipe
) -> None:
    """Gaps, jumps, late starts, many tracks, damage: the sound alone ends as the whole file does, or is not sent."""
    whole, sound = recipe.made_in(tmp_path), tmp_path / f"sound-{recipe.name}"

    if extractor.extract(whole, sound)["extracted"]:
        assert _packets(sound) == _packets(whole)
        of_sound, of_whole = _outcomes(sound, whole)
        assert of_sound == of_whole


def test_the_same_bytes_are_sent_each_time(tmp_path: Path, extractor: Extractor) -> None:
    """An upload goes on after a reload where it stopped, so the second half must fit the first."""
    for video in VIDEOS:
        if video.name in {"aac.mp4", "aac-in-fragments.mp4", "aac.mkv", "aac.ts"}:
            video.make(tmp_path / video.name)
            for number in range(2):
                extractor.extract(tmp_path / video.name, tmp_path / str(number))
            assert (tmp_path / "0").read_bytes() == (tmp_path / "1").read_bytes()


def _make_avi(path: Path) -> None:
    make(path, pictures(2), stereo(2), arguments=["-c:v", "mpeg4", "-c:a", "libmp3lame"])


def _make_text(path: Path) -> None:
    path.write_text("This is not a video.\n" * 100)


def _make_nothing(path: Path) -> None:
    path.write_bytes(b"")


def _make_cut(path: Path) -> None:
    whole = path.with_name(f"whole-{path.name}")
    codecs = ["-c:v", "libvpx", "-c:a", "libopus"] if path.suffix == ".webm" else ["-c:v", "mpeg4", "-c:a", "aac"]
    make(whole, pictures(3), stereo(3), arguments=codecs)
    patched(whole, path, lambda data: cut_to(data, 0.7))


def _make_cut_fragments(path: Path) -> None:
    whole = path.with_name(f"whole-{path.name}")
    codecs = ["-c:v", "mpeg4", "-c:a", "aac", "-movflags", "+frag_keyframe+empty_moov"]
    make(whole, pictures(3), stereo(3), arguments=codecs)
    patched(whole, path, lambda data: cut_to(data, 0.7))


def _make_cut_recording(path: Path) -> None:
    whole = path.with_name(f"whole-{path.name}")
    make(whole, pictures(3), stereo(3), arguments=["-c:v", "libvpx", "-c:a", "libopus", "-live", "1"])
    patched(whole, path, lambda data: cut_to(data, 0.7))


def _make_jump_back(path: Path) -> None:
    part = path.with_name(f"part-{path.name}")
    make(part, pictures(4, rate=25), stereo(4), arguments=[*MPEG2, "-c:a", "mp2"])
    joined(path, part, part)


def _make_pictures(path: Path) -> None:
    make(path, pictures(2), arguments=["-c:v", "mpeg4"])


def _make_sound(path: Path) -> None:
    make(path, stereo(2), arguments=["-c:a", "aac"])


@pytest.mark.parametrize(
    ("name", "write"),
    [
        ("a.avi", _make_avi),
        ("text.mp4", _make_text),
        ("nothing.mp4", _make_nothing),
        ("cut.mp4", _make_cut),
        ("cut.mkv", _make_cut),
        ("cut.webm", _make_cut),
        ("cut.ts", _make_cut),
        ("cut-in-fragments.mp4", _make_cut_fragments),
        ("cut-recording.webm", _make_cut_recording),
        ("jump-back.ts", _make_jump_back),
        ("pictures-alone.mp4", _make_pictures),
        ("pictures-alone.mkv", _make_pictures),
        ("sound-alone.m4a", _make_sound),
    ],
)
def test_a_file_in_doubt_is_sent_whole(tmp_path: Path, extractor: Extractor, name: str, write) -> None:
    """The service then sees all of it, and can say what is wrong with it."""
    write(tmp_path / name)

    assert not extractor.extract(tmp_path / name, tmp_path / "sound")["extracted"]


def test_an_encrypted_video_is_sent_whole(tmp_path: Path, extractor: Extractor, media: Media) -> None:
    assert not extractor.extract(media.video("encrypted"), tmp_path / "sound")["extracted"]


class _Packet(NamedTuple):
    pts: int
    duration: int
    size: int
    checksum: bytes


def _packets(file: Path) -> list[tuple[str, list[_Packet]]]:
    """Return the codec of each soundtrack, and its packets."""
    listing = _listing(file, "0:a")
    found: list[tuple[str, list[_Packet]]] = [(stream.codec, []) for stream in streams(listing)]
    for packet in packets(listing.splitlines()):
        found[packet.stream][1].append(_Packet(packet.pts, packet.duration, packet.size, packet.checksum))
    return found


def _largest_picture(file: Path) -> int:
    return max(packet.size for packet in packets(_listing(file, "0:V").splitlines()))


def _listing(file: Path, chosen: str) -> bytes:
    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", *_THOROUGH, "-i", str(file), "-map", chosen]
    command += ["-c", "copy", "-f", "framecrc", "-"]
    return subprocess.run(command, check=False, capture_output=True, timeout=60).stdout


class _Outcome(NamedTuple):
    """All that a person gets: the MP3 with its tag to the last byte, and the receipt; or why there is none."""

    failure: str | None = None
    mp3: bytes = b""
    tracks: tuple[Track, ...] = ()
    taken: Choice | None = None
    method: Method | None = None
    notes: tuple[Note, ...] = ()
    length_s: float = 0
    has_chapters: bool = False
    has_cover: bool = False


def _outcomes(*files: Path) -> list[_Outcome]:
    with ThreadPoolExecutor(2) as both:
        return list(both.map(_outcome, files))


def _outcome(file: Path) -> _Outcome:
    mp3 = file.with_suffix(".mp3")
    try:
        encoded = attempt(file, mp3)
    except ConversionFailed as failed:
        return _Outcome(failed.failure.type)
    return _Outcome(
        mp3=mp3.read_bytes(),
        tracks=encoded.tracks,
        taken=encoded.choice,
        method=encoded.method,
        notes=encoded.notes,
        length_s=round(encoded.video_duration_s, 1),
        has_chapters=bool(encoded.chapters),
        has_cover=encoded.has_cover,
    )
