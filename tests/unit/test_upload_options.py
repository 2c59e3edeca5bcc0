"""The options of a conversion, as text makes them."""

import math
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import asdict, fields

from functions.shared.forms import MAX_FIELD_BYTES, MAX_PARTS
from functions.shared.options import Channels, Chapters, Damaged, Options, Quality, Tracks
from functions.shared.problems import FieldError, InvalidInput
from functions.upload.metadata import MAX_METADATA_BYTES, describe
from functions.upload.options import MAX_COMMENT, MAX_TEXT, MAX_TIME_S, to_options
from functions.upload.repeats import fingerprint
from tests.tus_function import encoded
from tests.wrong_options import WRONG, Wrong, told_as

NAMES = [field.name for field in fields(Options)]


def refusal(sent: dict[str, str]) -> list[dict[str, str]]:
    with pytest.raises(InvalidInput) as refused:
        to_options(sent)
    return [{"field": error.field, "message": error.message} for error in refused.value.errors]


def test_no_fields_give_the_defaults():
    """Most people only want the sound."""
    assert to_options({}) == Options()
    assert Options().quality is Quality.AUTO


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [
        *[("quality", quality.value, quality) for quality in Quality],
        ("track", "2", "2"),
        ("track", "02", "2"),
        ("track", "64", "64"),
        ("track", "eng", "eng"),
        ("preferred_language", "pt-BR", "pt-br"),
        ("track", "DE", "de"),
        ("track", "pt-BR", "pt-br"),
        ("track", "zh-Hant-TW", "zh-hant-tw"),
        ("tracks", "mix", Tracks.MIX),
        ("start", "0", 0.0),
        ("start", "90", 90.0),
        ("start", " 90.5 ", 90.5),
        ("start", "1:30", 90.0),
        ("start", "75:30", 4530.0),
        ("start", "00:01:30.500", 90.5),
        ("end", "99:59:59.999", MAX_TIME_S - 0.001),
        ("end", "0.000001", 0.000001),
        ("loudness", "-16", -16.0),
        ("loudness", "-16.5", -16.5),
        ("loudness", "-23", -23.0),
        ("loudness", "-9.0", -9.0),
        ("channels", "mono", Channels.MONO),
        ("sample_rate", "44100", 44_100),
        ("damaged", "accept", Damaged.ACCEPT),
        ("cover", "none", "none"),
        ("cover", "1:30", "90"),
        ("cover", "00:00:05.250", "5.25"),
        ("cover", "0", "0"),
        ("chapters", "none", Chapters.NONE),
        ("title", " Grüße 🎬 ", "Grüße 🎬"),
        ("title", "u\u0308", "\xfc"),
        ("title", "\u200f\u05d0\u05d1", "\u200f\u05d0\u05d1"),
        ("album_artist", "Various", "Various"),
        ("year", "2014", "2014"),
        ("year", "987", "0987"),
        ("year", "2014-11-08", "2014-11-08"),
        ("track_number", "03/12", "3/12"),
        ("track_number", "999", "999"),
        ("comment", "one\r\ntwo", "one\ntwo"),
    ],
)
def test_a_value_is_understood(name, text, value):
    """As people write it; what is kept is one spelling of it."""
    assert to_options({name: text}) == Options(**{name: value})


@pytest.mark.parametrize("wrong", [pytest.param(wrong, id=name) for name, wrong in WRONG.items()])
def test_a_wrong_value_names_its_field_and_what_is_allowed(wrong: Wrong):
    """A person corrects it at once, and does not wait for a conversion that they did not want."""
    assert told_as(wrong, refusal(wrong.sent)), refusal(wrong.sent)


@pytest.mark.parametrize("name", [name for name in NAMES if getattr(Options(), name) is None])
@pytest.mark.parametrize("empty", ["", "  "])
def test_an_empty_field_is_no_choice_where_nothing_is_the_default(name, empty):
    """Pages send every field of a form, whether it was filled in or not."""
    assert to_options({name: empty}) == Options()


@pytest.mark.parametrize("name", ["quality", "channels", "damaged", "cover", "chapters"])
def test_an_empty_choice_among_fixed_values_is_refused(name):
    """A program that sends it has lost the value on the way."""
    assert [error["field"] for error in refusal({name: ""})] == [name]


def test_an_unknown_field_is_told_what_the_known_ones_are():
    """The closest one comes first, since it is probably the one that was meant."""
    [error] = refusal({"albumartist": "x"})

    assert error["message"].startswith("There is no such field. Did you mean `album_artist`? The fields are video, ")
    assert all(name in error["message"] for name in NAMES)
    assert "Did you mean" not in refusal({"zzz": "x"})[0]["message"]


def test_a_choice_that_copying_allows_can_be_combined_with_it():
    """Neither tags nor which track it is change the sound."""
    sent = {"quality": "copy", "track": "2", "channels": "auto", "title": "T", "cover": "none", "damaged": "accept"}

    assert to_options(sent).quality is Quality.COPY


def test_a_text_that_is_not_utf_8_is_refused():
    """It arrives with replacement characters, and would be shown so by every player."""
    assert refusal({"title": b"Gr\xfc\xdfe".decode(errors="replace")}) == [
        {"field": "title", "message": "Send it in UTF-8."}
    ]


clock_times = st.integers(min_value=0, max_value=MAX_TIME_S * 1000 - 1)


@given(clock_times)
def test_every_time_is_the_same_as_seconds_and_on_a_clock(milliseconds):
    """To the millisecond, for as long as a video may be."""
    seconds, rest = divmod(milliseconds, 1000)
    minutes, s = divmod(seconds, 60)
    h, min_ = divmod(minutes, 60)

    on_a_clock = to_options({"start": f"{h:02}:{min_:02}:{s:02}.{rest:03}"}).start

    assert on_a_clock == to_options({"start": f"{seconds}.{rest:03}"}).start
    assert on_a_clock is not None
    assert math.isclose(on_a_clock, timedelta(milliseconds=milliseconds).total_seconds(), abs_tol=1e-6)


@given(clock_times)
def test_a_time_of_the_cover_can_be_read_again(milliseconds):
    """It is kept as text, and convert makes a number of it."""
    text = f"{milliseconds // 1000}.{milliseconds % 1000:03}"

    assert float(to_options({"cover": text}).cover) == to_options({"start": text}).start


@given(st.text(max_size=20) | st.from_regex(r"[-+0-9:.einfa]{0,12}", fullmatch=True))
def test_any_text_is_a_sane_time_or_refused(text):
    """Whatever gets through reaches ffmpeg as a number."""
    try:
        start = to_options({"start": text}).start
    except InvalidInput:
        return
    assert start is None or 0 <= start < MAX_TIME_S


@given(st.dictionaries(st.sampled_from(NAMES) | st.text(max_size=10), st.text(max_size=30)))
def test_any_fields_are_options_or_refused_by_name(sent):
    """No input ends in an unforeseen error, and no error names a field that was not sent."""
    refused: tuple[FieldError, ...] = ()
    try:
        options = to_options(sent)
    except InvalidInput as error:
        options, refused = Options(), error.errors
    assert {error.field for error in refused} <= sent.keys()
    # What was taken is taken again.
    again = {name: str(value) for name, value in asdict(options).items() if value is not None}
    assert to_options(again) == options


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ({"start": "90"}, {"start": "00:01:30.000"}),
        ({"loudness": "-16"}, {"loudness": "-16.0"}),
        ({"track": "DE"}, {"track": "de"}),
        ({"cover": "90.50"}, {"cover": "1:30.5"}),
        ({"title": ""}, {}),
        ({"channels": "auto"}, {}),
    ],
)
def test_one_choice_in_two_spellings_is_one_request(first, second):
    """A repeat with the same Idempotency-Key must not be taken for another request because a program was updated."""
    assert fingerprint(to_options(first)) == fingerprint(to_options(second))


def test_another_choice_is_another_request():
    """Otherwise the second would be given the MP3 of the first."""
    assert fingerprint(to_options({"start": "90"})) != fingerprint(to_options({"end": "90"}))


@pytest.mark.parametrize("char", ["x", "ü", "東", "🎬"])
def test_the_longest_texts_fit_in_a_form_and_in_metadata(char):
    """A limit in characters that another limit in bytes undercuts would be a lie."""
    title, comment = char * MAX_TEXT, char * MAX_COMMENT
    metadata = f"filename {encoded('a.mp4')},title {encoded(title)},comment {encoded(comment)}"

    assert len(comment.encode()) <= MAX_FIELD_BYTES
    assert len(metadata) <= MAX_METADATA_BYTES
    assert describe(metadata).options == to_options({"title": title, "comment": comment})


def test_a_form_has_room_for_every_option():
    """The video is a part of it, too."""
    assert len(NAMES) + 1 <= MAX_PARTS


@pytest.mark.parametrize(
    "key",
    [
        *("Name", "filetype", "type", "relativePath", "caption", "language", "size", "resolution", "lastModified"),
        *("contentType", "mimetype", "folder", "user", "duration", "date", "description", "is_confidential"),
        *("bucketName", "objectName", "cacheControl", "metadata"),
    ],
)
def test_keys_that_clients_have_of_their_own_are_not_taken_for_misspelt_options(key):
    """Uppy and other tus clients send them with every upload."""
    assert describe(f"filename QQ==,{key} {encoded('anything')}").options == Options()


def test_the_tags_have_the_names_that_ffmpeg_knows():
    """What was not given is not there, so that the video's own tags hold."""
    options = to_options({"title": "T", "album_artist": "A", "year": "2014", "track_number": "3/12", "comment": "C"})

    assert options.tags() == {"title": "T", "album_artist": "A", "date": "2014", "track": "3/12", "comment": "C"}
    assert Options().tags() == {}
