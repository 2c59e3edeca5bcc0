"""Which tags become which frames, and which are left out."""

import io

import pytest
from hypothesis import given
from hypothesis import strategies as st
from mutagen.id3 import ID3, Encoding

from functions.convert.media.chapters import Chapter
from functions.convert.mp3.id3 import make_tag, sane_date


def read(tags: dict[str, str], chapters: tuple[Chapter, ...] = (), cover: bytes | None = None) -> ID3:
    return ID3(io.BytesIO(make_tag(tags, chapters, cover)), translate=False)


def texts(**tags: str) -> dict[str, str]:
    """Return the text of each frame."""
    return {name: str(frame) for name, frame in read(tags).items()} if make_tag(tags, (), None) else {}


@pytest.mark.parametrize(
    ("name", "frame"),
    [
        ("title", "TIT2"),
        ("artist", "TPE1"),
        ("performer", "TPE1"),
        ("author", "TPE1"),
        ("album", "TALB"),
        ("album/title", "TALB"),
        ("album_artist", "TPE2"),
        ("albumartist", "TPE2"),
        ("album artist", "TPE2"),
        ("composer", "TCOM"),
        ("copyright", "TCOP"),
        ("publisher", "TPUB"),
        ("label", "TPUB"),
        ("organization", "TPUB"),
        ("genre", "TCON"),
        ("comment", "COMM::XXX"),
        ("description", "COMM::XXX"),
        ("synopsis", "COMM::XXX"),
        ("lyrics", "USLT::XXX"),
        ("lyrics-deu", "USLT::deu"),
        ("lyrics-xxx", "USLT::XXX"),
        ("unsyncedlyrics", "USLT::XXX"),
        ("com.apple.quicktime.title", "TIT2"),
        ("com.apple.quicktime.artist", "TPE1"),
    ],
)
def test_each_name_of_a_tag_has_its_frame(name, frame):
    """Each container has its own names for the same thing."""
    assert texts(**{name: "Zoë"}) == {frame: "Zoë"}


def test_the_better_name_wins():
    """A description is a substitute for a comment, and not a second one."""
    tags = {
        "description": "long",
        "comment": "short",
        "performer": "b",
        "artist": "a",
        "com.apple.quicktime.title": "b",
    }

    assert texts(**tags, title="a") == {"COMM::XXX": "short", "TPE1": "a", "TIT2": "a"}


def test_an_empty_tag_gives_way_to_the_next():
    """Some programs write every tag, even without a value."""
    assert texts(artist=" \n", performer="Ann", comment="\0", description="b") == {"TPE1": "Ann", "COMM::XXX": "b"}


@pytest.mark.parametrize(
    "name",
    [
        *("location", "location-eng", "com.apple.quicktime.location.iso6709", "gps", "xyz"),
        *("encoder", "encoded_by", "major_brand", "compatible_brands", "handler_name", "vendor_id", "software"),
        *("make", "model", "com.apple.quicktime.make", "com.android.version", "timecode", "creation_time"),
        *("com.apple.quicktime.creationdate", "purchase_date", "date_encoded", "account_id", "language", "title-eng"),
    ],
)
def test_what_no_player_shows_is_left_out(name):
    """The video of a phone says where its owner lives."""
    assert make_tag({name: "2014-11-08"}, (), None) == b""


def test_without_anything_to_say_there_is_no_tag():
    """An empty tag is of no use to a player."""
    assert make_tag({}, (), None) == b""
    assert make_tag({"title": "\u202e", "track": "0", "date": "0000", "compilation": "0"}, (), b"") == b""


@pytest.mark.parametrize(
    ("tags", "frame"),
    [
        ({"track": "3"}, "3"),
        ({"track": "03"}, "3"),
        ({"track": "3/12"}, "3/12"),
        ({"track": "3 of 12"}, "3/12"),
        ({"track": "3/"}, "3"),
        ({"track": "3/0"}, "3"),
        ({"track": "3", "tracktotal": "12"}, "3/12"),
        ({"tracknumber": "3", "totaltracks": "012"}, "3/12"),
        ({"track": "3/12", "tracktotal": "99"}, "3/12"),
        ({"track": "3", "tracktotal": "many"}, "3"),
        ({"track": "A1"}, None),
        ({"track": "-1"}, None),
        ({"track": "0/12"}, None),
        ({"track": "123456"}, None),
        ({"track": "٣"}, None),
        ({"tracktotal": "12"}, None),
    ],
)
def test_track_numbers_are_numbers(tags, frame):
    """Players sort by them."""
    assert texts(**tags) == ({"TRCK": frame} if frame else {})


@pytest.mark.parametrize(
    "tags", [{"disc": "1/2"}, {"discnumber": "1", "disctotal": "2"}, {"disc": "1", "totaldiscs": "2"}, {"disk": "1/2"}]
)
def test_disc_numbers_are_numbers(tags):
    """Without them, the tracks of an album on several discs are mixed up."""
    assert texts(**tags) == {"TPOS": "1/2"}


@pytest.mark.parametrize(
    ("genre", "written"),
    [
        ("Rock", "Rock"),
        ("17", "Rock"),
        ("(17)", "Rock"),
        ("(4)Eurodisco", "Disco, Eurodisco"),
        ("(31)(39)", "Trance, Noise"),
        ("(RX)", "Remix"),
        ("255", None),
        ("(255)", None),
        ("Drum & Bass", "Drum & Bass"),
    ],
)
def test_numbers_of_genres_become_names(genre, written):
    """Few players know the list of ID3v1, and no listener does."""
    assert texts(genre=genre) == ({"TCON": written} if written else {})


@pytest.mark.parametrize(("text", "is_one"), [("1", True), ("true", True), ("Yes", True), ("0", False), ("no", False)])
def test_a_compilation_is_marked(text, is_one):
    """Otherwise a player shows one album for each artist."""
    assert texts(compilation=text) == ({"TCMP": "1"} if is_one else {})


@pytest.mark.parametrize(
    ("text", "date"),
    [
        ("20141108", (2014, 11, 8)),
        ("2014-11-08", (2014, 11, 8)),
        ("2014-11-08T10:11:12Z", (2014, 11, 8)),
        ("2014-11-08T10:11:12+01:00", (2014, 11, 8)),
        ("2014-11-08 10:11:12.000", (2014, 11, 8)),
        ("20141108T101112", (2014, 11, 8)),
        ("20141108101112", (2014, 11, 8)),
        ("2014-1-8", (2014, 1, 8)),
        ("2014-11", (2014, 11, None)),
        (" 2014 ", (2014, None, None)),
        ("814", (814, None, None)),
        ("08.11.2014", (2014, None, None)),
        ("08-11-2014", (2014, None, None)),
        ("11/8/2014", (2014, None, None)),
        ("2014/11/08", (2014, None, None)),
        ("2014:11:08 10:11:12", (2014, None, None)),
        ("Sat Nov 8 2014", (2014, None, None)),
        ("Sat Nov  8 10:11:12 2014", (2014, None, None)),
        ("Sat, 08 Nov 2014 10:11:12 +0100", (2014, None, None)),
        ("Sat Nov 8 10:11:12 CEST 2014", (2014, None, None)),
        ("November 8th, 2014", (2014, None, None)),
        ("20140000", (2014, None, None)),
        ("2014-00-00", (2014, None, None)),
        ("2014-13-08", (2014, None, None)),
        ("2014-02-30", (2014, 2, None)),
        ("1970", (1970, None, None)),
        ("1970-01-01", None),
        ("1970-01-01T00:00:00.000000Z", None),
        ("1904-01-01", None),
        ("0000", None),
        ("0000-00-00", None),
        ("0", None),
        ("12345678", None),
        ("12345", None),
        ("-5", None),
        ("２０１４", None),  # noqa: RUF001  # digits, but not those of a date
        ("Version 2014", None),
        ("2010-2014", None),
        ("unknown", None),
        ("", None),
        ("8" * 100_000, None),
    ],
)
def test_dates_are_taken_as_far_as_they_are_certain(text, date):
    """The day comes first in Vienna and second in Boston."""
    assert sane_date(text) == date


@given(st.text() | st.from_regex(r"[0-9T:+\-./ ]*", fullmatch=True))
def test_no_date_is_impossible(text):
    """TYER and TDAT have four digits each."""
    date = sane_date(text)

    assert date is None or (
        1 <= date[0] <= 9999 and (date[1] is None or 1 <= date[1] <= 12) and (date[2] is None or 1 <= date[2] <= 31)
    )


@pytest.mark.parametrize(
    ("tags", "frames"),
    [
        ({"date": "20141108"}, {"TYER": "2014", "TDAT": "0811"}),
        ({"date": "2014-11"}, {"TYER": "2014"}),
        ({"date": "8.11.2014"}, {"TYER": "2014"}),
        ({"date": "814"}, {"TYER": "0814"}),
        ({"year": "2014"}, {"TYER": "2014"}),
        ({"date_released": "2014-11-08 10:11:12"}, {"TYER": "2014", "TDAT": "0811"}),
        ({"date_recorded": "2014-11-08T10:11:12"}, {"TYER": "2014", "TDAT": "0811"}),
        ({"date_tagged": "Sat Nov 8 2014"}, {"TYER": "2014"}),
        ({"date": "2014", "originaldate": "1969", "date_tagged": "2020"}, {"TYER": "2014"}),
        ({"date": "0000", "date_released": "2014", "date_recorded": "2013"}, {"TYER": "2014"}),
        ({"date": "unknown", "originaldate": "1969-09-26"}, {"TYER": "1969", "TDAT": "2609"}),
        ({"creation_time": "2014-11-08T10:11:12.000000Z"}, {}),
    ],
)
def test_the_year_is_that_of_this_edition(tags, frames):
    """Players show it as the year of the music. The time at which a file or its tags were written is something else."""
    assert texts(**tags) == frames


def test_text_is_latin_1_where_that_is_enough():
    """Old players show anything else as garbage."""
    tag = read({"title": "Zoë", "artist": "Дмитрий", "comment": "é\nü", "lyrics": "🎵"}, (Chapter(0.0, 1.0, "Días"),))

    encodings = {name: frame.encoding for name, frame in tag.items() if hasattr(frame, "encoding")}
    assert encodings == {
        "TIT2": Encoding.LATIN1,
        "TPE1": Encoding.UTF16,
        "COMM::XXX": Encoding.LATIN1,
        "USLT::XXX": Encoding.UTF16,
    }
    assert tag["CHAP:chp0"].sub_frames["TIT2"].encoding == Encoding.LATIN1
    assert b"\xff\xfe" + "Дмитрий".encode("utf-16-le") in make_tag({"artist": "Дмитрий"}, (), None)


def test_text_that_was_decoded_wrongly_is_left_out():
    """No title is better than a row of question marks."""
    assert texts(title="���", artist="Zoë") == {"TPE1": "Zoë"}


def test_text_is_made_printable_and_short():
    """A title is one line. Comments and lyrics keep their lines."""
    tags = {
        "title": " one\r\ntwo\x1b\u202e ",
        "album": "x" * 10_000,
        "comment": "a\r\nb\rc\0",
        "lyrics": "l\n" * 50_000,
    }

    written = texts(**tags)

    assert written["TIT2"] == "one two"
    assert written["TALB"] == "x" * 500
    assert written["COMM::XXX"] == "a\nb\nc"
    assert len(written["USLT::XXX"]) == 19_999


@given(
    st.dictionaries(
        st.sampled_from(["title", "artist", "genre", "track", "disc", "date", "comment", "lyrics-eng", "compilation"]),
        st.text(),
    )
)
def test_any_text_makes_a_tag_that_can_be_read(tags):
    """The values come from outside."""
    made = make_tag(tags, (), None)

    if made:
        tag = ID3(io.BytesIO(made), translate=False)
        assert tag.version == (2, 3, 0)
        assert tag.unknown_frames == []
        assert tag.size == len(made)


def test_chapters_are_written_in_order_after_their_table_of_contents():
    """Some players list them in the order of the file, and most show none without the table."""
    chapters = tuple(Chapter(float(n), n + 1.0, "x" * (20 - n)) for n in range(12))

    made = make_tag({}, chapters, None)

    places = [made.index(f"chp{n}\0".encode(), made.index(b"CHAP")) for n in range(12)]
    assert made.index(b"CTOC") < places[0]
    assert places == sorted(places)


def test_extreme_times_of_chapters_fit_into_their_bytes():
    """They are milliseconds in 32 bits."""
    tag = read({}, (Chapter(-1.0, 1e12, "a"),))

    assert (tag["CHAP:chp0"].start_time, tag["CHAP:chp0"].end_time) == (0, 2**32 - 2)


def test_a_chapter_without_a_title_is_numbered():
    """Some players skip a chapter that has no title."""
    tag = read({}, (Chapter(0.0, 1.0, "a"), Chapter(1.0, 2.0, "")))

    assert str(tag["CHAP:chp1"].sub_frames["TIT2"]) == "Chapter 2"


def test_the_cover_is_a_front_cover_and_comes_last():
    """A player that reads only the start of a file has the text by then."""
    made = make_tag({"title": "a"}, (Chapter(0.0, 1.0, "b"),), b"\xff\xd8\xff\xd9")

    picture = ID3(io.BytesIO(made))["APIC:"]
    assert (picture.mime, picture.type, picture.desc, picture.data) == ("image/jpeg", 3, "", b"\xff\xd8\xff\xd9")
    assert made.endswith(b"APIC\0\0\0\x12\0\0\0image/jpeg\0\x03\0\xff\xd8\xff\xd9")
