"""Where ffmpeg is."""

import contextlib
import functools
import os
from pathlib import Path

import imageio_ffmpeg


@functools.cache
def find_ffmpeg() -> str:
    """Return the path of the bundled ffmpeg. Raises RuntimeError if it cannot be run."""
    # Lambda keeps the modes of the files in a zip. Some others who unpack it, ministack among them, do not.
    for path in (Path(imageio_ffmpeg.__file__).parent / "binaries").glob("ffmpeg-*"):
        if not os.access(path, os.X_OK):
            with contextlib.suppress(OSError):
                path.chmod(0o755)
    return imageio_ffmpeg.get_ffmpeg_exe()  # type: ignore[no-any-return]
