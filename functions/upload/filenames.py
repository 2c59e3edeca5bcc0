"""The name of an uploaded file, made safe to keep and to show. Nothing is ever stored or run under it."""

import re
import unicodedata

MAX_NAME_BYTES = 255
NAMELESS = "video"

# Marks that turn the direction of text, so that `gpj.exe` can look like `exe.jpg`: https://www.unicode.org/reports/tr9/
_BIDI_MARKS = "\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069"
_REMOVED = re.compile(f"[\x00-\x1f\x7f-\x9f\u2028\u2029\ufeff\ud800-\udfff{_BIDI_MARKS}]")


def clean_filename(sent: str) -> str:
    """Return the base name of what a client sent, NFC-normalised, without control characters and bidi marks.

    It is cut to MAX_NAME_BYTES of UTF-8 between characters. A name of which nothing is left becomes `video`.
    """
    base = re.split(r"[/\\]", sent)[-1]
    name = unicodedata.normalize("NFC", _REMOVED.sub("", base)).strip()
    name = name.encode()[:MAX_NAME_BYTES].decode(errors="ignore").rstrip()
    return NAMELESS if set(name) <= {"."} else name
