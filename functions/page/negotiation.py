"""What a request says about the answer it would like, and about the one it already has."""

import re
from collections.abc import Iterable

from functions.page.site import CODINGS, IDENTITY

_WEIGHT = re.compile(r"q=0(\.0{0,3})?", re.IGNORECASE)


def choose_coding(accept_encoding: str, available: Iterable[str]) -> str:
    """Return the best available content coding that a client accepts; `identity` if it accepts none of them.

    https://www.rfc-editor.org/rfc/rfc9110#section-12.5.3
    """
    taken: dict[str, bool] = {}
    for entry in accept_encoding.split(","):
        coding, _, weight = entry.partition(";")
        taken[coding.strip().lower()] = not _WEIGHT.fullmatch(weight.strip())
    others = taken.get("*", False)
    there = set(available)
    return next((coding for coding in CODINGS if coding in there and taken.get(coding, others)), IDENTITY)


def has_already(if_none_match: str, etag: str) -> bool:
    """Return whether a client has the representation with this ETag: https://www.rfc-editor.org/rfc/rfc9110#section-13.1.2."""
    known = {entry.strip().removeprefix("W/") for entry in if_none_match.split(",")}
    return "*" in known or etag in known
