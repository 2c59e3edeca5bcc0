"""What the letters of notify say, and what they never let through."""

import email
from datetime import timedelta
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP
from html.parser import HTMLParser

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from functions.notify.letters import LINK_TTL, Letters
from functions.notify.settings import Settings
from functions.notify.wording import MAX_NAME, bit_rate, channels, duration, file_name, plain, size
from functions.shared.conversions import Conversion, Failure
from functions.shared.events import Event, EventName
from functions.shared.links import Links
from tests.conversions import NOW
from tests.ended_conversions import COMPLETED, FAILED
from tests.fakes.shared import FakeClock

CLOCK = FakeClock(NOW)
LINKS = Links(("secret",), "https://mp3.example.org/", CLOCK)
NASTY = '<script>alert("1")</script>&\r\nBcc: all@example.org\x00\x1b[31m\u202e.mp4'


def test_the_completed_letter_says_what_the_mp3_is():
    """Title, length, size and bit rate are what a person wants to know before downloading."""
    text = body(write(COMPLETED), "plain")

    assert "Title:    holiday\n" in text
    assert "Length:   12 min 5 s\n" in text
    assert "Size:     14.2 MB\n" in text
    assert "Bit rate: 157 kbit/s, stereo\n" in text


def test_the_link_is_signed_and_said_to_work_for_three_days():
    """It needs no login, so it has to end, and people have to know when."""
    text = body(write(COMPLETED), "plain")

    [url] = [line for line in text.splitlines() if line.startswith("https://")]
    assert url.startswith("https://mp3.example.org/v1/downloads/")
    assert LINKS.read(url.rpartition("/")[2]) == "c1"
    assert "until 4 January 2026, 12:00 UTC" in text
    assert timedelta(days=3) == LINK_TTL


def test_the_link_is_not_said_to_work_longer_than_the_mp3_is_kept():
    """A promise that the sweep breaks is worse than a short one."""
    text = body(write(COMPLETED, expires_at=NOW + timedelta(hours=1)), "plain")

    assert "until 1 January 2026, 13:00 UTC" in text


def test_the_html_has_the_same_link_and_facts():
    """Most programs show only this part."""
    letter = write(COMPLETED)

    seen = Seen(body(letter, "html"))

    [url] = seen.links
    assert url in body(letter, "plain").splitlines()
    assert "12 min 5 s" in seen.text
    assert "until 4 January 2026, 12:00 UTC" in seen.text


def test_the_failed_letter_says_why_and_what_can_be_done():
    """A person who reads it should not have to ask anyone."""
    letter = write(FAILED)

    for text in (" ".join(body(letter, "plain").split()), Seen(body(letter, "html")).text):
        assert "The video has no sound. The video has no soundtrack" in text
        assert "try this conversion again" in text
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


@settings(deadline=None)  # a busy machine is no failure
@given(st.text(max_size=300), st.text(max_size=300))
def test_no_text_from_outside_breaks_out_of_a_letter(name, detail):
    """A file name is whatever somebody typed, and a reason may quote the file."""
    for letter in (
        write(COMPLETED, filename=name),
        write(FAILED, filename=name, error=Failure(type="x", title=name, detail=detail)),
    ):
        sent = email.message_from_bytes(letter.as_bytes(), policy=SMTP)
        assert isinstance(sent, EmailMessage)
        assert sorted(sent.keys()) == sorted(letter.keys())
        assert not sent.defects
        assert sent["To"] == "ann@example.com"
        # Python's email loses a space between two encoded words now and then; nothing else may change.
        assert "".join(sent["Subject"].split()) == "".join(letter["Subject"].split())
        for kind in ("plain", "html"):
            assert not [char for char in body(sent, kind) if ord(char) < 32 and char not in "\r\n"]
        seen = Seen(body(sent, "html"))
        assert seen.tags <= {"html", "head", "meta", "title", "body", "p", "table", "tr", "th", "td", "a"}
        assert all(link.startswith("https://mp3.example.org/") for link in seen.links)


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
