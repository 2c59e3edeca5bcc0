"""The ID3v2.3 tag before the frames of an MP3: what players show.

Every player reads version 2.3: https://id3.org/id3v2.3.0, and https://id3.org/id3v2-chapters-1.0 for chapters.
"""

import datetime
import io
import re
from collections.abc import Iterator, Mapping, Sequence

from mutagen.id3 import (
    APIC,
    CHAP,
    COMM,
    CTOC,
    ID3,
    TALB,
    TCMP,
    TCOM,
    TCON,
    TCOP,
    TDAT,
    TIT2,
    TPE1,
    TPE2,
    TPOS,
    TPUB,
    TRCK,
    TYER,
    USLT,
    CTOCFlags,
    Encoding,
    Frame,
    PictureType,
)

from functions.convert.media.chapters import Chapter, one_line
from functions.shared.text import printable

_LINE_MAX_CHARACTERS = 500
_COMMENT_MAX_CHARACTERS = 2_000
_LYRICS_MAX_CHARACTERS = 20_000
_HEADER_BYTES = 10
# No byte offset: players then go by the times. https://id3.org/id3v2-chapters-1.0, section 3.1
_NO_OFFSET = 0xFFFF_FFFF
_LAST_MS = 0xFFFF_FFFE
_UNKNOWN_LANGUAGE = "XXX"
_REPLACEMENT = "\N{REPLACEMENT CHARACTER}"

# Each frame that holds one line, and the names that ffmpeg's demuxers use for it, the best first. QuickTime puts a
# prefix before each name.
_LINES: Sequence[tuple[type[Frame], tuple[str, ...]]] = (
    (TIT2, ("title",)),
    (TPE1, ("artist", "performer", "author")),
    (TALB, ("album", "album/title")),
    (TPE2, ("album_artist", "albumartist", "album artist", "album/artist")),
    (TCOM, ("composer",)),
    (TCOP, ("copyright",)),
    (TPUB, ("publisher", "label", "organization")),
)
_QUICKTIME = "com.apple.quicktime."
_GENRE = ("genre",)
_TRACK = ("track", "tracknumber")
_TRACKS = ("tracktotal", "totaltracks")
_DISC = ("disc", "discnumber", "disk", "disknumber", "part_of_set")
_DISCS = ("disctotal", "totaldiscs")
_COMPILATION = ("compilation", "tcmp", "itunescompilation")
_COMMENT = ("comment", "description", "synopsis")
_LYRICS = ("lyrics", "unsyncedlyrics", "unsynced lyrics", "wm/lyrics")
# The year that players show is that of this edition, so its date comes first, then those of the original work, of the
# recording and, last, of the tagging. The time stamps of cameras and encoders (creation_time, date_encoded) are left
# out, because they say only when a file was written.
_DATE = (
    *("date", "year", "tyer", "tdrc", "wm/year", "date_released", "album/date_released", "release_date", "tdrl"),
    *("originaldate", "original_date", "originalyear", "tdor", "tory", "date_recorded", "date_tagged"),
)
_NUMBER_OF = re.compile(r"0*([0-9]{1,4})(?:\s*(?:/|of)\s*([0-9]{0,4}))?")
_LYRICS_OF = re.compile(r"lyrics-([a-z]{3})")

_YEAR = re.compile(r"[0-9]{1,4}")
_COMPACT = re.compile(r"([0-9]{4})(0[0-9]|1[0-2])([0-2][0-9]|3[01])(?:[0-9]{6}|[T ].*)?")
_ISO = re.compile(r"([0-9]{4})-([0-9]{1,2})(?:-([0-9]{1,2})(?:[T ].*)?)?")
_ZONE = re.compile(r"(?:(?<=\s)|(?<=:[0-9]{2}))[+-][0-9]{2}:?[0-9]{2}$")
_YEAR_IN_DATE = re.compile(r"(?<![0-9])[0-9]{4}(?![0-9])")
# Words in a date: months, days of the week, time zones.
_DATE_WORD = re.compile(
    r"(?:jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)[a-z]*|(?:mon|tue|wed|thu|fri|sat|sun)[a-z]*|"
    r"st|nd|rd|th|of|am|pm|z|utc|gmt|[cempw]e?[sd]?t"
)
_DATE_MAX_CHARACTERS = 64
# Day 0 of Unix and of QuickTime.
_UNSET_CLOCKS = {(1970, 1, 1), (1904, 1, 1)}


def make_tag(tags: Mapping[str, str], chapters: Sequence[Chapter], cover: bytes | None) -> bytes:
    """Return an ID3v2.3 tag, or empty bytes if there is nothing to say.

    The names in `tags` are those of ffmpeg, in lower case. Only what a player shows is written: locations, encoders and
    camera data are left out, and so is a value that contains U+FFFD, because it was decoded wrongly before it got here.
    `chapters` come from `fit_chapters`: at most 255, in the order in which players list them. `cover` is a JPEG.
    """
    frames = [*_tag_frames(tags), *_chapter_frames(chapters)]
    if cover:
        frames.append(APIC(encoding=Encoding.LATIN1, mime="image/jpeg", type=PictureType.COVER_FRONT, data=cover))
    if not frames:
        return b""
    # Each frame is written alone: mutagen sorts by size, but some players list chapters in the order of the file.
    body = b"".join(map(_written, frames))
    size = bytes(len(body) >> shift & 0x7F for shift in (21, 14, 7, 0))  # 7 bits a byte: section 3.1
    return b"ID3\x03\x00\x00" + size + body


def sane_date(text: str) -> tuple[int, int | None, int | None] | None:
    """Return year, month and day as far as they are certain, or None if the text is not a date.

    Month and day are read from `2014-11-08` and `20141108`, with or without a time. From other forms, such as
    `11/8/2014` or `Sat Nov 8 2014`, only the year is read. 1970-01-01 and 1904-01-01 do not count as dates, because a
    clock that was never set shows them.
    """
    text = text.strip()
    if not text or len(text) > _DATE_MAX_CHARACTERS:
        return None
    if _YEAR.fullmatch(text):
        return _date(int(text), None, None)
    if found := _COMPACT.fullmatch(text) or _ISO.fullmatch(text):
        year, month, day = (int(part or 0) for part in found.groups())
        return _date(year, month, day)
    text = _ZONE.sub("", text)
    years = _YEAR_IN_DATE.findall(text)
    words = re.findall(r"[^\W\d_]+", text.lower())
    if len(years) != 1 or not all(map(_DATE_WORD.fullmatch, words)):
        return None
    return _date(int(years[0]), None, None)


def _date(year: int, month: int | None, day: int | None) -> tuple[int, int | None, int | None] | None:
    if not year or (year, month, day) in _UNSET_CLOCKS:
        return None
    if not month or month > 12:
        return year, None, None
    try:
        datetime.date(year, month, day or 0)
    except ValueError:
        return year, month, None
    return year, month, day


def _tag_frames(tags: Mapping[str, str]) -> Iterator[Frame]:
    tags = {name: value for name, value in tags.items() if _REPLACEMENT not in value}
    # A name without the prefix wins.
    tags = {name.removeprefix(_QUICKTIME): value for name, value in tags.items()} | tags
    for frame, names in _LINES:
        if text := _line(tags, names):
            yield _text(frame, text)
    if genre := _genre(_line(tags, _GENRE)):
        yield _text(TCON, genre)
    if number := _number(tags, _TRACK, _TRACKS):
        yield _text(TRCK, number)
    if number := _number(tags, _DISC, _DISCS):
        yield _text(TPOS, number)
    yield from _date_frames(tags)
    if _line(tags, _COMPILATION).lower() in {"1", "true", "yes"}:
        yield _text(TCMP, "1")
    if comment := _lines(tags, _COMMENT, _COMMENT_MAX_CHARACTERS):
        yield COMM(encoding=_encoding(comment), lang=_UNKNOWN_LANGUAGE, desc="", text=[comment])
    languages = {name: found[1] for name in sorted(tags) if (found := _LYRICS_OF.fullmatch(name))}
    if lyrics := _lines(tags, (*_LYRICS, *languages), _LYRICS_MAX_CHARACTERS):
        language = next(iter(languages.values()), _UNKNOWN_LANGUAGE).replace("xxx", _UNKNOWN_LANGUAGE)
        yield USLT(encoding=_encoding(lyrics), lang=language, desc="", text=lyrics)


def _date_frames(tags: Mapping[str, str]) -> Iterator[Frame]:
    dates = (sane_date(tags[name]) for name in _DATE if name in tags)
    if date := next(filter(None, dates), None):
        year, month, day = date
        yield _text(TYER, f"{year:04}")
        if month and day:
            yield _text(TDAT, f"{day:02}{month:02}")


def _chapter_frames(chapters: Sequence[Chapter]) -> Iterator[Frame]:
    """Yield the table of contents, without which players show no chapters, and the chapters."""
    if not chapters:
        return
    names = [f"chp{index}" for index in range(len(chapters))]
    yield CTOC(element_id="toc", flags=CTOCFlags.TOP_LEVEL | CTOCFlags.ORDERED, child_element_ids=names, sub_frames=[])
    for number, (name, chapter) in enumerate(zip(names, chapters, strict=True), 1):
        yield CHAP(
            element_id=name,
            start_time=_milliseconds(chapter.start_s),
            end_time=_milliseconds(chapter.end_s),
            start_offset=_NO_OFFSET,
            end_offset=_NO_OFFSET,
            # Some players skip a chapter that has no title.
            sub_frames=[_text(TIT2, chapter.title or f"Chapter {number}")],
        )


def _milliseconds(seconds: float) -> int:
    return min(max(round(seconds * 1000), 0), _LAST_MS)


def _written(frame: Frame) -> bytes:
    tag, file = ID3(), io.BytesIO()
    tag.add(frame)
    tag.save(file, v2_version=3, padding=lambda _: 0)
    return file.getvalue()[_HEADER_BYTES:]


def _text(frame: type[Frame], text: str) -> Frame:
    return frame(encoding=_encoding(text), text=[text])


def _encoding(text: str) -> int:
    """Return Latin-1 where it is enough, because some old players support nothing else."""
    try:
        text.encode("latin-1")
    except UnicodeEncodeError:
        return Encoding.UTF16
    return Encoding.LATIN1


def _line(tags: Mapping[str, str], names: Sequence[str]) -> str:
    """Return the first tag of these names that has text, or an empty string."""
    lines = (one_line(tags[name], _LINE_MAX_CHARACTERS) for name in names if name in tags)
    return next(filter(None, lines), "")


def _lines(tags: Mapping[str, str], names: Sequence[str], max_characters: int) -> str:
    """Return the first tag of these names that has text, with its line ends, or an empty string."""
    texts = (tags[name][: max_characters * 4] for name in names if name in tags)
    cleaned = (printable(re.sub(r"\r\n?", "\n", text), keep="\n\t").strip() for text in texts)
    return next(filter(None, cleaned), "")[:max_characters].rstrip()


def _genre(text: str) -> str:
    """Replace numbers of ID3v1's list, such as `17` or `(17)`, with the names they stand for."""
    return ", ".join(name for name in TCON(encoding=Encoding.UTF16, text=[text]).genres if name != "Unknown")


def _number(tags: Mapping[str, str], names: Sequence[str], total_names: Sequence[str]) -> str:
    """Return `3` or `3/12`, or an empty string."""
    number = _NUMBER_OF.fullmatch(_line(tags, names).lower())
    if not number or not int(number[1]):
        return ""
    total = number[2] or _line(tags, total_names)
    return f"{number[1]}/{int(total)}" if re.fullmatch(r"0*[1-9][0-9]{0,3}", total) else number[1]
