"""Text from outside, made fit to print."""

import unicodedata

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from functions.shared.text import escaped, printable


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("Żółć 🎬.mp4", "Żółć 🎬.mp4"),
        ("a\r\nb\x00\x1b[31mc\x9b31md", "ab[31mc31md"),
        ("gpj\u202eexe.\u2066mp4", "gpjexe.mp4"),
        ("a\u2028b\u2029c", "abc"),
        ("\ufeffzero\u200bwidth", "zerowidth"),
        ("half a pair \ud800", "half a pair "),
        ("👩\u200d💻 नहीं क्\u200cष", "👩\u200d💻 नहीं क्\u200cष"),
        ("wide\u3000and\u00a0hard", "wide\u3000and\u00a0hard"),
    ],
)
def test_what_is_not_seen_is_left_out(text, shown):
    """It could hide what a name is, or command a terminal. What words and emoji are made of stays."""
    assert printable(text) == shown


def test_what_the_caller_wants_is_kept():
    """A comment has lines, a file name has none."""
    assert printable("one\r\n\ttwo\x00", keep="\n\t") == "one\n\ttwo"


@settings(deadline=None)  # a busy machine is no failure
@given(st.text(alphabet=st.characters()))
def test_any_text_becomes_printable(text):
    """No control character, no half of a pair, and what was made printable once stays as it is."""
    shown = printable(text)

    assert not {"Cc", "Cs", "Zl", "Zp"} & {unicodedata.category(character) for character in shown}
    assert printable(shown) == shown
    shown.encode()


@pytest.mark.parametrize(
    ("text", "seen"),
    [
        ("Żółć 🎬.mp4", "Żółć 🎬.mp4"),
        ("a\r\n\tb", r"a\r\n\tb"),
        ("\x1b[31m\x9b\x7f", r"\x1b[31m\x9b\x7f"),
        ("\u2028\u202e\ud800", r"\u2028\u202e\ud800"),
    ],
)
def test_what_is_not_seen_can_be_shown_as_an_escape(text, seen):
    """In a log it matters what was there."""
    assert escaped(text) == seen


@settings(deadline=None)  # a busy machine is no failure
@given(st.text(alphabet=st.characters()))
def test_escaped_text_is_one_printable_line(text):
    """A second line in a log would be somebody else's word."""
    assert escaped(text).isprintable()
