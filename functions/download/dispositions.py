"""What files are called when they are saved. An MP3 is named after its video, by itself or in a ZIP."""

import re
import unicodedata
from collections.abc import Iterable
from urllib.parse import quote

MAX_NAME_BYTES = 255
_EXTENSION = re.compile(r"(?<=.)\.[A-Za-z0-9]{1,5}$")
# Quotes and backslashes end a quoted string, and some browsers decode percent signs in one.
_NOT_PLAIN = re.compile(r'[^ -~]|["\\%]')
# What Windows does not allow in names, and the names that it reserves for devices.
_NOT_IN_NAMES = re.compile(r'[\x00-\x1f\x7f<>:"/\\|?*]')
_DEVICE = re.compile(r"(con|prn|aux|nul|com[0-9]|lpt[0-9])\.", re.IGNORECASE)


def mp3_filename(video_filename: str) -> str:
    """Return the name for the MP3 of a video: `Holiday.mp4` becomes `Holiday.mp3`. At most MAX_NAME_BYTES of UTF-8."""
    return _ending_with(".mp3", _EXTENSION.sub("", video_filename))


def names_in_zip(filenames: Iterable[str]) -> list[str]:
    """Return names for files in one ZIP: `Talk.mp3`, then `Talk (2).mp3` for the next with that name, and so on.

    They can be unpacked side by side on every system, even where `TALK.mp3` would overwrite `Talk.mp3`.
    """
    names: list[str] = []
    taken: set[str] = set()
    for filename in filenames:
        plain = _NOT_IN_NAMES.sub("_", unicodedata.normalize("NFC", filename))
        plain = f"_{plain}" if _DEVICE.match(plain) else plain
        stem, dot, extension = plain.rpartition(".")
        name, number = plain, 1
        while name.casefold() in taken:
            number += 1
            name = _ending_with(f" ({number}){dot}{extension}", stem)
        taken.add(name.casefold())
        names.append(name)
    return names


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


def _ending_with(ending: str, stem: str) -> str:
    return stem.encode()[: MAX_NAME_BYTES - len(ending)].decode(errors="ignore") + ending
