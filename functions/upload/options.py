"""The options of a conversion, as they come with a form or with tus metadata: text."""

import re
import unicodedata
from collections.abc import Callable, Collection, Mapping
from datetime import date
from difflib import get_close_matches
from enum import StrEnum
from typing import Any

from functions.shared.options import MP3_RATES_HZ, Channels, Chapters, Damaged, Options, Quality, Tracks
from functions.shared.problems import FieldError, InvalidInput

MAX_TRACK = 64
MAX_TIME_S = 100 * 3600
MAX_TEXT = 500
MAX_COMMENT = 1000
LOUDNESS_LUFS = (-23, -9)

_TIME_FORM = "seconds, such as 90.5, or hh:mm:ss.mmm, such as 00:01:30.500"
_SECONDS = re.compile(r"[0-9]{1,6}(\.[0-9]{1,6})?")
_CLOCK = re.compile(r"(?:([0-9]{1,2}):)?([0-9]{1,2}):([0-9]{1,2}(?:\.[0-9]{1,6})?)")
_LOUDNESS = re.compile(r"-?[0-9]{1,2}(\.[0-9]{1,3})?")
# A language, and perhaps script and region: https://www.rfc-editor.org/rfc/rfc5646
_LANGUAGE = re.compile(r"[a-z]{2,3}(-[a-z0-9]{2,8}){0,3}")
_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_TRACK_NUMBER = re.compile(r"([0-9]{1,3})(?:/([0-9]{1,3}))?")
_NUMBER = re.compile(r"[0-9]{1,4}")
# Control characters, halves of surrogate pairs, and the separators of lines and paragraphs.
_UNPRINTABLE = frozenset({"Cc", "Cs", "Zl", "Zp"})
# What takes the place of bytes that are not UTF-8.
_REPLACEMENT = "\N{REPLACEMENT CHARACTER}"

# What `quality=copy` rules out, since each of them changes the sound.
_CHANGES = ("tracks", "start", "end", "loudness", "channels", "sample_rate")


class _Wrong(Exception):
    """Raised when a value cannot be taken. The message says what is allowed."""


_Reader = Callable[[str], object]


def to_options(fields: Mapping[str, str]) -> Options:
    """Return the options that these fields choose. Raises InvalidInput, which names every wrong field.

    The same choice gives the same options, however it is spelt: `90`, `90.0` and `1:30` are one time. An empty value is
    no choice where the option has no default, as forms send empty fields.
    """
    errors = [FieldError(name, _unknown(name)) for name in fields if name not in _READERS]
    chosen: dict[str, Any] = {}
    for name, read in _READERS.items():
        if name in fields:
            try:
                chosen[name] = read(fields[name])
            except _Wrong as wrong:
                errors.append(FieldError(name, str(wrong)))
    options = Options(**chosen)
    errors += _conflicts(options)
    if errors:
        raise InvalidInput(*errors)
    return options


def _unknown(name: str) -> str:
    known = ["video", *_READERS, "original_bytes", "sent"]
    meant = get_close_matches(name.lower(), known, 1, cutoff=0.75)
    hint = f" Did you mean `{meant[0]}`?" if meant else ""
    return f"There is no such field.{hint} The fields are {', '.join(known[:-1])} and {known[-1]}."


def _conflicts(options: Options) -> list[FieldError]:
    errors = []
    if options.end is not None and options.end <= (options.start or 0.0):
        errors.append(FieldError("end", "The end must come after the start."))
    if options.track is not None and options.tracks is not None:
        advice = "Choose one soundtrack with `track`, or mix all of them with `tracks`, but not both."
        errors += [FieldError("track", advice), FieldError("tracks", advice)]
    if options.quality is Quality.COPY:
        changed = [name for name in _CHANGES if getattr(options, name) != getattr(Options(), name)]
        errors += [
            FieldError(name, f"`quality=copy` keeps the sound as it is, so it cannot be combined with `{name}`.")
            for name in changed
        ]
    return errors


def _one_of(values: Collection[str], read: Callable[[str], object]) -> _Reader:
    def reader(text: str) -> object:
        if text not in values:
            raise _Wrong(f"Use one of: {', '.join(values)}.")
        return read(text)

    return reader


def _choice(kind: type[StrEnum]) -> _Reader:
    return _one_of([*kind], kind)


def _optional(read: _Reader) -> _Reader:
    return lambda text: read(text.strip()) if text.strip() else None


def _time(text: str) -> float:
    wrong = _Wrong(f"Use {_TIME_FORM}, and less than {MAX_TIME_S // 3600} hours.")
    if _SECONDS.fullmatch(text):
        seconds = float(text)
    elif clock := _CLOCK.fullmatch(text):
        hours, minutes, rest = int(clock[1] or 0), int(clock[2]), float(clock[3])
        if rest >= 60 or (clock[1] and minutes >= 60):
            raise wrong
        seconds = hours * 3600 + minutes * 60 + rest
    else:
        raise wrong
    if seconds >= MAX_TIME_S:
        raise wrong
    return round(seconds, 6)


def _cover(text: str) -> str:
    if text in ("auto", "none"):
        return text
    try:
        return f"{_time(text):f}".rstrip("0").rstrip(".")
    except _Wrong as wrong:
        raise _Wrong(f"Use auto, none, or the time of a frame in {_TIME_FORM}.") from wrong


def _track(text: str) -> str:
    if _NUMBER.fullmatch(text) and 1 <= int(text) <= MAX_TRACK:
        return str(int(text))
    if _LANGUAGE.fullmatch(text.lower()):
        return text.lower()
    raise _Wrong(f"Use the number of a soundtrack, from 1 to {MAX_TRACK}, or its language, such as eng, de or pt-BR.")


def _language(text: str) -> str:
    if _LANGUAGE.fullmatch(text.lower()):
        return text.lower()
    raise _Wrong("Use a language, such as eng, de or pt-BR.")


def _loudness(text: str) -> float:
    low, high = LOUDNESS_LUFS
    if not _LOUDNESS.fullmatch(text) or not low <= float(text) <= high:
        raise _Wrong(f"Use a loudness in LUFS, from {low} to {high}, such as -16.")
    return float(text)


def _year(text: str) -> str:
    if _NUMBER.fullmatch(text) and int(text):
        return f"{int(text):04d}"
    if _DATE.fullmatch(text):
        try:
            return date.fromisoformat(text).isoformat()
        except ValueError:
            pass
    raise _Wrong("Use a year from 1 to 9999, or a date as YYYY-MM-DD.")


def _track_number(text: str) -> str:
    found = _TRACK_NUMBER.fullmatch(text)
    numbers = [int(number) for number in found.groups() if number is not None] if found else []
    if not numbers or 0 in numbers or numbers != sorted(numbers):
        raise _Wrong("Use the number of the track, or number/total, such as 3 or 3/12; both are from 1 to 999.")
    return "/".join(map(str, numbers))


def _text(limit: int, *, lines: bool = False) -> _Reader:
    def reader(text: str) -> str:
        # Composed characters are those of Latin-1, which every player reads.
        clean = unicodedata.normalize("NFC", text.replace("\r\n", "\n") if lines else text)
        if _REPLACEMENT in clean:
            raise _Wrong("Send it in UTF-8.")
        kept = "\n" if lines else ""
        if any(unicodedata.category(char) in _UNPRINTABLE and char not in kept for char in clean):
            raise _Wrong("Leave out control characters." if lines else "Leave out line breaks and control characters.")
        if len(clean) > limit:
            raise _Wrong(f"Use at most {limit} characters.")
        return clean

    return reader


_READERS: Mapping[str, _Reader] = {
    "quality": _choice(Quality),
    "track": _optional(_track),
    "preferred_language": _optional(_language),
    "tracks": _optional(_choice(Tracks)),
    "start": _optional(_time),
    "end": _optional(_time),
    "loudness": _optional(_loudness),
    "channels": _choice(Channels),
    "sample_rate": _optional(_one_of([str(rate) for rate in MP3_RATES_HZ], int)),
    "damaged": _choice(Damaged),
    "cover": _cover,
    "chapters": _choice(Chapters),
    "title": _optional(_text(MAX_TEXT)),
    "artist": _optional(_text(MAX_TEXT)),
    "album": _optional(_text(MAX_TEXT)),
    "album_artist": _optional(_text(MAX_TEXT)),
    "genre": _optional(_text(MAX_TEXT)),
    "year": _optional(_year),
    "track_number": _optional(_track_number),
    "comment": _optional(_text(MAX_COMMENT, lines=True)),
}
