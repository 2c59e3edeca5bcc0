"""The tags and chapters of a file, as ffmpeg's ffmetadata muxer writes them.

The format is described at https://ffmpeg.org/ffmpeg-formats.html#Metadata-2. A backslash escapes `=`, `;`, `#`, itself
and a line end, so no value can forge a section or another tag.
"""

import contextlib
import re
from collections.abc import Mapping
from typing import NamedTuple

from functions.convert.media.chapters import Chapter

# An escaped line end does not end the line. The possessive quantifiers (++) keep the time linear, whatever the text.
_LINE = re.compile(rb"(?:[^\\\n]++|\\.?)*+", re.DOTALL)
_KEY_AND_VALUE = re.compile(rb"((?:[^\\=]++|\\.)*+)=(.*)", re.DOTALL)
_ESCAPED = re.compile(rb"\\(.)", re.DOTALL)
_TIME_BASE = re.compile(r"([0-9]{1,12})/([0-9]{1,12})")
_TIME = re.compile(r"-?[0-9]{1,20}")  # 64 bits


class FFMetadata(NamedTuple):
    """The tags of the container, the tags of each mapped track, and the chapters in the order of the file.

    Tag names are in lower case. Chapter times count from the start of the file, even if its time stamps start later.
    """

    container: Mapping[str, str]
    streams: tuple[Mapping[str, str], ...]
    chapters: tuple[Chapter, ...]


def parse_ffmetadata(text: bytes) -> FFMetadata:
    """Read the output of ffmpeg's ffmetadata muxer. Never raises.

    A tag that is not valid UTF-8 is dropped: old AVIs use the code page of the author's system, and no title is better
    than a garbled one. If a tag occurs twice, the first one counts. A chapter without usable times is dropped.
    """
    container: dict[str, str] = {}
    streams: list[Mapping[str, str]] = []
    chapters: list[dict[str, str]] = []
    section = container
    for found in _LINE.finditer(text):
        line = found[0]
        if not line or line.startswith((b";", b"#")):
            continue
        if tag := _KEY_AND_VALUE.fullmatch(line):
            with contextlib.suppress(UnicodeDecodeError):
                key, value = (_unescaped(part).decode() for part in tag.groups())
                section.setdefault(key.lower(), value)
        elif line.startswith(b"["):
            section = {}
            if line == b"[STREAM]":
                streams.append(section)
            elif line == b"[CHAPTER]":
                chapters.append(section)
    return FFMetadata(container, tuple(streams), tuple(filter(None, map(_chapter, chapters))))


def _unescaped(part: bytes) -> bytes:
    return _ESCAPED.sub(rb"\1", part) if b"\\" in part else part


def _chapter(tags: Mapping[str, str]) -> Chapter | None:
    base = _TIME_BASE.fullmatch(tags.get("timebase", ""))
    # The muxer writes these three before the chapter's own tags, which may have the same names.
    start, end = tags.get("start", ""), tags.get("end", "")
    if not base or not int(base[2]) or not _TIME.fullmatch(start) or not _TIME.fullmatch(end):
        return None
    start_s, end_s = (int(time) * int(base[1]) / int(base[2]) for time in (start, end))
    return Chapter(start_s, end_s, tags.get("title", ""))
