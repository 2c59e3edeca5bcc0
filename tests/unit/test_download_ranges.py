"""Conditional and range requests."""

from datetime import UTC, datetime, timedelta, timezone
from http import HTTPStatus

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from functions.download.ranges import (
    PreconditionFailed,
    RangeNotSatisfiable,
    Representation,
    Selection,
    http_date,
    parse_range,
    select,
)

MODIFIED = datetime(2026, 1, 1, 12, 0, 0, 500_000, tzinfo=UTC)
AT = "Thu, 01 Jan 2026 12:00:00 GMT"
BEFORE = "Thu, 01 Jan 2026 11:59:59 GMT"
AFTER = "Thu, 01 Jan 2026 12:00:01 GMT"
FILE = Representation(etag='"abc,d"', last_modified=MODIFIED, length=1000)
ETAG = FILE.etag

HEADER_NAMES = ["range", "if-range", "if-match", "if-none-match", "if-modified-since", "if-unmodified-since"]


@pytest.mark.parametrize(
    ("value", "wanted"),
    [
        ("bytes=0-0", (0, 1)),
        ("bytes=0-999", (0, 1000)),
        ("bytes=0-1000", (0, 1000)),
        ("bytes=500-", (500, 1000)),
        ("bytes=-1", (999, 1000)),
        ("bytes=-1000", (0, 1000)),
        ("bytes=-1001", (0, 1000)),
        ("bytes=999-" + "9" * 5000, (999, 1000)),
        ("bytes=-" + "9" * 5000, (0, 1000)),
        ("bytes=" + "0" * 5000 + "5-5", (5, 6)),
        ("Bytes= 5-5 ", (5, 6)),
        ("bytes=,5-5,", (5, 6)),
    ],
)
def test_a_range_names_its_first_and_last_byte(value, wanted):
    """The examples of RFC 9110, section 14.1.2, and the edges."""
    assert parse_range(value, 1000) == wanted


@pytest.mark.parametrize("value", ["bytes=1000-", "bytes=1000-1001", "bytes=-0", "bytes=" + "9" * 5000 + "-"])
def test_a_range_behind_the_end_cannot_be_satisfied(value):
    with pytest.raises(RangeNotSatisfiable) as refusal:
        parse_range(value, 1000)

    assert refusal.value.headers == {"Content-Range": "bytes */1000"}


@pytest.mark.parametrize(
    "value",
    [
        "",
        "bytes",
        "bytes=",
        "bytes=-",
        "bytes=--1",
        "bytes=a-b",
        "bytes=5-4",
        "bytes=1-2,3-4",
        "bytes=1-2;3-4",
        "bytes=1 - 2",
        "bytes=+1-2",
        "bytes=1_0-20",
        "bytes=٣-٤",
        "bytes==1-2",
        "bytes 1-2",
        "lines=1-2",
        "=1-2",
    ],
)
def test_what_is_malformed_or_several_is_ignored(value):
    assert parse_range(value, 1000) is None


@settings(deadline=None)
@given(first=st.integers(0, 2000), last=st.integers(0, 2000), length=st.integers(1, 1000))
def test_a_range_is_the_slice_of_its_numbers(first, last, length):
    content = bytes(n % 256 for n in range(length))
    expected = content[first : last + 1]

    try:
        wanted = parse_range(f"bytes={first}-{last}", length)
    except RangeNotSatisfiable:
        assert expected == b""
    else:
        assert wanted is None if last < first else content[slice(*(wanted or ()))] == expected


@settings(deadline=None)
@given(suffix=st.integers(1, 2000), length=st.integers(1, 1000))
def test_a_suffix_is_the_end_of_the_file(suffix, length):
    content = bytes(n % 256 for n in range(length))

    assert content[slice(*(parse_range(f"bytes=-{suffix}", length) or ()))] == content[-suffix:]


@settings(deadline=None)
@given(
    method=st.sampled_from(["GET", "HEAD"]),
    headers=st.dictionaries(
        st.sampled_from(HEADER_NAMES),
        st.one_of(
            st.text(max_size=40),
            st.sampled_from(["*", ETAG, f"W/{ETAG}", AT, BEFORE, AFTER, "bytes=1-2"]),
            st.from_regex(r"bytes=[0-9]{0,25}-[0-9]{0,25}(,[0-9]{0,3}-[0-9]{0,3})*", fullmatch=True),
            st.from_regex(r"[A-Z][a-z]{2}, [0-9]{1,9} [A-Z][a-z]{2} [0-9]{1,9} [0-9:]{1,12} [-+A-Z0-9]{1,12}"),
        ),
    ),
    length=st.integers(0, 10_000),
)
def test_any_headers_select_bytes_of_the_file_or_are_refused(method, headers, length):
    """Headers are the client's: whatever they say, the answer lies within the file."""
    file = FILE._replace(length=length)

    try:
        selection = select(method, headers, file)
    except (PreconditionFailed, RangeNotSatisfiable):
        assert headers
        return
    assert 0 <= selection.start <= selection.end <= length
    if selection.status is HTTPStatus.OK:
        assert (selection.start, selection.end) == (0, length)
    elif selection.status is HTTPStatus.PARTIAL_CONTENT:
        assert selection.start < selection.end
        assert method == "GET"
    else:
        assert selection == Selection(HTTPStatus.NOT_MODIFIED, 0, 0)


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 200),
        ({"if-none-match": ETAG}, 304),
        ({"if-none-match": f"W/{ETAG}"}, 304),
        ({"if-none-match": f'"x", {ETAG}, "y"'}, 304),
        ({"if-none-match": "*"}, 304),
        ({"if-none-match": '"x"'}, 200),
        ({"if-none-match": "abc"}, 200),
        ({"if-none-match": '"x"', "if-modified-since": AFTER}, 200),
        ({"if-modified-since": AT}, 304),
        ({"if-modified-since": AFTER}, 304),
        ({"if-modified-since": BEFORE}, 200),
        ({"if-modified-since": "yesterday"}, 200),
        ({"if-modified-since": "Thursday, 01-Jan-26 12:00:00 GMT"}, 304),
        ({"if-modified-since": "Thu Jan  1 12:00:00 2026"}, 304),
        ({"if-match": ETAG}, 200),
        ({"if-match": "*"}, 200),
        ({"if-match": f'"x", {ETAG}'}, 200),
        ({"if-match": f"W/{ETAG}"}, 412),
        ({"if-match": '"x"'}, 412),
        ({"if-match": ETAG, "if-unmodified-since": BEFORE}, 200),
        ({"if-unmodified-since": AT}, 200),
        ({"if-unmodified-since": BEFORE}, 412),
        ({"if-unmodified-since": "tomorrow"}, 200),
        ({"if-match": '"x"', "if-none-match": ETAG}, 412),
        ({"range": "bytes=1-2"}, 206),
        ({"range": "bytes=1-2", "if-range": ETAG}, 206),
        ({"range": "bytes=1-2", "if-range": f"W/{ETAG}"}, 200),
        ({"range": "bytes=1-2", "if-range": '"x"'}, 200),
        ({"range": "bytes=1-2", "if-range": AT}, 206),
        ({"range": "bytes=1-2", "if-range": AFTER}, 200),
        ({"range": "bytes=1-2", "if-range": "whenever"}, 200),
        ({"range": "bytes=1-2", "if-none-match": ETAG}, 304),
        ({"range": "bytes=5000-", "if-range": '"x"'}, 200),
        ({"range": "bytes=5000-"}, 416),
        ({"if-range": ETAG}, 200),
    ],
)
def test_preconditions_have_the_precedence_of_rfc_9110(headers, status):
    """Section 13.2.2: If-Match, else If-Unmodified-Since; If-None-Match, else If-Modified-Since; then If-Range."""
    assert _status("GET", headers) == status


def test_a_head_is_conditional_but_has_no_range():
    assert select("HEAD", {"range": "bytes=1-2"}, FILE) == Selection(HTTPStatus.OK, 0, 1000)
    assert select("HEAD", {"if-none-match": ETAG}, FILE).status == HTTPStatus.NOT_MODIFIED


def test_a_date_is_written_in_gmt():
    assert http_date(MODIFIED.astimezone(timezone(timedelta(hours=2)))) == AT


def _status(method: str, headers: dict[str, str]) -> int:
    try:
        return select(method, headers, FILE).status
    except (PreconditionFailed, RangeNotSatisfiable) as problem:
        return problem.status
