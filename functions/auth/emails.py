"""E-mail addresses: which we accept, and the form we keep them in."""

import re

from functions.shared.problems import FieldError, InvalidInput

# RFC 5321, section 4.5.3.1: 64 octets before the @, 254 in all.
MAX_EMAIL = 254
_MAX_LOCAL = 64

# The unquoted form of RFC 5322 in ASCII. It has no space, control character, comma, quote or bracket.
_LOCAL = re.compile(r"[a-z0-9!#$%&'*+/=?^_`{|}~-]+(\.[a-z0-9!#$%&'*+/=?^_`{|}~-]+)*", re.IGNORECASE | re.ASCII)
# With it an encoded word of RFC 2047 begins. What writes a header may decode it, to a comma or a line break too.
_ENCODED_WORD = "=?"
_LABEL = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?", re.IGNORECASE | re.ASCII)


def local_part(email: str) -> str:
    """Return what stands before the @."""
    return email.rpartition("@")[0]


def clean_email(text: str) -> str:
    """Return an address as we keep it: without spaces around it, its domain in lower case.

    It cannot break out of an e-mail header, nor be read as two addresses.
    Whether somebody reads mail there, only a mail can tell.

    Raises:
        InvalidInput: it is no address of the form name@example.com.
    """
    text = text.strip(" ")
    if len(text) > MAX_EMAIL:
        raise _refused(f"Use at most {MAX_EMAIL} characters.")
    if text.count("@") != 1:
        raise _refused("Write it like name@example.com, with one @.")
    local, _, domain = text.partition("@")
    if len(local) > _MAX_LOCAL or not _LOCAL.fullmatch(local):
        raise _refused("Before the @, use 1 to 64 ASCII letters, digits or marks, without spaces.")
    if _ENCODED_WORD in local:
        raise _refused(f"Before the @, {_ENCODED_WORD} cannot be used.")
    labels = domain.lower().split(".")
    if len(labels) < 2 or not all(_LABEL.fullmatch(label) for label in labels) or labels[-1].isdigit():
        raise _refused("After the @, use a domain like example.com; write one outside ASCII in its xn-- form.")
    return f"{local}@{domain.lower()}"


def _refused(message: str) -> InvalidInput:
    return InvalidInput(FieldError("email", message))
