"""The name of an uploaded file, made safe to keep and to show. Nothing is ever stored or run under it."""

import re
import unicodedata

from functions.shared.text import printable

MAX_NAME_BYTES = 255
NAMELESS = "video"


def clean_filename(sent: str) -> str:
    """Return the base name of what a client sent, NFC-normalised, without what is not seen.

    It is cut to MAX_NAME_BYTES of UTF-8 between characters. A name of which nothing is left becomes `video`.
    """
    base = re.split(r"[/\\]", sent)[-1]
    name = unicodedata.normalize("NFC", printable(base)).strip()
    name = name.encode()[:MAX_NAME_BYTES].decode(errors="ignore").rstrip()
    return NAMELESS if set(name) <= {"."} else name
