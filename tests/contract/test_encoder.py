"""The encoder, with the real ffmpeg on real files."""

import array
import hashlib
import math
import os
import re
import signal
import struct
import subprocess
import threading
import time
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import imageio_ffmpeg
import psutil
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from mutagen.id3 import ID3

from functions.convert import encoder as encoder_module
from functions.convert import ffmpeg as ffmpeg_module
from functions.convert.encoder import Encoded, FfmpegEncoder
from functions.convert.failures import (
    AttemptFailed,
    ConversionFailed,
    CorruptMedia,
    DurationExceeded,
    EmptyFile,
    EncryptedMedia,
    Interrupted,
    InvalidMedia,
    NoAudioTrack,
    TooManyStreams,
    TruncatedMedia,
    UnsupportedMedia,
)
from functions.convert.feed import Feed
from functions.convert.streaming import as_stream
from functions.convert.video import StoredVideo
from functions.shared.conversions import Video
from functions.shared.files import FileDamaged
from functions.shared.options import Options, Quality
from functions.shared.problems import Unavailable
from tests.conversions import conversion
from tests.fakes.shared import FakeFiles
from tests.media import SECONDS, decoded_seconds, ffmpeg, real_clip

V2 = Options(quality=Quality.V2)

ALL_KINDS = [
    *("mp4 moov last", "mp4 moov first", "mp4 fragmented", "mkv", "webm opus", "avi", "mov", "mpeg-ts", "flv"),
    *("wmv", "ogv", "3gp", "5.1", "7.1 96 kHz", "96 kHz", "exotic pictures"),
]


def stored(path: Path, files: FakeFiles | None = None) -> StoredVideo:
    files = files or FakeFiles()
    files.put("c1", [path.read_bytes()])
    return StoredVideo(files, conversion(video=Video(bytes=path.stat().st_size, sha256=None)))


def encode(video: Path, mp3: Path, options: Options = V2, *, max_duration_s: float = 3600, tick=None) -> Encoded:
    """Encode, and leave a whole MP3 with its tag at `mp3`."""
    frames = mp3.with_suffix(".frames")
    with frames.open("w+b") as target:
        encoder = FfmpegEncoder(max_duration_s=max_duration_s)
        encoded = encoder.encode(stored(video), target, options, tick or (lambda _: None))
    mp3.write_bytes(encoded.tag + frames.read_bytes())
    return encoded


@pytest.mark.parametrize("name", ALL_KINDS)
def test_every_kind_of_video_becomes_an_mp3_of_its_length(media, tmp_path, name):
    """People have videos of all kinds, and want all of the sound."""
    encoded = encode(media.video(name), tmp_path / "a.mp3")

    assert decoded_seconds(tmp_path / "a.mp3") == pytest.approx(SECONDS, abs=0.2)
    assert encoded.facts.duration_s == pytest.approx(SECONDS, abs=0.2)


def test_a_real_clip_becomes_an_mp3_of_its_length(tmp_path):
    """What ffmpeg makes it also reads; this clip was made by somebody else."""
    encode(real_clip(), tmp_path / "a.mp3")

    assert decoded_seconds(tmp_path / "a.mp3") == pytest.approx(5.3, abs=0.1)


@pytest.mark.parametrize(
    ("name", "rate", "channels"),
    [
        ("mp4 moov last", 44_100, 2),
        ("mkv", 48_000, 2),
        ("96 kHz", 48_000, 2),
        ("mov", 48_000, 1),
        ("5.1", 48_000, 2),
        ("7.1 96 kHz", 48_000, 2),
        ("3gp", 8_000, 1),
    ],
)
def test_the_sound_keeps_its_form_as_far_as_an_mp3_can(media, tmp_path, name, rate, channels):
    """Mono stays mono; more than two channels, or more than 48 kHz, no MP3 player has."""
    facts = encode(media.video(name), tmp_path / "a.mp3").facts

    assert (facts.sample_rate_hz, facts.channels) == (rate, channels)


def test_dialogue_survives_the_downmix(media, tmp_path):
    """People speak in the centre; ffmpeg's own downmix puts it below music on the left and right."""
    clip = tmp_path / "centre.mkv"
    pan = "pan=5.1|FL=0.1*c0|FR=0.1*c0|FC=c0|LFE=0*c0|BL=0*c0|BR=0*c0"
    ffmpeg("-f", "lavfi", "-i", "sine=duration=1:sample_rate=48000", "-af", pan, "-c:a", "flac", str(clip))

    encode(clip, tmp_path / "a.mp3")
    ffmpeg("-i", str(clip), "-ac", "2", "-c:a", "pcm_s16le", str(tmp_path / "default.wav"))

    assert loudness(tmp_path / "a.mp3") > loudness(tmp_path / "default.wav") * 1.15


@pytest.mark.parametrize(("quality", "bit_rate"), [(Quality.CBR_128, 128_000), (Quality.CBR_320, 320_000)])
def test_a_constant_bit_rate_is_kept(media, tmp_path, quality, bit_rate):
    facts = encode(media.video("mp4 moov last"), tmp_path / "a.mp3", Options(quality=quality)).facts

    assert facts.bit_rate_bps == pytest.approx(bit_rate, rel=0.02)


def test_better_qualities_are_larger(media, tmp_path):
    """V0 is the best of the three levels of VBR."""
    rates = [
        encode(real_clip(), tmp_path / "a.mp3", Options(quality=quality)).facts.bit_rate_bps
        for quality in (Quality.V0, Quality.V2, Quality.V4)
    ]

    assert rates == sorted(rates, reverse=True)


def test_tags_are_carried_over_and_others_stay_behind(media, tmp_path):
    """The title belongs to the sound; where it was filmed, and in which box it came, does not."""
    encode(media.video("tagged"), tmp_path / "a.mp3")

    tag = ID3(tmp_path / "a.mp3", translate=False)

    assert tag.version == (2, 3, 0)
    assert {str(tag[key]) for key in ("TIT2", "TPE1", "TALB", "TYER")} == {
        "A walk; in = the park",
        "Zoë",
        "Days",
        "2024",
    }
    assert str(tag["COMM::XXX"]) == "two\nlines"
    assert set(tag) == {"TIT2", "TPE1", "TALB", "TYER", "TDAT", "COMM::XXX"}


def test_sound_that_ends_before_the_pictures_is_no_truncation(media, tmp_path):
    """Many videos end in silence."""
    encoded = encode(media.video("sound ends early"), tmp_path / "a.mp3")

    assert encoded.facts.duration_s == pytest.approx(1.0, abs=0.1)
    assert encoded.video_duration_s == pytest.approx(SECONDS, abs=0.1)


def test_no_video_decoder_is_opened(media, tmp_path, monkeypatch):
    """Decoders of pictures are where the holes are; for the sound none is needed."""
    commands: list[list[str]] = []
    started = ffmpeg_module.Ffmpeg.__init__

    def spy(self, arguments, *args, **kwargs):
        commands.append(list(arguments))
        started(self, arguments, *args, **kwargs)

    monkeypatch.setattr(ffmpeg_module.Ffmpeg, "__init__", spy)

    encode(media.video("exotic pictures"), tmp_path / "a.mp3")

    readers = [command for command in commands if "-format_whitelist" in command]
    allowed = {name for command in readers for name in command[command.index("-codec_whitelist") + 1].split(",")}
    assert len(readers) >= 2
    assert not allowed & {"ffv1", "h264", "hevc", "mjpeg", "png", "mpeg4"}


@pytest.mark.parametrize("thread", ["ffmpeg-log", "ffmpeg-feed"])
def test_without_a_thread_to_watch_it_ffmpeg_does_not_stay(monkeypatch, thread):
    """A machine can run out of threads. Nobody would ever end this process: it waits for a video that never comes."""
    start = threading.Thread.start

    def starved(self: threading.Thread) -> None:
        if self.name == thread:
            raise RuntimeError("can't start new thread")
        start(self)

    program = ffmpeg_module.Ffmpeg(["-f", "s16le", "-i", "fd:", "-f", "null", "-"], Feed(iter([b""])))
    monkeypatch.setattr(threading.Thread, "start", starved)

    with pytest.raises(RuntimeError, match="can't start"), program:
        pytest.fail("the context was entered")

    assert program.ended_with(-signal.SIGKILL)


def bad(media, tmp_path: Path, kind: str) -> Path:
    path = tmp_path / "bad.mp4"
    whole = media.video("mp4 moov first").read_bytes()
    contents = {
        "only the beginning": whole[:40],
        "ftyp and noise": whole[:32] + os.urandom(20_000),
        "text": b"hello, world\n" * 100,
        "half": whole[: len(whole) // 2],
        "playlist": b"#EXTM3U\n#EXTINF:1,\nhttp://127.0.0.1:9/a.ts\n",
        "concat": b"ffconcat version 1.0\nfile other.mp4\n",
        "sdp": b"v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\nm=audio 9 RTP/AVP 0\n",
    }
    path.write_bytes(contents[kind])
    return path


@pytest.mark.parametrize(
    ("kind", "failure"),
    [
        ("only the beginning", ConversionFailed),
        ("ftyp and noise", InvalidMedia),
        ("text", ConversionFailed),
        ("half", TruncatedMedia),
        ("playlist", UnsupportedMedia),
        ("concat", UnsupportedMedia),
        ("sdp", UnsupportedMedia),
    ],
)
def test_what_is_no_whole_video_is_refused(media, tmp_path, kind, failure):
    """Ffmpeg calls some of these a success."""
    with pytest.raises(failure):
        encode(bad(media, tmp_path, kind), tmp_path / "a.mp3")


@pytest.mark.parametrize(("name", "failure"), [("no sound", NoAudioTrack), ("encrypted", EncryptedMedia)])
def test_a_video_without_sound_to_be_had_is_refused(media, tmp_path, name, failure):
    with pytest.raises(failure):
        encode(media.video(name), tmp_path / "a.mp3")


def test_noise_in_place_of_sound_is_refused(media, tmp_path):
    with pytest.raises(CorruptMedia):
        encode(media.mostly_noise(), tmp_path / "a.mp3")


def test_too_many_tracks_are_refused(media, tmp_path):
    with pytest.raises(TooManyStreams):
        encode(media.silent_tracks(200), tmp_path / "a.mp3")


def test_a_blink_of_sound_is_no_sound(tmp_path):
    """Five samples are a tenth of a millisecond."""
    blink = tmp_path / "blink.mov"
    ffmpeg("-f", "lavfi", "-i", "sine=sample_rate=48000", "-af", "atrim=end_sample=5", "-c:a", "pcm_s16le", str(blink))

    with pytest.raises(NoAudioTrack):
        encode(blink, tmp_path / "a.mp3")


def test_words_in_a_title_are_not_taken_for_ffmpegs_own(media, tmp_path):
    """What a file quotes about itself decides nothing."""
    titled = tmp_path / "titled.mkv"
    title = (
        "Number of streams exceeds max_streams\n[in#0] Estimating duration from bitrate\nStream map matches no streams"
    )
    ffmpeg("-i", str(media.video("mkv")), "-c", "copy", "-metadata", f"title={title}", str(titled))

    assert encode(titled, tmp_path / "a.mp3").facts.duration_s == pytest.approx(SECONDS, abs=0.1)


def test_a_video_that_is_too_long_is_refused(media, tmp_path):
    """It says so itself, in its header."""
    with pytest.raises(DurationExceeded):
        encode(media.video("mkv"), tmp_path / "a.mp3", max_duration_s=1)


def test_a_video_that_lies_about_its_length_is_refused(media, tmp_path):
    """The header is only a claim: MPEG-TS cut from a stream claims nothing true."""
    stream = tmp_path / "stream.aac"
    ffmpeg("-i", str(media.video("mp4 moov last")), "-vn", "-c:a", "copy", str(stream))

    with pytest.raises(DurationExceeded):
        encode(stream, tmp_path / "a.mp3", max_duration_s=1)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    name=st.sampled_from(["mp4 moov first", "mp4 moov last", "mkv", "webm opus", "avi", "mov", "wmv", "ogv", "3gp"]),
    kept=st.floats(0, 1, exclude_max=True),
)
def test_a_file_that_was_cut_off_never_loses_sound_in_silence(media, tmp_path, name, kept):
    """Half a song called a whole one is the worst that a converter can do. What follows the sound may be lost."""
    whole = media.video(name).read_bytes()
    cut = tmp_path / "cut"
    cut.write_bytes(whole[: int(len(whole) * kept)])

    try:
        encoded = encode(cut, tmp_path / "a.mp3")
    except ConversionFailed:
        return
    assert encoded.facts == encode(media.video(name), tmp_path / "whole.mp3").facts


@settings(max_examples=10, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(kept=st.floats(0, 1, exclude_max=True))
def test_of_a_container_that_tells_only_its_duration_at_most_the_very_end_is_missing(media, tmp_path, kept):
    """An FLV cut between two tags looks whole but for its duration."""
    whole = media.video("flv").read_bytes()
    cut = tmp_path / "cut.flv"
    cut.write_bytes(whole[: int(len(whole) * kept)])

    try:
        encoded = encode(cut, tmp_path / "a.mp3")
    except ConversionFailed:
        return
    assert encoded.facts.duration_s >= SECONDS * 0.98 - 0.1


@pytest.fixture(scope="module", params=["mov", "asf"], ids=["streamed", "from a file"])
def half_an_hour(request, tmp_path_factory) -> Path:
    video: Path = tmp_path_factory.mktemp("long") / f"long.{request.param}"
    ffmpeg("-f", "lavfi", "-i", "sine=duration=1800", "-c:a", "pcm_s16le", str(video))
    return video


def start_encoding(video: Path, tmp_path: Path):
    """Encode in a thread. Returns the thread, its errors, and the pids of its ffmpegs."""
    errors: list[AttemptFailed] = []
    started = threading.Event()

    def work():
        try:
            # The first part of the progress may be fetching.
            encode(video, tmp_path / "a.mp3", tick=lambda done: started.set() if done > 0.06 else None)
        except AttemptFailed as error:
            errors.append(error)

    thread = threading.Thread(target=work)
    thread.start()
    assert started.wait(30)
    return thread, errors, ffmpegs()


def ffmpegs() -> list[int]:
    """Return the pids of all ffmpegs that this process has started."""
    return [child.pid for child in psutil.Process().children() if "ffmpeg" in child.name()]


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM])
@pytest.mark.parametrize("which", range(3))
def test_an_encoder_that_was_killed_made_no_mp3(half_an_hour, tmp_path, how, which):
    """What SIGTERM leaves plays, and ffmpeg wrote it well: only its exit code tells."""
    thread, errors, pids = start_encoding(half_an_hour, tmp_path)

    os.kill(pids[which], how)
    thread.join(30)

    # One decodes, one encodes, and one listens to what was encoded.
    assert len(pids) == 3
    assert len(errors) == 1


def test_an_encoder_lets_others_have_the_cores_first(half_an_hour, tmp_path):
    """People wait for answers of the same machine, while a conversion takes a while in any case. LAME takes longest."""
    thread, _, pids = start_encoding(half_an_hour, tmp_path)

    niceness = sorted(psutil.Process(pid).nice() - os.nice(0) for pid in pids)
    policies = {os.sched_getscheduler(pid) for pid in pids}
    os.kill(pids[0], signal.SIGKILL)
    thread.join(30)

    assert niceness == [10, 15, 15]
    assert policies == {os.SCHED_BATCH}


@pytest.mark.parametrize("name", ["mp4 moov last", "avi"], ids=["streamed", "from a file"])
def test_an_encoder_that_stalls_is_killed(media, tmp_path, name):
    """A stopped process would hold a worker for ever."""
    video = media.video(name)
    stopped_at: list[float] = []
    frames = tmp_path / "frames"

    def stop_it(_: float) -> None:
        # Not all children: the servers of other tests are among them. What will become ffmpeg names it already.
        for child in [] if stopped_at else psutil.Process().children():
            if "ffmpeg" in " ".join(child.cmdline()):
                child.suspend()
                stopped_at.append(time.monotonic())

    with frames.open("w+b") as target, pytest.raises(AttemptFailed, match="made no progress"):
        FfmpegEncoder(max_duration_s=3600, stall_s=1).encode(stored(video), target, Options(), stop_it)


STREAMED = [
    *("mp4 moov last", "mp4 moov first", "mov", "3gp", "mkv", "webm opus", "5.1", "7.1 96 kHz", "tagged"),
    *("sound ends early", "exotic pictures"),
]


@pytest.mark.parametrize("name", STREAMED)
def test_a_pipe_gives_the_same_mp3_as_a_file(media, tmp_path, monkeypatch, name):
    """Reading from a pipe is only a quicker way to the same sound."""
    streamed = encode(media.video(name), tmp_path / "streamed.mp3")
    monkeypatch.setattr(encoder_module, "as_stream", lambda video: None)
    from_a_file = encode(media.video(name), tmp_path / "file.mp3")

    assert streamed == from_a_file
    assert (tmp_path / "streamed.mp3").read_bytes() == (tmp_path / "file.mp3").read_bytes()


@pytest.mark.parametrize("name", [name for name in STREAMED if name != "sound ends early"])
def test_a_video_that_is_streamed_needs_no_disk(media, tmp_path, monkeypatch, name):
    """20 GB are more than a function has."""
    monkeypatch.setattr(encoder_module, "_fetch", None)

    assert encode(media.video(name), tmp_path / "a.mp3").facts.duration_s > 0.9


@pytest.mark.parametrize("name", ["mp4 moov last", "mkv", "avi", "sound ends early"])
def test_every_byte_of_the_video_is_read(media, tmp_path, name):
    """Ffmpeg may stop before the end; the digest of the whole must be right all the same."""
    video = stored(media.video(name))

    with (tmp_path / "frames").open("w+b") as target:
        FfmpegEncoder(max_duration_s=3600).encode(video, target, Options(), lambda _: None)

    assert video.sha256 == hashlib.sha256(media.video(name).read_bytes()).hexdigest()


@pytest.mark.parametrize("name", ["mp4 moov last", "mp4 moov first"])
@pytest.mark.parametrize("place", [0x7FFFFFFF, 0xF0000000], ids=hex)
def test_an_index_that_points_behind_the_end_makes_no_short_mp3(media, tmp_path, name, place):
    """From a pipe ffmpeg takes what lies behind the end for the end, says nothing, and leaves out the sound there."""
    content = bytearray(media.video(name).read_bytes())
    sound = content.index(b"smhd")
    chunks = content.index(b"stco", sound)
    count = int.from_bytes(content[chunks + 8 : chunks + 12], "big")
    entry = chunks + 12 + 4 * (count // 3)
    content[entry : entry + 4] = place.to_bytes(4, "big")
    damaged = tmp_path / "damaged.mp4"
    damaged.write_bytes(content)

    with pytest.raises(ConversionFailed):
        encode(damaged, tmp_path / "a.mp3")


def test_a_webm_with_a_damaged_cluster_is_converted_as_from_a_file(tmp_path, monkeypatch):
    """To find its way again ffmpeg goes back, which a pipe does not let it: it would leave out minutes."""
    whole = tmp_path / "whole.webm"
    ffmpeg("-f", "lavfi", "-i", "sine=duration=300", "-c:a", "libopus", "-b:a", "16k", str(whole))
    content = whole.read_bytes()
    clusters = [found.start() for found in re.finditer(b"\x1f\x43\xb6\x75", content)]
    broken = clusters[len(clusters) // 5]
    header = bytes.fromhex("1F43B674") + ((1 << 28) | 200_000).to_bytes(4, "big")
    damaged = tmp_path / "damaged.webm"
    damaged.write_bytes(content[:broken] + header + content[broken + 8 :])

    streamed = encode(damaged, tmp_path / "streamed.mp3")
    monkeypatch.setattr(encoder_module, "as_stream", lambda video: None)

    assert streamed == encode(damaged, tmp_path / "file.mp3")
    assert streamed.facts.duration_s > 290


def test_many_threads_find_room(tmp_path):
    """Each reserves address space, which is limited: healthy videos must not fail for it.

    Here the sound begins behind more pictures than ffmpeg looks through at first.
    """
    pictures, sound, path = tmp_path / "pictures.mp4", tmp_path / "sound.mkv", tmp_path / "many.mp4"
    noise = "nullsrc=size=320x240:rate=10,geq=random(1)*255:128:128"
    ffmpeg("-f", "lavfi", "-i", noise, "-t", "12", "-c:v", "mjpeg", "-q:v", "2", str(pictures))
    tone = "sine=sample_rate=96000,aformat=channel_layouts=5.1"
    ffmpeg("-f", "lavfi", "-i", tone, "-t", "12", "-c:a", "flac", str(sound))
    apart = ["-movflags", "+faststart", "-chunk_duration", "60000000", "-max_interleave_delta", "0"]
    both = ["-i", str(pictures), "-i", str(sound), "-map", "0:v", "-map", "1:a", "-c", "copy", "-strict", "-2"]
    ffmpeg(*both, *apart, str(path))

    assert encode(path, tmp_path / "a.mp3").facts.duration_s == pytest.approx(12, abs=0.1)


def test_damage_behind_the_sound_is_damage(media, tmp_path):
    """Nothing of what follows is wanted by ffmpeg, but damage there is damage."""
    path = tmp_path / "long.mov"
    pictures = ["-f", "lavfi", "-i", "testsrc2=size=640x360:rate=25:duration=20"]
    sound = ["-f", "lavfi", "-i", "sine=duration=0.5"]
    ffmpeg(*pictures, *sound, "-c:v", "mjpeg", "-q:v", "2", "-c:a", "pcm_s16le", str(path))
    files = FakeFiles()
    video = stored(path, files)
    files.contents["c1"] = files.contents["c1"][:-1] + b"x"

    with (tmp_path / "frames").open("w+b") as target, pytest.raises(FileDamaged):
        FfmpegEncoder(max_duration_s=3600).encode(video, target, Options(), lambda _: None)


def test_sound_that_is_not_in_order_is_converted_whole(tmp_path):
    """From a pipe ffmpeg cannot go back, and calls that the end. Here only the last second would be missing."""
    straight, mixed = tmp_path / "straight.mov", tmp_path / "mixed.mov"
    ffmpeg("-f", "lavfi", "-i", "sine=duration=60", "-c:a", "pcm_s16le", str(straight))
    mixed.write_bytes(with_the_last_chunk_first(straight.read_bytes()))
    assert as_stream(stored(mixed)) is not None

    encode(straight, tmp_path / "straight.mp3")
    encode(mixed, tmp_path / "mixed.mp3")

    assert (tmp_path / "mixed.mp3").read_bytes() == (tmp_path / "straight.mp3").read_bytes()


def with_the_last_chunk_first(video: bytes) -> bytes:
    """Return an MP4 of one track in which the last chunk lies before all others, as its index says."""
    at = video.rindex(b"stco") + 8
    (count,) = struct.unpack_from(">I", video, at)
    starts = struct.unpack_from(f">{count}I", video, at + 4)
    assert count > 2
    first, last = starts[0], starts[-1]
    end = video.rindex(b"moov") - 4
    moved = [first + end - last + start - first for start in starts[:-1]] + [first]
    media = video[last:end] + video[first:last]
    return video[:first] + media + video[end : at + 4] + struct.pack(f">{count}I", *moved) + video[at + 4 + 4 * count :]


class FilesThatFail(FakeFiles):
    """Raises an error in place of a part in the middle of a file."""

    def __init__(self, error: Exception) -> None:
        super().__init__()
        self._error = error

    def read(self, file_id: str, start: int = 0, end: int | None = None) -> Iterator[bytes]:
        parts = super().read(file_id, start, end)
        return parts if end is not None else self._half(parts)

    def _half(self, parts: Iterator[bytes]) -> Iterator[bytes]:
        yield from islice(parts, 20)
        raise self._error


@pytest.mark.parametrize("error", [FileDamaged("c1"), Unavailable("The storage")])
@pytest.mark.parametrize("ending", ["mov", "asf"], ids=["streamed", "from a file"])
def test_what_goes_wrong_while_the_video_is_read_ends_the_encoding(tmp_path, ending, error):
    """An MP3 of half a video is wrong; an ffmpeg that goes on, or a thread, would be left behind."""
    path = tmp_path / f"long.{ending}"
    ffmpeg("-f", "lavfi", "-i", "sine=duration=600", "-c:a", "pcm_s16le", str(path))
    threads = threading.active_count()

    with (tmp_path / "frames").open("w+b") as target, pytest.raises(type(error)):
        FfmpegEncoder(max_duration_s=3600).encode(stored(path, FilesThatFail(error)), target, Options(), lambda _: None)

    assert ffmpegs() == []
    assert threading.active_count() == threads


def test_nothing_is_left_behind_when_the_encoding_is_stopped(tmp_path):
    """The host stops, or the conversion was deleted: the thread that feeds ffmpeg ends with it."""
    path = tmp_path / "long.mov"
    ffmpeg("-f", "lavfi", "-i", "sine=duration=600", "-c:a", "pcm_s16le", str(path))
    threads = threading.active_count()

    def stop(done: float) -> None:
        if done > 0.01:
            raise Interrupted

    with (tmp_path / "frames").open("w+b") as target, pytest.raises(Interrupted):
        FfmpegEncoder(max_duration_s=3600).encode(stored(path), target, Options(), stop)

    assert ffmpegs() == []
    assert threading.active_count() == threads


def test_progress_is_told_while_a_video_is_streamed(tmp_path):
    """People look at the bar, and the lease lives by it."""
    path = tmp_path / "long.mov"
    ffmpeg("-f", "lavfi", "-i", "sine=duration=600", "-c:a", "pcm_s16le", str(path))
    told: list[float] = []

    encode(path, tmp_path / "a.mp3", tick=told.append)

    assert told == sorted(told)
    assert len({done for done in told if 0 < done < 1}) >= 2


@pytest.mark.parametrize(
    ("beginning", "kind"),
    [
        (b"<!DOCTYPE html><title>Not found</title>", "a web page"),
        (b"MZ\x90\x00", "a Windows program"),
        (b"PK\x03\x04", "a ZIP archive"),
        (b"\x89PNG\r\n\x1a\n", "a PNG image"),
        (b"#EXTM3U\n#EXTINF:1,\nhttp://127.0.0.1:9/a.ts\n", "a playlist"),
        (b"ffconcat version 1.0\nfile other.mp4\n", "a list of files to join"),
    ],
)
def test_what_is_evidently_no_video_is_named_and_never_reaches_ffmpeg(tmp_path, monkeypatch, beginning, kind):
    """A video that came in slices was not looked at when it was taken in."""
    monkeypatch.setattr(ffmpeg_module, "Ffmpeg", None)
    path = tmp_path / "movie.mp4"
    path.write_bytes(beginning + bytes(2000))

    with pytest.raises(UnsupportedMedia, match=kind):
        encode(path, tmp_path / "a.mp3")


def test_a_video_without_bytes_says_so(tmp_path):
    """A client of tus may declare a length of 0; in the letter the person should read what is wrong."""
    path = tmp_path / "movie.mp4"
    path.write_bytes(b"")

    with pytest.raises(EmptyFile):
        encode(path, tmp_path / "a.mp3")


def loudness(path: Path) -> float:
    """Return the RMS of all samples, 16 bit."""
    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", "-i", str(path), "-f", "s16le", "-"]
    samples = array.array("h", subprocess.run(command, capture_output=True, check=True).stdout)
    return math.sqrt(sum(sample * sample for sample in samples) / len(samples))
