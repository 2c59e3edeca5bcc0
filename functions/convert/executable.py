"""Where ffmpeg is."""

import contextlib
import functools
import os
from pathlib import Path

import imageio_ffmpeg


@functools.cache
def find_ffmpeg() -> str:
    """Return the path of the bundled ffmpeg, and of no other. Raises RuntimeError if there is none.

    imageio_ffmpeg.get_ffmpeg_exe would run it first. If that run is killed, or finds no memory, it takes whatever
    ffmpeg is on the PATH, or remembers for as long as this process lives that there is none.
    """
    path = next((Path(imageio_ffmpeg.__file__).parent / "binaries").glob("ffmpeg-*"), None)
    if path is None:
        raise RuntimeError("imageio-ffmpeg has no ffmpeg in it. Install its wheel for this platform.")
    # Lambda keeps the modes of the files in a zip. Some others who unpack it, ministack among them, do not.
    if not os.access(path, os.X_OK):
        with contextlib.suppress(OSError):
            path.chmod(0o755)
    return str(path)
