"""The name under which an MP3 is saved."""

import email.message
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from functions.download.dispositions import attachment, mp3_filename, names_in_zip
from functions.upload.filenames import clean_filename


@pytest.mark.parametrize(
    ("video", "mp3"),
    [
        ("movie.mp4", "movie.mp3"),
        ("my.holiday.2025.mkv", "my.holiday.2025.mp3"),
        ("Mr. Smith goes to Washington", "Mr. Smith goes to Washington.mp3"),
        ("video", "video.mp3"),
        (".mp4", ".mp4.mp3"),
        ("-i", "-i.mp3"),
        ("%d.mp4", "%d.mp3"),
        ("🎬" * 63 + ".mp4", "🎬" * 62 + ".mp3"),
    ],
)
def test_an_mp3_has_the_name_of_its_video(video, mp3):
    assert mp3_filename(video) == mp3
    assert len(mp3_filename(video).encode()) <= 255


@pytest.mark.parametrize(
    ("filename", "disposition"),
    [
        ("movie.mp3", "attachment; filename=\"movie.mp3\"; filename*=UTF-8''movie.mp3"),
        ('a"b\\c.mp3', "attachment; filename=\"a_b_c.mp3\"; filename*=UTF-8''a%22b%5Cc.mp3"),
        ("Ünï.mp3", "attachment; filename=\"Uni.mp3\"; filename*=UTF-8''%C3%9Cn%C3%AF.mp3"),
        ("映画.mp3", "attachment; filename=\"__.mp3\"; filename*=UTF-8''%E6%98%A0%E7%94%BB.mp3"),
        ("%41.mp3", "attachment; filename=\"_41.mp3\"; filename*=UTF-8''%2541.mp3"),
    ],
)
def test_a_disposition_has_an_ascii_name_and_the_exact_one(filename, disposition):
    assert attachment(filename) == disposition


@settings(deadline=None)
@given(st.text(alphabet=st.characters(), max_size=300))
def test_any_name_round_trips_in_one_clean_header(sent):
    """Row by row the same: whatever was sent, the client gets back what is shown, and no header is smuggled in."""
    name = mp3_filename(clean_filename(sent))

    disposition = attachment(name)

    assert re.fullmatch(r"[ -~]+", disposition)
    assert disposition.count('"') == 2
    message = email.message.Message()
    message["Content-Disposition"] = re.sub(r' filename="[^"]*";', "", disposition)
    assert message.get_filename() == name


@pytest.mark.parametrize(
    ("filenames", "names"),
    [
        (["a.mp3", "b.mp3"], ["a.mp3", "b.mp3"]),
        (["a.mp3", "a.mp3", "a.mp3"], ["a.mp3", "a (2).mp3", "a (3).mp3"]),
        (["Talk.mp3", "TALK.mp3"], ["Talk.mp3", "TALK (2).mp3"]),
        (["a (2).mp3", "a.mp3", "a.mp3"], ["a (2).mp3", "a.mp3", "a (3).mp3"]),
        (["é.mp3", "e\u0301.mp3"], ["é.mp3", "é (2).mp3"]),
        (["who: me?.mp3", "a\\b/c.mp3", '<*|">.mp3'], ["who_ me_.mp3", "a_b_c.mp3", "_____.mp3"]),
        (["nul.mp3", "COM1.x.mp3", "console.mp3"], ["_nul.mp3", "_COM1.x.mp3", "console.mp3"]),
        (["..mp3", ".hidden.mp3"], ["..mp3", ".hidden.mp3"]),
        (["🎬" * 62 + ".mp3"] * 2, ["🎬" * 62 + ".mp3", "🎬" * 61 + " (2).mp3"]),
    ],
)
def test_files_in_one_zip_can_be_unpacked_side_by_side_anywhere(filenames, names):
    """Windows and macOS take names for the same that differ in case, or in how an accent is written."""
    assert names_in_zip(filenames) == names
    assert all(len(name.encode()) <= 255 for name in names)
