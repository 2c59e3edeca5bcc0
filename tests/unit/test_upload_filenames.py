"""The names of uploaded files."""

import unicodedata

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from functions.upload.filenames import MAX_NAME_BYTES, clean_filename


@pytest.mark.parametrize(
    ("sent", "kept"),
    [
        ("movie.mp4", "movie.mp4"),
        ("../../etc/passwd", "passwd"),
        ("/etc/passwd", "passwd"),
        ("C:\\fakepath\\movie.mp4", "movie.mp4"),
        ("a\r\nSet-Cookie: x\x00.mp4", "aSet-Cookie: x.mp4"),
        ("a\"b'c.mp4", "a\"b'c.mp4"),
        ("\u202egpj.exe\u202c", "gpj.exe"),
        ("\u2066a\u2069\u200e\u200f\u061c.mp4", "a.mp4"),
        ("\ufeffmovie.mp4", "movie.mp4"),
        ("👩\u200d💻 🎬.mp4", "👩\u200d💻 🎬.mp4"),
        ("u\u0308ber.mp4", "über.mp4"),
        ("  spaced .mp4 ", "spaced .mp4"),
        ("-i", "-i"),
        ("concat:x", "concat:x"),
        ("%d.mp4", "%d.mp4"),
        (".hidden", ".hidden"),
        ("half a pair \ud800.mp4", "half a pair .mp4"),
        ("", "video"),
        (".", "video"),
        ("..", "video"),
        ("videos/", "video"),
        ("\x00\u202e", "video"),
    ],
)
def test_a_name_is_made_safe_to_show(sent, kept):
    """It is for display only: nothing is stored or run under it."""
    assert clean_filename(sent) == kept


def test_a_long_name_is_cut_between_characters():
    """Half a character would make the name, and the header that carries it, unreadable."""
    assert clean_filename("é" * 300) == "é" * 127
    assert clean_filename("x" + "🎬" * 300) == "x" + "🎬" * 63


@settings(deadline=None)
@given(st.text(alphabet=st.characters(), max_size=400))
def test_any_text_becomes_a_name_that_stays_as_it_is(sent):
    """What was cleaned once, cleaning does not change."""
    name = clean_filename(sent)

    assert clean_filename(name) == name
    assert 0 < len(name.encode()) <= MAX_NAME_BYTES
    assert unicodedata.is_normalized("NFC", name)
    assert not {"/", "\\", "\r", "\n", "\x00", "\u202e"} & set(name)
    assert not {"Cc", "Cs"} & {unicodedata.category(character) for character in name}
