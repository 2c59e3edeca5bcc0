"""The Content-Disposition of an MP3, which gives it the video's name."""

import re
import unicodedata
from urllib.parse import quote

MAX_NAME_BYTES = 255
_EXTENSION = re.compile(r"(?<=.)\.[A-Za-z0-9]{1,5}$")
# Quotes and backslashes end a quoted string, and some browsers decode percent signs in one.
_NOT_PLAIN = re.compile(r'[^ -~]|["\\%]')


def mp3_filename(video_filename: str) -> str:
    """Return the name for the MP3 of a video: `Holiday.mp4` becomes `Holiday.mp3`. At most MAX_NAME_BYTES of UTF-8."""
    stem = _EXTENSION.sub("", video_filename)
    return stem.encode()[: MAX_NAME_BYTES - len(".mp3")].decode(errors="ignore") + ".mp3"


def attachment(filename: str) -> str:
    """Return a Content-Disposition that saves and never shows (RFC 6266).

    Clients that know `filename*` get the exact name; the others one in ASCII, where accents are dropped and what has
    no likeness becomes `_`.
    """
    without_accents = "".join(
        character for character in unicodedata.normalize("NFKD", filename) if not unicodedata.combining(character)
    )
    plain = _NOT_PLAIN.sub("_", without_accents)
    return f"attachment; filename=\"{plain}\"; filename*=UTF-8''{quote(filename, safe='')}"
