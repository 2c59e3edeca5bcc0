"""Which bytes of a file a request is for: conditional and range requests, as RFC 9110 has them.

Preconditions: https://www.rfc-editor.org/rfc/rfc9110#section-13.2.2
Ranges: https://www.rfc-editor.org/rfc/rfc9110#section-14.2
"""

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import format_datetime, parsedate_to_datetime
from http import HTTPStatus
from typing import NamedTuple

from functions.shared.problems import Problem


class PreconditionFailed(Problem):
    """Raised when the file is not the one that If-Match or If-Unmodified-Since is about."""

    code = "precondition-failed"

    def __init__(self) -> None:
        super().__init__("The file is another one than you expect. Ask again without If-Match and If-Unmodified-Since.")


class RangeNotSatisfiable(Problem):
    """Raised when a range lies behind the end of the file."""

    code = "range-not-satisfiable"

    def __init__(self, length: int) -> None:
        super().__init__(f"The file has {length} bytes.", headers={"Content-Range": f"bytes */{length}"})


class Representation(NamedTuple):
    """What the file is now. `etag` has its quotes and is strong."""

    etag: str
    last_modified: datetime
    length: int


class Selection(NamedTuple):
    """What to answer: 200, 206 or 304, and the bytes from `start` up to, not including, `end`."""

    status: HTTPStatus
    start: int
    end: int


_ETAG = re.compile(r'(W/)?("[^"]*")')
_RANGE = re.compile(r"([0-9]*)-([0-9]*)")
# More digits than any file needs, and fewer than Python refuses to read.
_MOST_DIGITS = 18


def select(method: str, headers: Mapping[str, str], file: Representation) -> Selection:
    """Return what a GET or HEAD is to be answered with.

    `headers` are the request's, by name in lower case, repeated ones joined with commas. What is malformed in them
    is ignored, as RFC 9110 wants; so is a request for several ranges, which gets the whole file.

    Raises PreconditionFailed and RangeNotSatisfiable.
    """
    if not _preconditions_hold(headers, file):
        raise PreconditionFailed
    if _is_unchanged(headers, file):
        return Selection(HTTPStatus.NOT_MODIFIED, 0, 0)
    whole = Selection(HTTPStatus.OK, 0, file.length)
    if method != "GET" or "range" not in headers or not _if_range_holds(headers, file):
        return whole
    wanted = parse_range(headers["range"], file.length)
    return whole if wanted is None else Selection(HTTPStatus.PARTIAL_CONTENT, *wanted)


def parse_range(value: str, length: int) -> tuple[int, int] | None:
    """Return the start and end of the one range that a Range header asks for, the end not included.

    Returns None if the header is to be ignored. Raises RangeNotSatisfiable.
    """
    unit, _, ranges = value.partition("=")
    one = _RANGE.fullmatch(ranges.strip(" \t,"))
    if unit.strip().lower() != "bytes" or one is None:
        return None
    first, last = one.groups()
    if first:
        start, end = _number(first), _number(last) + 1 if last else length
        if end <= start and last:
            return None
    elif last:
        start, end = max(0, length - _number(last)), length
    else:
        return None
    if start >= length:
        raise RangeNotSatisfiable(length)
    return start, min(end, length)


def is_known(etag: str, if_none_match: str) -> bool:
    """Return whether a client that sends this If-None-Match already has what `etag`, quotes included, stands for."""
    return if_none_match.strip() == "*" or etag in (known for _, known in _ETAG.findall(if_none_match))


def http_date(time: datetime) -> str:
    """Return a time as HTTP writes it: `Sun, 06 Nov 1994 08:49:37 GMT`."""
    return format_datetime(time.astimezone(UTC), usegmt=True)


def _preconditions_hold(headers: Mapping[str, str], file: Representation) -> bool:
    if "if-match" in headers:
        wanted = headers["if-match"]
        return wanted.strip() == "*" or ("", file.etag) in _ETAG.findall(wanted)
    since = _date(headers.get("if-unmodified-since"))
    return since is None or _seconds(file.last_modified) <= since


def _is_unchanged(headers: Mapping[str, str], file: Representation) -> bool:
    if "if-none-match" in headers:
        return is_known(file.etag, headers["if-none-match"])
    since = _date(headers.get("if-modified-since"))
    return since is not None and _seconds(file.last_modified) <= since


def _if_range_holds(headers: Mapping[str, str], file: Representation) -> bool:
    validator = headers.get("if-range", file.etag).strip()
    return validator == file.etag or _date(validator) == _seconds(file.last_modified)


def _date(value: str | None) -> datetime | None:
    if value is None:
        return None
    try:
        time = parsedate_to_datetime(value)
        return time.astimezone(UTC) if time.tzinfo else time.replace(tzinfo=UTC)
    except (ValueError, TypeError, IndexError, OverflowError):
        return None


def _seconds(time: datetime) -> datetime:
    return time.replace(microsecond=0)


def _number(digits: str) -> int:
    return int(digits.lstrip("0")[: _MOST_DIGITS + 1] or "0")
