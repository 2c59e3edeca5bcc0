"""The encoder, with the real ffmpeg on real files."""

import array
import math
import os
import signal
import subprocess
import threading
import time
from pathlib import Path

import imageio_ffmpeg
import psutil
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from mutagen.id3 import ID3

from functions.convert import encoder as encoder_module
from functions.convert.encoder import Encoded, FfmpegEncoder
from functions.convert.failures import (
    AttemptFailed,
    ConversionFailed,
    CorruptMedia,
    DurationExceeded,
    EncryptedMedia,
    InvalidMedia,
    NoAudioTrack,
    TooManyStreams,
    TruncatedMedia,
    UnsupportedMedia,
)
from functions.convert.ffmpeg import run_ffmpeg
from functions.shared.conversions import Quality
from tests.media import SECONDS, decoded_seconds, ffmpeg, real_clip

ALL_KINDS = [
    *("mp4 moov last", "mp4 moov first", "mp4 fragmented", "mkv", "webm opus", "avi", "mov", "mpeg-ts", "flv"),
    *("wmv", "ogv", "3gp", "5.1", "7.1 96 kHz", "96 kHz", "exotic pictures"),
]


def encode(
    video: Path, mp3: Path, quality: Quality = Quality.V2, *, max_duration_s: float = 3600, tick=None
) -> Encoded:
    """Encode, and leave a whole MP3 with its tag at `mp3`."""
    frames = mp3.with_suffix(".frames")
    with video.open("rb") as source, frames.open("w+b") as target:
        encoder = FfmpegEncoder(max_duration_s=max_duration_s)
        encoded = encoder.encode(source, target, quality, tick or (lambda _: None))
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
    facts = encode(media.video("mp4 moov last"), tmp_path / "a.mp3", quality).facts

    assert facts.bit_rate_bps == pytest.approx(bit_rate, rel=0.02)


def test_better_qualities_are_larger(media, tmp_path):
    """V0 is the best of the three levels of VBR."""
    rates = [
        encode(real_clip(), tmp_path / "a.mp3", quality).facts.bit_rate_bps
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
    logs = []

    def spy(*args, **kwargs):
        finished = run_ffmpeg(*args, **kwargs)
        logs.append(finished.log)
        return finished

    monkeypatch.setattr(encoder_module, "run_ffmpeg", spy)

    encode(media.video("exotic pictures"), tmp_path / "a.mp3")

    assert all("Codec (ffv1) not on whitelist" in log for log in logs)


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
        ("playlist", ConversionFailed),
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
def test_a_file_that_was_cut_off_never_completes(media, tmp_path, name, kept):
    """Half a song called a whole one is the worst that a converter can do."""
    whole = media.video(name).read_bytes()
    cut = tmp_path / "cut"
    cut.write_bytes(whole[: int(len(whole) * kept)])

    with pytest.raises(ConversionFailed):
        encode(cut, tmp_path / "a.mp3")


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


def start_long_encoding(media, tmp_path: Path):
    """Encode half an hour in a thread. Returns the thread, its errors, and the pid of ffmpeg."""
    video = tmp_path / "long.mkv"
    ffmpeg("-f", "lavfi", "-i", "sine=duration=1800", "-c:a", "pcm_s16le", str(video))
    errors: list[AttemptFailed] = []
    started = threading.Event()

    def work():
        try:
            encode(video, tmp_path / "a.mp3", tick=lambda done: started.set() if done > 0.01 else None)
        except AttemptFailed as error:
            errors.append(error)

    thread = threading.Thread(target=work)
    thread.start()
    assert started.wait(30)
    pids = [child.pid for child in psutil.Process().children() if "ffmpeg" in child.name()]
    return thread, errors, pids


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM])
def test_an_encoder_that_was_killed_made_no_mp3(media, tmp_path, how):
    """What SIGTERM leaves plays, and ffmpeg wrote it well: only its exit code tells."""
    thread, errors, pids = start_long_encoding(media, tmp_path)

    for pid in pids:
        os.kill(pid, how)
    thread.join(30)

    assert len(pids) == 1
    assert len(errors) == 1


def test_an_encoder_that_stalls_is_killed(media, tmp_path):
    """A stopped process would hold a worker for ever."""
    video = media.video("mp4 moov last")
    stopped_at: list[float] = []
    frames = tmp_path / "frames"

    def stop_it(_: float) -> None:
        if not stopped_at:
            for child in psutil.Process().children():
                child.suspend()
            stopped_at.append(time.monotonic())

    with video.open("rb") as source, frames.open("w+b") as target, pytest.raises(AttemptFailed, match="did not get on"):
        FfmpegEncoder(max_duration_s=3600, stall_s=1).encode(source, target, Quality.V2, stop_it)


def loudness(path: Path) -> float:
    """Return the RMS of all samples, 16 bit."""
    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", "-i", str(path), "-f", "s16le", "-"]
    samples = array.array("h", subprocess.run(command, capture_output=True, check=True).stdout)
    return math.sqrt(sum(sample * sample for sample in samples) / len(samples))
