"""The chapters of a recording, and those of the part that is converted."""

import re
from collections.abc import Sequence
from typing import NamedTuple

from functions.shared.text import printable

# The table of contents counts its entries in one byte: https://id3.org/id3v2-chapters-1.0, section 3.2.
MAX_CHAPTERS = 255
_TITLE_MAX_CHARACTERS = 500
# Chapters are written in milliseconds, so anything shorter would be empty.
_SHORTEST_S = 0.001
_LINE_ENDS = re.compile(r"[\t\n\v\f\r\x1c-\x1e\x85\u2028\u2029]+")


class Chapter(NamedTuple):
    """A named part of a recording, in seconds from its start. The title may be empty."""

    start_s: float
    end_s: float
    title: str


class Cut(NamedTuple):
    """Something in the recording that did not fit in the MP3. `detail` is a sentence for the person."""

    code: str
    detail: str


def fit_chapters(chapters: Sequence[Chapter], start_s: float, end_s: float) -> tuple[tuple[Chapter, ...], list[Cut]]:
    """Return the chapters of the part from `start_s` to `end_s`, with times relative to `start_s`, and what was cut.

    Chapters are clipped to the part, and dropped if they lie outside it. Neither is reported, because the person chose
    the part. `end_s` may be infinite.
    """
    clipped = (
        Chapter(max(chapter.start_s, start_s) - start_s, min(chapter.end_s, end_s) - start_s, chapter.title)
        for chapter in chapters
    )
    inside = sorted(
        (chapter for chapter in clipped if chapter.end_s - chapter.start_s >= _SHORTEST_S),
        key=lambda chapter: (chapter.start_s, chapter.end_s),
    )
    cuts = []
    if len(inside) > MAX_CHAPTERS:
        detail = f"The recording has {len(inside)} chapters. An MP3 can hold only the first {MAX_CHAPTERS}."
        cuts.append(Cut("chapters-cut", detail))
    kept = (chapter._replace(title=one_line(chapter.title, _TITLE_MAX_CHARACTERS)) for chapter in inside[:MAX_CHAPTERS])
    return tuple(kept), cuts


def one_line(text: str, max_characters: int) -> str:
    """Return text on one line, printable and at most this long."""
    # A title may have megabytes, so it is cut before it is cleaned.
    text = _LINE_ENDS.sub(" ", text[: max_characters * 4])
    return printable(text).strip()[:max_characters].rstrip()
