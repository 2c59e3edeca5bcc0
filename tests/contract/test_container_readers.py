"""What the structure of a file says about its sound: files made by ffmpeg, then cut, patched and flipped."""

import random
import re
import struct
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import imageio_ffmpeg
import pytest

from functions.convert.failures import InvalidMedia
from functions.convert.media.container import Container, read_container
from functions.convert.media.riff import repaired_wav_header
from tests.media import ffmpeg

SECONDS = 3.0
_PICTURES = ["-f", "lavfi", "-i", "testsrc=size=176x144:rate=10"]
_SOUND = ["-f", "lavfi", "-i", "sine=frequency=440:sample_rate=48000"]
_MPEG4 = ["-c:v", "mpeg4"]


class Recipe(NamedTuple):
    """How a file is made: `kind` is what the reader calls it, and `arguments` come behind the inputs."""

    ending: str
    kind: str
    arguments: list[str]
    has_pictures: bool = False


def _video(ending: str, kind: str, *arguments: str) -> Recipe:
    return Recipe(ending, kind, [*arguments], has_pictures=True)


def _audio(ending: str, kind: str, *arguments: str) -> Recipe:
    return Recipe(ending, kind, [*arguments])


FRAGMENTED = "+frag_keyframe+empty_moov+default_base_moof"

# Formats that tell how long their sound is.
PROMISING = {
    "mp4 moov last": _video("mp4", "mp4", *_MPEG4, "-c:a", "aac"),
    "mp4 moov first": _video("mp4", "mp4", *_MPEG4, "-c:a", "aac", "-movflags", "+faststart"),
    "mov pcm": _video("mov", "mp4", "-c:v", "mjpeg", "-c:a", "pcm_s16le", "-movflags", "+faststart"),
    "mov ima4": _audio("mov", "mp4", "-c:a", "adpcm_ima_qt", "-movflags", "+faststart"),
    "m4a alac": _audio("m4a", "mp4", "-c:a", "alac", "-movflags", "+faststart"),
    "3gp amr": _audio("3gp", "mp4", "-c:a", "libopencore_amrnb", "-ar", "8000", "-b:a", "12.2k"),
    "mkv": _video("mkv", "matroska", *_MPEG4, "-c:a", "flac"),
    "webm": _audio("webm", "matroska", "-c:a", "libopus"),
    "ogg vorbis": _audio("ogg", "ogg", "-c:a", "libvorbis"),
    "ogg opus": _audio("opus", "ogg", "-c:a", "libopus"),
    "ogg flac": _audio("oga", "ogg", "-c:a", "flac"),
    "ogv": _video("ogv", "ogg", "-c:v", "libtheora", "-c:a", "libvorbis"),
    "wav": _audio("wav", "wav", "-c:a", "pcm_s16le"),
    "wav 24 bits": _audio("wav", "wav", "-c:a", "pcm_s24le", "-ac", "6"),
    "wav adpcm": _audio("wav", "wav", "-c:a", "adpcm_ima_wav"),
    "rf64": _audio("wav", "rf64", "-c:a", "pcm_s16le", "-rf64", "always"),
    "w64": _audio("w64", "w64", "-c:a", "pcm_s16le"),
    "avi mp3": _video("avi", "avi", *_MPEG4, "-c:a", "libmp3lame"),
    "avi pcm": _video("avi", "avi", *_MPEG4, "-c:a", "pcm_s16le"),
    "wmv": _video("wmv", "asf", "-c:v", "wmv2", "-c:a", "wmav2"),
    "flv": _video("flv", "flv", "-c:v", "flv1", "-c:a", "aac"),
    "aiff": _audio("aiff", "aiff", "-c:a", "pcm_s16be"),
    "aifc": _audio("aiff", "aiff", "-c:a", "pcm_s16le"),
    "au": _audio("au", "au", "-c:a", "pcm_s16be"),
    "au law": _audio("au", "au", "-c:a", "pcm_mulaw"),
    "caf": _audio("caf", "caf", "-c:a", "pcm_s16be"),
    "caf alac": _audio("caf", "caf", "-c:a", "alac"),
    "flac": _audio("flac", "flac"),
    "mp3 vbr": _audio("mp3", "mp3", "-q:a", "2"),
    "mp3 22 kHz": _audio("mp3", "mp3", "-b:a", "64k", "-ar", "22050", "-ac", "1"),
    "mxf": _video("mxf", "mxf", "-c:v", "mpeg2video", "-r", "25"),
    "tta": _audio("tta", "tta"),
    "wavpack": _audio("wv", "wavpack"),
}
SILENT_ABOUT_LENGTH = {
    "ts": _video("ts", "mpeg-ts", "-c:v", "mpeg2video", "-r", "25", "-c:a", "mp2"),
    "vob": _video("vob", "mpeg-ps", "-c:v", "mpeg2video", "-r", "25", "-c:a", "mp2"),
    "adts": _audio("aac", "adts"),
    "mp3 without head": _audio("mp3", "mp3", "-write_xing", "0"),
}
# Formats whose recorder writes an index with each part.
RECORDED = {
    "mp4 fragmented": _video(
        "mp4", "mp4-fragmented", *_MPEG4, "-g", "5", "-c:a", "aac", "-movflags", FRAGMENTED, "-use_editlist", "0"
    ),
    "mkv live": _video("mkv", "matroska", *_MPEG4, "-g", "5", "-c:a", "aac", "-live", "1"),
    "webm live": _audio("webm", "matroska", "-c:a", "libopus", "-live", "1"),
    "flv live": _video("flv", "flv", "-c:v", "flv1", "-c:a", "aac", "-flvflags", "no_duration_filesize"),
}
RECIPES = {**PROMISING, **SILENT_ABOUT_LENGTH, **RECORDED}

# Their head or their index comes before the sound and tells where each byte of it lies, so the border is known exactly.
EXACT = ["mp4 moov first", "mov pcm", "mov ima4", "m4a alac", "wav", "wav 24 bits", "rf64", "w64", "avi mp3", "avi pcm"]
EXACT += ["aiff", "aifc", "au", "au law", "caf"]


class Files:
    """Makes each file once."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def path(self, name: str) -> Path:
        recipe = RECIPES[name]
        path = self._folder / f"{re.sub('[^a-z0-9]', '-', name)}.{recipe.ending}"
        if not path.exists():
            inputs = [*(_PICTURES if recipe.has_pictures else []), *_SOUND]
            ffmpeg(*inputs, "-t", str(SECONDS), *recipe.arguments, str(path))
        return path

    def content(self, name: str) -> bytes:
        return self.path(name).read_bytes()


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Files:
    return Files(tmp_path_factory.mktemp("containers"))


def read(content: bytes) -> Container:
    return read_container(lambda start, end: content[start:end], len(content))


def is_noticed(found: Container) -> bool:
    """Say whether the structure tells that sound is missing."""
    return found.missing_bytes or any(track.is_cut for track in found.soundtracks)


def _decoded(content: bytes, path: Path, *arguments: str) -> bytes:
    """Return what ffmpeg makes of the sound of a file, or nothing if it refuses."""
    path.write_bytes(content)
    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-v", "quiet", "-i", str(path), "-map", "0:a:0", *arguments, "-"]
    return subprocess.run(command, capture_output=True, timeout=60, check=False).stdout


def decoded_seconds(content: bytes, path: Path) -> float:
    return len(_decoded(content, path, "-f", "s16le", "-ac", "1", "-ar", "8000")) / 16_000


def packets(content: bytes, path: Path) -> bytes:
    return _decoded(content, path, "-c", "copy", "-f", "md5")


def patched(content: bytes, at: int, layout: str, *values: int) -> bytes:
    changed = bytearray(content)
    struct.pack_into(layout, changed, at, *values)
    return bytes(changed)


def sizes_of_cuts(content: bytes) -> Iterator[int]:
    """Yield how many bytes of a file are kept."""
    yield from (len(content) - lost for lost in (1, 2, 7, 60))
    yield from (len(content) * part // 100 for part in (99, 97, 90, 75, 50, 33, 10))


@pytest.mark.parametrize("name", PROMISING)
def test_a_whole_file_promises_the_length_of_its_sound(name, files, tmp_path):
    """The promise is compared with the MP3, so a wrong one refuses a good file."""
    content = files.content(name)

    found = read(content)

    assert found.kind == PROMISING[name].kind
    assert not is_noticed(found)
    assert not found.is_unfinished
    assert len(found.soundtracks) == 1
    assert found.duration_s == pytest.approx(decoded_seconds(content, tmp_path / "whole"), abs=0.13)
    if found.soundtracks[0].duration_s is not None:
        assert found.soundtracks[0].duration_s == pytest.approx(SECONDS, abs=0.06)


@pytest.mark.parametrize("name", [*SILENT_ABOUT_LENGTH, *RECORDED])
def test_a_whole_file_that_tells_no_length_is_whole(name, files):
    """A stream can begin and end anywhere."""
    found = read(files.content(name))

    assert found.kind == RECIPES[name].kind
    assert not is_noticed(found)
    assert not found.is_unfinished
    if name != "mp4 fragmented":
        assert found.duration_s is None


@pytest.mark.parametrize("name", RECIPES)
def test_an_ordinary_file_takes_few_reads(name, files):
    """Each read may fetch a part of 1 MiB from another computer."""
    content: bytes = files.content(name)
    calls = []

    def fetch(start: int, end: int) -> bytes:
        calls.append(end - start)
        return content[start:end]

    read_container(fetch, len(content))

    assert len(calls) <= 12
    assert sum(calls) <= 2 * len(content) + 64 * 1024


@pytest.mark.parametrize("name", PROMISING)
def test_a_file_without_its_end_is_noticed(name, files, tmp_path):
    """The bundled ffmpeg reads what is left, and calls that success."""
    content = files.content(name)
    whole = packets(content, tmp_path / "cut")

    for size in sizes_of_cuts(content):
        found = read(content[:size])
        if is_noticed(found):
            continue
        if found.duration_s is not None:
            left = decoded_seconds(content[:size], tmp_path / "cut")
            if left < found.duration_s - 0.005:
                continue
        assert packets(content[:size], tmp_path / "cut") == whole, f"{size} of {len(content)}"


@pytest.mark.parametrize("name", EXACT)
def test_the_last_byte_of_the_sound_is_the_one_that_counts(name, files, tmp_path):
    """What comes behind it, pictures or an index, may be missing: the sound is whole."""
    content = files.content(name)
    low, high = 1, len(content)
    while low < high:
        middle = (low + high) // 2
        low, high = (middle + 1, high) if is_noticed(read(content[:middle])) else (low, middle)

    whole = packets(content, tmp_path / "cut")
    assert packets(content[:low], tmp_path / "cut") == whole
    assert packets(content[: low - 1], tmp_path / "cut") != whole


@pytest.mark.parametrize("name", RECORDED)
def test_a_recording_whose_recorder_stopped_is_unfinished(name, files):
    """What was recorded is whole up to there, and can be converted."""
    content = files.content(name)
    ends_within = 0

    for part in range(50, 100):
        found = read(content[: len(content) * part // 100 + part % 3])
        assert not is_noticed(found)
        ends_within += found.is_unfinished

    assert ends_within > 40


def test_a_broadcast_promises_nothing_and_may_end_within_a_packet(files):
    """A recorder of a live ASF sets this flag and comes back for nothing."""
    content = files.content("wmv")
    flags = content.index(bytes.fromhex("A1DCAB8C47A9CF118EE400C00C205365")) + 88
    live = patched(content, flags, "<I", 1)
    packet_bytes = struct.unpack_from("<I", content, flags + 4)[0]
    header_bytes = struct.unpack_from("<Q", content, 16)[0] + 50

    whole, cut = read(live[: header_bytes + 3 * packet_bytes]), read(live[: header_bytes + 3 * packet_bytes + 100])

    assert (whole.duration_s, whole.missing_bytes, whole.is_unfinished) == (None, False, False)
    assert (cut.duration_s, cut.missing_bytes, cut.is_unfinished) == (None, False, True)


def test_fragments_that_are_whole_tell_the_length(files, tmp_path):
    """The last fragment is lost with a recorder, and the sound ends where the one before ends."""
    content = files.content("mp4 fragmented")
    found = read(content[: len(content) * 3 // 4])

    assert found.is_unfinished
    assert found.duration_s is not None
    assert 1.5 < found.duration_s < 2.8
    assert found.soundtracks[0].samples


def test_a_list_of_fragments_at_the_end_saves_the_way_past_them_all(files):
    """Each fragment would take a read. What is promised is the same."""
    content: bytes = files.content("mp4 fragmented")
    walked = content[: content.rindex(b"mfra") - 4]
    fetched: dict[int, int] = {}

    def fetch(start: int, end: int) -> bytes:
        fetched[start] = end
        return content[start:end]

    found = read_container(fetch, len(content))

    assert found.duration_s == read(walked).duration_s == pytest.approx(SECONDS, abs=0.05)
    assert found.soundtracks[0].duration_s == read(walked).soundtracks[0].duration_s
    assert read(walked).soundtracks[0].samples == pytest.approx(SECONDS * 48_000 / 1024, abs=2)
    assert found.soundtracks[0].samples is None
    assert len(fetched) < 8


def test_a_packaged_file_of_fragments_was_finished(tmp_path):
    """An index of all fragments is written when all of them exist, so one that is missing was cut off."""
    path = tmp_path / "dash.mp4"
    flags = "+dash+frag_keyframe+empty_moov+default_base_moof+global_sidx"
    ffmpeg(*_PICTURES, *_SOUND, "-t", "3", *_MPEG4, "-g", "5", "-c:a", "aac", "-movflags", flags, str(path))
    content = path.read_bytes()

    assert not is_noticed(read(content))
    assert read(content[: len(content) * 3 // 4]).missing_bytes


def test_a_finished_flv_was_cut_off(files):
    """Its metadata tell its size, which a recorder does not know before the end."""
    content = files.content("flv")

    assert read(content[:-60]).missing_bytes
    assert not read(content[:-60]).is_unfinished


def test_what_a_movie_header_says_about_the_length_does_not_count(files):
    """Tools that split videos leave the length of the whole there."""
    content = files.content("mp4 moov first")
    at = content.index(b"mvhd") + 4 + 16
    inflated = patched(content, at, ">I", 8 * int.from_bytes(content[at : at + 4], "big"))

    assert read(inflated) == read(content)


@pytest.mark.parametrize(("ending", "flags"), [("mkv", []), ("mp4", ["-movflags", FRAGMENTED]), ("flv", [])])
def test_a_file_that_starts_at_an_hour_is_as_long_as_what_it_holds(ending, flags, tmp_path):
    """A part of a long recording keeps the time of the whole."""
    path = tmp_path / f"late.{ending}"
    codec = ["-c:v", "flv1"] if ending == "flv" else _MPEG4
    late = ["-output_ts_offset", "3600", "-avoid_negative_ts", "disabled"]
    ffmpeg(*_PICTURES, *_SOUND, "-t", "3", *codec, "-c:a", "aac", *late, *flags, str(path))

    assert read(path.read_bytes()).duration_s == pytest.approx(SECONDS, abs=0.1)


def test_an_edit_list_tells_what_is_heard(files, tmp_path):
    """QuickTime trims a video by an edit and leaves the media as they are."""
    content = files.content("mov pcm")
    timescale = int.from_bytes(content[content.index(b"mvhd") + 16 :][:4], "big")
    trimmed = content
    at = -1
    while (at := content.find(b"elst", at + 1)) >= 0:
        trimmed = patched(trimmed, at + 12, ">I", timescale)

    found = read(trimmed)

    assert found.duration_s == found.soundtracks[0].duration_s == pytest.approx(1.0)


def test_sound_that_begins_late_is_promised_to_its_end(tmp_path):
    """It lies where it was beside the pictures, so the time before it is part of the promise."""
    path = tmp_path / "late.mp4"
    ffmpeg(*_PICTURES, "-itsoffset", "2", *_SOUND, "-t", "4", *_MPEG4, "-c:a", "aac", str(path))

    assert read(path.read_bytes()).soundtracks[0].duration_s == pytest.approx(4.0, abs=0.1)


def test_pictures_that_are_cut_leave_the_sound_whole(media):
    """The sound ends first here, and all of it is in the file."""
    content = media.video("sound ends early").read_bytes()
    index = content.index(b"moov") - 4
    head = content.index(b"mdat") - 4
    first = content[:head] + content[index:] + content[head:index]
    by = len(content) - index
    for kind in (b"stco",):
        at = -1
        while (at := first.find(kind, at + 1)) >= 0:
            count = int.from_bytes(first[at + 8 : at + 12], "big")
            moved = [each + by for each in struct.unpack_from(f">{count}I", first, at + 12)]
            first = patched(first, at + 12, f">{count}I", *moved)

    assert not is_noticed(read(first[:-500]))
    assert read(first[: by + 4000]).soundtracks[0].is_cut


@pytest.mark.parametrize("kind", ["wav", "aiff", "caf", "au", "w64"])
def test_what_was_written_to_a_pipe_promises_nothing(kind):
    """A writer that cannot seek back leaves the sizes open, and all of the file is sound."""
    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-v", "quiet", *_SOUND, "-t", "1", "-f", kind, "-"]
    piped = subprocess.run(command, stdout=subprocess.PIPE, timeout=60, check=False).stdout

    found = read(piped)

    assert found.kind == kind
    assert not is_noticed(found)
    assert found.duration_s is None
    assert len(piped) > 90_000


@pytest.mark.parametrize("size", [0, 0x7FFFF000, 0x7FFFFFDB, 0x7FFFFFFF, 0x80000000, 0xFFFFFFDB, 0xFFFFFFFF])
def test_open_sizes_in_a_wav_promise_nothing(size, files):
    """Each of them is what some recorder leaves."""
    content = files.content("wav")
    opened = patched(content, content.index(b"data") + 4, "<I", size)

    found = read(opened)

    assert not is_noticed(found)
    assert found.duration_s is None


@pytest.mark.parametrize("extra", [1, 8, 44])
def test_a_riff_size_that_is_a_little_too_large_is_no_cut(extra, files):
    """Some recorders count the header twice. The size of the data is what counts."""
    content = files.content("wav")
    size = int.from_bytes(content[4:8], "little")

    assert read(patched(content, 4, "<I", size + extra)) == read(content)


def test_sound_after_the_end_that_a_wav_admits_to_is_seen_and_can_be_repaired(files, tmp_path):
    """Sizes of 32 bits begin again at 4 GiB, so a long recording seems to be short."""
    content = files.content("wav")
    at = content.index(b"data") + 8
    short = patched(patched(content, at - 4, "<I", 96_000), 4, "<I", at - 8 + 96_000)

    found = read(short)
    head = repaired_wav_header(short[:at], len(short))

    assert found.duration_s is None
    assert found.understated == len(content) - at
    assert head is not None
    assert read(head + short[at:]).duration_s == pytest.approx(SECONDS)
    assert decoded_seconds(head + short[at:], tmp_path / "repaired") == pytest.approx(SECONDS)


@pytest.mark.parametrize("tail", [b"LIST\x08\0\0\0INFOISFT", bytes(50_000), b"ID3\x03" + bytes(20_000) + b"x"])
def test_what_is_no_sound_behind_a_wav_is_not_counted(tail, files):
    """Tags, chunks and padding follow the sound of many files."""
    assert read(files.content("wav") + tail).duration_s == pytest.approx(SECONDS)


def test_an_ogg_without_the_flag_of_its_end_is_whole(files):
    """A recorder that is stopped does not set it, and the last page is whole."""
    content = files.content("ogg opus")
    at = content.rindex(b"OggS") + 5

    assert read(patched(content, at, "B", 0)) == read(content)


def test_an_ogg_that_was_joined_late_is_as_long_as_what_it_holds(files):
    """A recording of a radio station begins at the time of the station."""
    for name in ("ogg vorbis", "ogg opus", "ogg flac"):
        late = files.content(name)
        at = -1
        while (at := late.find(b"OggS", at + 1)) >= 0:
            granule = int.from_bytes(late[at + 6 : at + 14], "little")
            if 0 < granule < 2**63:
                late = patched(late, at + 6, "<Q", granule + 3600 * 48_000)
        assert read(late).duration_s == pytest.approx(SECONDS, abs=0.1)


def test_oggs_one_behind_the_other_promise_their_sum(files):
    """A radio recording has one for each piece of music, and the last page tells the length of the last one only."""
    joined = files.content("ogg vorbis") + files.content("ogg opus")

    found = read(joined)

    assert found.duration_s == pytest.approx(2 * SECONDS, abs=0.05)
    assert [track.codec for track in found.soundtracks] == ["vorbis"]


def test_two_mp3s_in_one_file_promise_nothing(files):
    """The head counts the frames of the first one."""
    mp3 = files.content("mp3 vbr")

    assert read(mp3 * 4).duration_s is None
    assert read(mp3).duration_s is not None


def test_a_tag_before_the_sound_is_skipped(files):
    """Taggers put ID3 before everything."""
    tag = b"ID3\x03\0\0" + bytes([0, 0, 0x10, 0]) + bytes(2048)
    for name in ("mp3 vbr", "flac", "adts", "wav", "tta"):
        whole = read(files.content(name))
        assert read(tag + files.content(name)) == whole


def test_encrypted_sound_is_named(media):
    """The person should be told the reason, and not that the sound is damaged."""
    found = read(media.video("encrypted").read_bytes())

    assert [track.encryption for track in found.soundtracks] == ["enca"]
    assert [track.codec for track in found.soundtracks] == ["mp4a"]
    assert read(media.video("mp4 moov last").read_bytes()).soundtracks[0].encryption == ""


def test_soundtracks_are_listed_in_their_order(tmp_path):
    """Their number chooses the one that is converted."""
    sounds = ["-map", "0:v", "-map", "1:a", "-map", "1:a", "-c:a:0", "ac3", "-c:a:1", "aac"]
    for ending, expected in (("mp4", ["ac-3", "mp4a"]), ("mkv", ["A_AC3", "A_AAC"]), ("avi", ["0x2000", "0x00ff"])):
        path = tmp_path / f"two.{ending}"
        ffmpeg(*_PICTURES, *_SOUND, *sounds, "-t", "1", *_MPEG4, str(path))
        assert [track.codec for track in read(path.read_bytes()).soundtracks] == expected


@pytest.mark.parametrize("name", RECIPES)
def test_damaged_files_raise_nothing_unexpected(name, files):
    """What people upload may be damaged anywhere, and is read before anything else is known."""
    content = files.content(name)
    chance = random.Random(name)

    for _ in range(60):
        damaged = bytearray(content)
        for _ in range(chance.choice((1, 4, 40))):
            # Most of the structure is near the ends.
            at = chance.choice((chance.randrange(len(content)), min(chance.randrange(4096), len(content) - 1), -1))
            damaged[at] = chance.choice((0, 0xFF, chance.randrange(256)))
        end = chance.choice((len(damaged), chance.randrange(len(damaged))))
        try:
            found = read(bytes(damaged[:end]))
        except InvalidMedia:
            continue
        assert found.duration_s is None or found.duration_s >= 0
