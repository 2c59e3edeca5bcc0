"""Figures and names as people write them, and foreign text made safe for a letter."""

import re
from collections.abc import Sequence
from datetime import UTC, datetime

from functions.shared.conversions import Track
from functions.shared.text import printable

MAX_NAME = 100


def plain(text: str) -> str:
    """Return text on one line, with nothing in it that is not seen."""
    words = (printable(word) for word in text.split())
    return " ".join(word for word in words if word)


def undecodable(text: str) -> str:
    """Return text for a header, with a space in each `=?`, so that no encoded word (RFC 2047) begins in it.

    Python's EmailMessage decodes those in what a header is set to, and so may other programs on the way. They may
    hold line breaks, and with them other headers, recipients and a body.
    """
    return text.replace("=?", "= ?")


def file_name(text: str) -> str:
    """Return the last part of what may be a path, on one line and cut to MAX_NAME characters."""
    return short(re.split(r"[/\\]", text)[-1]) or "video"


def short(text: str) -> str:
    """Return text as `plain` does, cut to MAX_NAME characters."""
    name = plain(text)
    return name if len(name) <= MAX_NAME else f"{name[: MAX_NAME - 1]}…"


def duration(seconds: float) -> str:
    """Return `1 h 2 min 5 s`, from the largest unit that is not zero."""
    minutes, s = divmod(round(seconds), 60)
    h, min_ = divmod(minutes, 60)
    if h:
        return f"{h} h {min_} min {s} s"
    return f"{min_} min {s} s" if min_ else f"{s} s"


def size(count: int) -> str:
    """Return a number of bytes as `14.2 MB`, in decimal units."""
    if count < 1_000_000:
        return f"{count / 1_000:.1f} kB"
    return f"{count / 1_000_000:.1f} MB" if count < 1_000_000_000 else f"{count / 1_000_000_000:.1f} GB"


def bit_rate(bps: int) -> str:
    """Return bits per second as `192 kbit/s`."""
    return f"{bps / 1000:.0f} kbit/s"


def channels(count: int) -> str:
    """Return what people call a number of channels."""
    return {1: "mono", 2: "stereo"}.get(count, f"{count} channels")


def soundtrack(number: int | None, tracks: Sequence[Track]) -> str:
    """Return which of several soundtracks is heard: `2 of 3 (deu, Commentary)`; without a number it is a mix of all."""
    if number is None:
        return f"all {len(tracks)}, mixed"
    said = [text or "" for track in tracks if track.number == number for text in (track.language, track.title)]
    about = ", ".join(filter(None, map(short, said)))
    return f"{number} of {len(tracks)} ({about})" if about else f"{number} of {len(tracks)}"


def moment(time: datetime) -> str:
    """Return `4 January 2026, 12:00 UTC`."""
    time = time.astimezone(UTC)
    return f"{time.day} {time:%B %Y, %H:%M} UTC"
