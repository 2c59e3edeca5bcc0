"""One attempt at a conversion, with the real ffmpeg and without the service around it."""

from pathlib import Path

from functions.convert.encoder import Encoded, FfmpegEncoder
from functions.convert.video import StoredVideo
from functions.shared.conversions import Video
from functions.shared.options import Options
from tests.conversions import conversion
from tests.fakes.shared import FakeFiles

_MOST_S = 8 * 3600


def attempt(source: Path, mp3: Path, options: Options | None = None) -> Encoded:
    """Write the MP3 of a file, with its tag. Raises what FfmpegEncoder raises."""
    files = FakeFiles()
    files.put("c1", [source.read_bytes()])
    video = StoredVideo(files, conversion(video=Video(bytes=source.stat().st_size, sha256=None)))
    with mp3.with_suffix(".frames").open("w+b") as frames:
        encoded = FfmpegEncoder(max_duration_s=_MOST_S).encode(video, frames, options or Options(), lambda _: None)
        frames.seek(0)
        mp3.write_bytes(encoded.tag + frames.read())
    return encoded
