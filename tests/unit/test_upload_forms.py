"""Taking multipart/form-data apart."""

from collections.abc import Iterator
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from functions.shared.forms import (
    MAX_FIELD_BYTES,
    MAX_HEADER_BYTES,
    MAX_PARTS,
    BadMultipart,
    FormParser,
    FormReader,
    PartHeader,
    read_form,
)
from functions.shared.problems import InvalidInput, Problem, TooLarge

CONTENT_TYPE = "multipart/form-data; boundary=cut"


def form(disposition: bytes, content: bytes = b"x", *, headers: bytes = b"") -> bytes:
    return b"--cut\r\nContent-Disposition: " + disposition + b"\r\n" + headers + b"\r\n" + content + b"\r\n--cut--"


def first_header(body: bytes, content_type: str = CONTENT_TYPE) -> PartHeader:
    header = FormParser(content_type).feed(body)[0]
    assert isinstance(header, PartHeader)
    return header


def sliced(body: bytes, cuts: list[int]) -> list[bytes]:
    edges = [0, *sorted(cut % (len(body) + 1) for cut in cuts), len(body)]
    return [body[start:end] for start, end in pairwise(edges)]


@settings(deadline=None)
@given(
    content=st.one_of(
        st.binary(max_size=200), st.lists(st.sampled_from([b"\r\n", b"--cut", b"-", b"\r"])).map(b"".join)
    ),
    cuts=st.lists(st.integers(min_value=0, max_value=2000), max_size=30),
)
def test_however_a_body_is_sliced_its_file_is_the_same(content, cuts):
    """Slices end where the network or the payload limit has it, also in the middle of a boundary."""
    content = content.replace(b"\r\n--cut", b"\r\n--uncut")
    if content.startswith(b"--cut"):
        content = b"." + content
    body = form(b'form-data; name="video"; filename="m.mp4"', content)

    read = read_form(CONTENT_TYPE, sliced(body, cuts))

    assert (read.video.filename, b"".join(read.video.parts)) == ("m.mp4", content)


@settings(deadline=None)
@given(body=st.binary(max_size=300), cuts=st.lists(st.integers(min_value=0, max_value=300), max_size=5))
def test_any_bytes_are_a_form_or_a_problem(body, cuts):
    """No body may end in an unforeseen error."""
    with pytest.raises(Problem):
        read_form(CONTENT_TYPE, sliced(b"--cut\r\n" + body, cuts))


@settings(deadline=None)
@given(content_type=st.text(max_size=80))
def test_any_content_type_is_taken_or_a_problem(content_type):
    with pytest.raises(BadMultipart):
        FormParser("multipart/form-data" + content_type).feed(b"no form")


def test_the_video_is_handed_on_as_it_comes():
    """A gateway that reads 5 GB must not hold them, and wants to know early what is being sent."""
    reader = FormReader(CONTENT_TYPE)
    begins = b'--cut\r\nContent-Disposition: form-data; name="%b"%b\r\n\r\n'

    assert (reader.feed(begins % (b"quality", b"") + b"v"), reader.filename) == ([], None)
    video = b"0\r\n" + begins % (b"video", b'; filename="m.mp4"') + b"1" * 100
    assert (reader.feed(video), reader.filename) == ([b"1" * 100], "m.mp4")
    assert reader.feed(b"2" * 100) == [b"2" * 100]
    assert b"".join(reader.feed(b"3\r\n" + begins % (b"title", b"") + b"T")) == b"3"
    assert reader.feed(b"\r\n--cut--\r\n") == []
    assert reader.end() == ("m.mp4", {"quality": "v0", "title": "T"})


def test_a_file_by_another_name_is_refused_before_its_bytes_come():
    """Nobody should send 5 GB to learn that the field has another name."""
    with pytest.raises(InvalidInput) as refused:
        FormReader(CONTENT_TYPE).feed(b'--cut\r\nContent-Disposition: form-data; name="film"; filename="m"\r\n\r\n')

    assert [error.field for error in refused.value.errors] == ["video", "film"]


def test_a_second_file_and_a_field_sent_twice_are_refused_where_they_begin():
    """Which of the two was meant cannot be known."""
    first = b'--cut\r\nContent-Disposition: form-data; name="%b"%b\r\n\r\nx\r\n'
    video, field = (b"video", b'; filename="m"'), (b"quality", b"")
    for parts, refusal in (
        ((video, video), BadMultipart),
        ((video, (b"other", b'; filename="m"')), BadMultipart),
        ((field, field), InvalidInput),
        ((video, (b"video", b"")), InvalidInput),
        (((b"video", b""), video), InvalidInput),
    ):
        reader = FormReader(CONTENT_TYPE)
        reader.feed(first % parts[0])
        with pytest.raises(refusal):
            reader.feed(first % parts[1])


def test_a_field_may_be_as_long_as_the_limit_and_is_not_held_any_longer():
    """A video that is sent as a field without a file name is the way this happens."""
    begins = b'--cut\r\nContent-Disposition: form-data; name="video"\r\n\r\n'
    reader = FormReader(CONTENT_TYPE)

    reader.feed(begins + b"x" * MAX_FIELD_BYTES)
    with pytest.raises(TooLarge, match="`video`"):
        reader.feed(b"x")


@pytest.mark.parametrize("body", [b"--cut--", form(b'form-data; name="quality"')])
def test_a_form_without_a_video_says_what_to_send(body):
    with pytest.raises(InvalidInput) as refused:
        read_form(CONTENT_TYPE, [body])

    assert [error.field for error in refused.value.errors] == ["video"]


@pytest.mark.parametrize(
    ("disposition", "filename"),
    [
        (b'form-data; name="video"; filename="movie.mp4"', "movie.mp4"),
        (b'form-data; name="video"; filename=movie.mp4', "movie.mp4"),
        (b'form-data; name="video"; FILENAME = "movie.mp4"', "movie.mp4"),
        (b'form-data; filename="a; name=other"; name="video"', "a; name=other"),
        ('form-data; name="video"; filename="Grüße 🎬.mp4"'.encode(), "Grüße 🎬.mp4"),
        ('form-data; name="video"; filename="Grüße.mp4"'.encode("latin-1"), "Grüße.mp4"),
        (b'form-data; name="video"; filename="a\\"b\\\\c.mp4"', 'a"b\\c.mp4'),
        (b'form-data; name="video"; filename="a%22b%0D%0A.mp4"', 'a"b\r\n.mp4'),
        (b'form-data; name="video"; filename="C:\\Videos\\m.mp4"', "C:\\Videos\\m.mp4"),
        (b'form-data; name="video"; filename="_.mp4"; filename*=UTF-8\'\'%E2%82%AC.mp4', "€.mp4"),
        (b"form-data; name=\"video\"; filename*=utf-8'de'%e2%82%ac.mp4", "€.mp4"),
        (b"form-data; name=\"video\"; filename*=ISO-8859-1''%fc.mp4", "ü.mp4"),
        (b'form-data; name="video"; filename="m.mp4"; filename*=UTF-8\'\'%ff', "m.mp4"),
        (b'form-data; name="video"; filename="m.mp4"; filename*=nonsense', "m.mp4"),
        (b'form-data; name="video"; filename=""', ""),
        (b'form-data; name="video"', None),
    ],
)
def test_a_file_name_comes_through_as_it_was_sent(disposition, filename):
    """Browsers, curl and RFC 5987 each write it their own way."""
    assert first_header(form(disposition)) == PartHeader("video", filename)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"\r\n",
        b"no boundary at all",
        b"--cut",
        b"--cut\r\n",
        b'--cut\r\nContent-Disposition: form-data; name="video"; filename="m"\r\n\r\nhalf a vid',
        b"--cut\r\nno colon here\r\n\r\nx\r\n--cut--",
        b"--cut\r\n: no name\r\n\r\nx\r\n--cut--",
        form(b"form-data"),
        form(b"form-data; filename=m.mp4"),
        form(b'form-data; name="video"; filename="m"', headers=b"Content-Transfer-Encoding: base64\r\n"),
    ],
)
def test_what_is_no_form_is_refused(body):
    with pytest.raises(BadMultipart):
        read_form(CONTENT_TYPE, [body])


def test_a_quoted_boundary_and_text_around_the_form_are_allowed():
    """RFC 2046 wants both."""
    body = b"\r\n" + form(b'form-data; name="video"; filename="m"') + b"\r\nan epilogue"

    assert read_form('Multipart/Form-Data; charset=utf-8; boundary="cut"', [body]).video.parts == [b"x"]


def test_a_transfer_encoding_that_changes_nothing_is_allowed():
    body = form(b'form-data; name="video"; filename="m"', headers=b"Content-Transfer-Encoding: 8BIT\r\n")

    assert read_form(CONTENT_TYPE, [body]).video.parts == [b"x"]


@pytest.mark.parametrize("cut", [7, 4096])
def test_giant_headers_are_refused_before_they_are_held(cut):
    """Limits are what keeps one request from taking all memory."""

    def endless() -> Iterator[bytes]:
        yield b"--cut\r\nContent-Disposition: "
        for _ in range(MAX_HEADER_BYTES // cut + 1):
            yield b"a" * cut
        pytest.fail("It was read on.")

    with pytest.raises(TooLarge):
        read_form(CONTENT_TYPE, endless())


def test_many_small_headers_are_refused_too():
    with pytest.raises(TooLarge):
        read_form(CONTENT_TYPE, [form(b"form-data; name=video", headers=b"A: b\r\n" * MAX_HEADER_BYTES)])


def test_as_many_parts_as_the_limit_says_are_taken():
    """One more is one too many."""
    parts = [b'--cut\r\nContent-Disposition: form-data; name="f%d"\r\n\r\nx\r\n' % n for n in range(MAX_PARTS - 1)]
    last = form(b'form-data; name="video"; filename="m"')

    assert len(read_form(CONTENT_TYPE, [b"".join(parts) + last]).fields) == MAX_PARTS - 1
    with pytest.raises(TooLarge):
        read_form(CONTENT_TYPE, [b"".join(parts) + parts[0].replace(b"f0", b"fx") + last])
