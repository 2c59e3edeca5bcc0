"""Text from outside, made fit to print."""

import unicodedata

# Control characters, halves of surrogate pairs, the separators of lines and paragraphs, and format characters. The
# last are not seen, and some turn text around, so that `gpj.exe` can look like `exe.jpg`: https://www.unicode.org/reports/tr9/
_HIDDEN = frozenset({"Cc", "Cs", "Cf", "Zl", "Zp"})
# Format characters of which emoji, and words of Persian and of Indian languages, are made.
_JOINERS = "\u200c\u200d"


def printable(text: str, *, keep: str = "") -> str:
    """Return text without what is not seen, except for spaces and the characters in `keep`."""
    keep += _JOINERS
    return "".join(char for char in text if char in keep or unicodedata.category(char) not in _HIDDEN)


def escaped(text: str) -> str:
    r"""Return text on one line, with `\n`, `\x1b` and the like for all that does not print."""
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in text)
