"""What the letters of notify say, and what they never let through."""

import base64
import email
import re
from datetime import timedelta
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP
from html.parser import HTMLParser

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from functions.auth.emails import clean_email
from functions.notify.letters import LINK_TTL, Letters
from functions.notify.mailers import Undeliverable, recipient
from functions.notify.settings import Settings
from functions.notify.wording import MAX_NAME, bit_rate, channels, duration, file_name, plain, size, undecodable
from functions.shared.conversions import Conversion, Failure, Method, Note, Owner, Source, Track
from functions.shared.events import Event, EventName
from functions.shared.links import Links
from functions.shared.options import Options
from tests.conversions import NOW
from tests.ended_conversions import COMPLETED, FAILED
from tests.fakes.shared import FakeClock

CLOCK = FakeClock(NOW)
LINKS = Links(("secret",), "https://mp3.example.org/", CLOCK)
# What somebody would like to stand in a letter, as an encoded word (RFC 2047).
SMUGGLED = ["x\r\nBcc: evil@example.com\r\n", "x\r\n\r\nAnother body", "v@victim.com,", "\x1b[31m", "żółć"]
NASTY = '<script>alert("1")</script>&\r\nBcc: all@example.org\x00\x1b[31m\u202e.mp4'


def test_the_completed_letter_says_what_the_mp3_is():
    """Title, length, size and bit rate are what a person wants to know before downloading."""
    text = body(write(COMPLETED), "plain")

    assert "Title:    holiday\n" in text
    assert "Length:   12 min 5 s\n" in text
    assert "Size:     14.2 MB\n" in text
    assert "Bit rate: 157 kbit/s, stereo\n" in text


def test_a_warning_is_in_both_parts_of_the_letter():
    """A person who hears a gap wants to know that it was in the video."""
    warnings = (Note("filled-gap", "2 s <were> missing\r\nat 1:30."), Note("other-track", "Soundtrack 1 is silent."))

    letter = write(COMPLETED, warnings=warnings)

    noted = "Please note:\n- 2 s <were> missing at 1:30.\n- Soundtrack 1 is silent.\n"
    assert noted in body(letter, "plain").replace("\r\n", "\n")
    seen = Seen(body(letter, "html"))
    assert "2 s <were> missing at 1:30." in seen.text
    assert "Soundtrack 1 is silent." in seen.text
    assert "were" not in seen.tags


def test_without_warnings_the_letter_says_nothing_of_them():
    """Most videos are fine."""
    for kind in ("plain", "html"):
        assert "note" not in body(write(COMPLETED), kind)


def test_the_letter_says_that_the_sound_was_copied():
    """Nothing was lost then, and nobody need wonder why the bit rate is not the one of the other MP3s."""
    assert COMPLETED.mp3
    copied = write(COMPLETED, mp3=msgspec.structs.replace(COMPLETED.mp3, method=Method.COPIED))

    assert "copied as it was" in body(copied, "plain")
    assert "copied" not in body(write(COMPLETED), "plain")


@pytest.mark.parametrize(
    ("track", "words"),
    [(1, "1 of 3 (eng)"), (2, "2 of 3 (deu, Für <Blinde> und Sehende)"), (3, "3 of 3"), (None, "all 3, mixed")],
)
def test_the_letter_says_which_of_several_soundtracks_is_heard(track, words):
    """The video has the others too, and the person may have meant one of them."""
    tracks = (
        Track(1, "aac", 2, 48_000, "eng", None, default=True, role=None, usable=True),
        Track(2, "aac", 2, 48_000, "deu", "Für\n<Blinde> und \u202eSehende", default=False, role=None, usable=True),
        Track(3, "aac", 2, 48_000, None, "\x00", default=False, role=None, usable=True),
    )
    assert COMPLETED.mp3
    mp3 = msgspec.structs.replace(COMPLETED.mp3, track=track, source=Source("aac", 2, 48_000, None))

    letter = write(COMPLETED, mp3=mp3, video=msgspec.structs.replace(COMPLETED.video, tracks=tracks))

    assert re.search(rf"^Soundtrack: +{re.escape(words)}\r?$", body(letter, "plain"), re.MULTILINE)
    assert f"Soundtrack{words}" in Seen(body(letter, "html")).text
    only = msgspec.structs.replace(COMPLETED.video, tracks=tracks[:1])
    assert "Soundtrack" not in body(write(COMPLETED, mp3=mp3, video=only), "plain")


def test_the_title_is_the_one_that_the_person_chose():
    """The file's name is a poor title, which is why they chose one."""
    letter = write(COMPLETED, options=Options(title="Our\u202e holiday"))

    assert re.search(r"^Title: +Our holiday\r?$", body(letter, "plain"), re.MULTILINE)


def test_the_links_are_signed_and_said_to_work_for_three_days():
    """They need no login, so they have to end, and people have to know when. One leads to a page with a player."""
    text = body(write(COMPLETED), "plain")

    page, file = [line for line in text.splitlines() if line.startswith("https://")]
    assert page.startswith("https://mp3.example.org/#/link/")
    assert file.startswith("https://mp3.example.org/v1/downloads/")
    assert {LINKS.read(url.rpartition("/")[2]) for url in (page, file)} == {"c1"}
    assert "until 4 January 2026, 12:00 UTC" in text
    assert timedelta(days=3) == LINK_TTL


def test_the_link_is_not_said_to_work_longer_than_the_mp3_is_kept():
    """A promise that the sweep breaks is worse than a short one."""
    text = body(write(COMPLETED, expires_at=NOW + timedelta(hours=1)), "plain")

    assert "until 1 January 2026, 13:00 UTC" in text


@pytest.mark.parametrize("ended", [COMPLETED, FAILED], ids=["completed", "failed"])
def test_the_letter_says_until_when_all_is_kept(ended):
    """After that there is nothing to download or to try again, and nobody should find that out by surprise."""
    letter = write(ended, expires_at=NOW + timedelta(days=30))

    assert re.search(r"^Kept until: +31 January 2026, 12:00 UTC$", body(letter, "plain"), re.MULTILINE)
    assert "Kept until31 January 2026, 12:00 UTC" in Seen(body(letter, "html")).text
    assert "Kept" not in body(write(ended), "plain")


def test_the_html_has_the_same_links_and_facts():
    """Most programs show only this part."""
    letter = write(COMPLETED)

    seen = Seen(body(letter, "html"))

    assert len(seen.links) == 2
    assert set(seen.links) <= set(body(letter, "plain").splitlines())
    assert "12 min 5 s" in seen.text
    assert "until 4 January 2026, 12:00 UTC" in seen.text


def test_the_failed_letter_says_why_and_what_can_be_done():
    """A person who reads it should not have to ask anyone."""
    letter = write(FAILED)

    for text in (" ".join(body(letter, "plain").split()), Seen(body(letter, "html")).text):
        assert "The video has no sound. The video has no soundtrack" in text
        assert "start the conversion again" in text
        assert "no-audio-track" in text
    assert "http" not in body(letter, "plain")


def test_a_repeat_has_the_same_message_id():
    """Mail servers and programs drop a repeat by it, should one ever be sent."""
    assert write(COMPLETED)["Message-ID"] == write(COMPLETED)["Message-ID"] == "<e1@example.org>"


@pytest.mark.parametrize("event_id", ["../x", "a>b", "a\r\nBcc: x@y.z", "a b", "ż"])
def test_any_event_id_gives_a_message_id_that_is_one(event_id):
    """An event's id comes from outside."""
    message_id = write(COMPLETED, event_id=event_id)["Message-ID"]

    left, _, domain = message_id.strip("<>").partition("@")
    assert domain == "example.org"
    assert left.replace("-", "").isalnum() or not left.replace("-", "")
    assert left.isascii()


def test_a_letter_says_that_a_machine_wrote_it():
    """Otherwise holiday notices answer it."""
    letter = write(COMPLETED)

    assert letter["Auto-Submitted"] == "auto-generated"
    assert letter["Date"].datetime == NOW
    assert letter.get_content_type() == "multipart/alternative"


def encoded_word(charset: str, encoding: str, text: str) -> str:
    """Return an encoded word of RFC 2047."""
    content = text.encode()
    coded = base64.b64encode(content).decode() if encoding in "bB" else "".join(f"={byte:02X}" for byte in content)
    return f"=?{charset}?{encoding}?{coded}?="


encoded_words = st.builds(
    encoded_word, st.sampled_from(["utf-8", "us-ascii", "x"]), st.sampled_from("qQbB"), st.sampled_from(SMUGGLED)
)
foreign_text = st.lists(
    st.text(max_size=100) | encoded_words | st.sampled_from(["=", "?", "=?", "?="]), max_size=6
).map("".join)


@settings(deadline=None)  # a busy machine is no failure
@given(foreign_text, foreign_text)
def test_no_text_from_outside_breaks_out_of_a_letter(name, detail):
    """A file name is whatever somebody typed, and a reason may quote the file."""
    for letter in (
        write(COMPLETED, filename=name, options=Options(title=name), warnings=(Note("x", detail),)),
        write(FAILED, filename=name, error=Failure(type="x", title=name, detail=detail)),
    ):
        sent = email.message_from_bytes(letter.as_bytes(), policy=SMTP)
        assert isinstance(sent, EmailMessage)
        assert sorted(sent.keys()) == sorted(letter.keys())
        assert not sent.defects
        assert sent["To"] == "ann@example.com"
        assert sent["Subject"] == letter["Subject"]
        for kind in ("plain", "html"):
            assert body(sent, kind).splitlines() == body(letter, kind).splitlines()
            assert not [char for char in body(sent, kind) if ord(char) < 32 and char not in "\r\n"]
        seen = Seen(body(sent, "html"))
        assert seen.tags <= {"html", "head", "meta", "title", "body", "p", "table", "tr", "th", "td", "ul", "li", "a"}
        assert all(link.startswith("https://mp3.example.org/") for link in seen.links)


marks = st.sampled_from(["a", "=", "?", "=?", "?=", "_", ".", ",", "@", " ", '"', "<", ">", "\r\n", "ż", "x" * 60])


@settings(deadline=None)  # a busy machine is no failure
@given(st.lists(encoded_words | marks, max_size=6).map("".join), st.lists(marks, max_size=3).map("".join))
def test_a_letter_goes_to_the_stored_address_or_to_nobody(local_part, domain):
    """An account may be older than the rule that its address had to pass; nobody else may get its link."""
    stored = f"{local_part}@{domain}.example.com"
    letter = write(COMPLETED, owner=Owner("u1", stored))

    sent = email.message_from_bytes(letter.as_bytes(), policy=SMTP)
    assert isinstance(sent, EmailMessage)
    assert sorted(sent.keys()) == sorted(letter.keys())
    assert body(sent, "plain").splitlines() == body(letter, "plain").splitlines()
    for message in (letter, sent):
        assert [address.addr_spec for address in message["To"].addresses] in ([], [stored])


@pytest.mark.parametrize("stored", ["ann+mp3=x?@example.com", "o'neil.{a|b}~^`#$%&*/!@a-b.example.com", "A_1@xn--a.pl"])
def test_every_address_that_can_be_registered_gets_its_letter(stored):
    """What is refused here and not at registration would never learn of its MP3."""
    assert clean_email(stored) == stored
    assert write(COMPLETED, owner=Owner("u1", stored))["To"] == stored


@pytest.mark.parametrize(
    "stored", ["=?utf-8?q?v=40victim.com=2C?=@b.de", "a=?b@b.de", "a,b@b.de", "a b@b.de", "ann", ""]
)
def test_an_address_that_could_be_read_as_another_is_nobodys(stored):
    """Python would write the first as `v@victim.com,@b.de`."""
    letter = write(COMPLETED, owner=Owner("u1", stored))

    assert letter["To"] == "nobody:;"
    with pytest.raises(Undeliverable, match="one address"):
        recipient(letter)


@pytest.mark.parametrize("filename", [f"{encoded_word('utf-8', 'q', SMUGGLED[0])}.mp4", "=?utf-8?b?eA==?=", "a=?b.mp4"])
def test_an_encoded_word_in_a_file_name_is_shown_as_it_is(filename):
    """Python would decode it, line breaks included, and write what comes out into the header."""
    letter = write(COMPLETED, filename=filename)

    assert letter["Subject"] == f"Your MP3 is ready: {filename.replace('=?', '= ?')}"
    assert filename.removesuffix(".mp4") in body(letter, "plain")


@pytest.mark.parametrize(
    "filename",
    [
        "band's la w live live śpiew 🎬 część à 🎬 band's.mp4",
        "it of w 2024 10 [HD] 2 górach Żółć śpiew à band's.mp4",
        "0" * 33 + "= x= x0ࠀ𐀀𐀀 ¡¡¡¡𐀀𐀀 ¡.mp4",
        "東京の夜" * 20 + ".mp4",
        "a, b; c " * 11 + ".mp4",
    ],
)
def test_every_character_of_a_subject_arrives(filename):
    """Python's own folding makes `=?utf-8?q?=C5=9Bp iew?=` of some words."""
    letter = write(COMPLETED, filename=filename)

    raw = letter.as_bytes()
    assert email.message_from_bytes(raw, policy=SMTP)["Subject"] == f"Your MP3 is ready: {filename}"
    assert all(len(line) <= 78 for line in raw.partition(b"\r\nDate: ")[0].split(b"\r\n"))


@settings(deadline=None)  # a busy machine is no failure
@given(foreign_text)
def test_nothing_begins_an_encoded_word_in_undecodable_text(text):
    """Whatever stands around the two characters."""
    assert "=?" not in undecodable(text)
    assert undecodable(text).replace(" ", "") == text.replace(" ", "")


def test_a_nasty_file_name_is_shown_harmless():
    """No markup, no second header, no escape sequence for a terminal, no turned-around text."""
    letter = write(COMPLETED, filename=NASTY)

    assert letter["Subject"] == "Your MP3 is ready: script>& Bcc: all@example.org[31m.mp4"
    assert "Bcc" not in letter
    assert "<script" not in body(letter, "html")


def test_an_event_that_no_longer_holds_gives_no_letter():
    """The conversion was tried again in between, or never ended so."""
    letters = Letters(sender(), LINKS, CLOCK)

    assert letters.write(event(EventName.CONVERSION_COMPLETED), FAILED) is None
    assert letters.write(event(EventName.CONVERSION_FAILED), COMPLETED) is None
    assert letters.write(event(EventName.VIDEO_UPLOADED), COMPLETED) is None


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0.2, "0 s"), (5.31, "5 s"), (59.6, "1 min 0 s"), (725.4, "12 min 5 s"), (3725, "1 h 2 min 5 s")],
)
def test_a_duration_is_said_in_hours_minutes_and_seconds(seconds, words):
    """5.31 or 3725 seconds are nothing that a person reads."""
    assert duration(seconds) == words


@pytest.mark.parametrize(
    ("count", "words"), [(325, "0.3 kB"), (84_000, "84.0 kB"), (14_200_000, "14.2 MB"), (2_500_000_000, "2.5 GB")]
)
def test_a_size_is_said_in_decimal_units(count, words):
    """So do file managers, of late."""
    assert size(count) == words


def test_sound_is_said_as_people_say_it():
    """Bit rate and channels."""
    assert (bit_rate(320_000), bit_rate(156_600)) == ("320 kbit/s", "157 kbit/s")
    assert (channels(1), channels(2), channels(6)) == ("mono", "stereo", "6 channels")


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("holiday.mp4", "holiday.mp4"),
        ("C:\\Users\\Ann\\holiday.mp4", "holiday.mp4"),
        ("../../etc/passwd", "passwd"),
        ("a\tb\n c.mp4", "a b c.mp4"),
        ("Żółć 🎬.mp4", "Żółć 🎬.mp4"),
        ("gpj\u202eexe.mp4", "gpjexe.mp4"),
        ("\ud800.mp4", ".mp4"),
        ("", "video"),
        ("\x00", "video"),
        ("x" * 300, "x" * (MAX_NAME - 1) + "…"),
    ],
)
def test_a_file_name_is_one_short_line(text, name):
    """It stands in a subject, where nothing hidden may be and little room is."""
    assert file_name(text) == name


@settings(deadline=None)  # a busy machine is no failure
@given(st.text())
def test_plain_text_stays_as_it_is(text):
    """Making it plain twice is making it plain once."""
    assert plain(plain(text)) == plain(text)


class Seen(HTMLParser):
    """What a mail program makes of HTML: its tags, links and text."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.links: list[str] = []
        self.text = ""
        self.feed(html)

    def handle_starttag(self, tag, attrs):
        self.tags.add(tag)
        self.links += [value for name, value in attrs if name in {"href", "src"} and value]

    def handle_data(self, data):
        self.text += data


def sender() -> Address:
    return Settings(mongodb_url="-", link_keys="-", mail_from="video2mp3 <mail@example.org>").sender


def event(name: EventName, event_id: str = "e1") -> Event:
    return Event(event_id, name, "c1", NOW)


def write(conversion: Conversion, event_id: str = "e1", **changes) -> EmailMessage:
    """Return the letter about a conversion with these fields changed."""
    name = EventName.CONVERSION_COMPLETED if conversion is COMPLETED else EventName.CONVERSION_FAILED
    changed = msgspec.structs.replace(conversion, **changes)
    letter = Letters(sender(), LINKS, CLOCK).write(event(name, event_id), changed)
    assert letter is not None
    return letter


def body(letter: EmailMessage, subtype: str) -> str:
    part = letter.get_body((subtype,))
    assert part is not None
    content: str = part.get_content()
    return content
