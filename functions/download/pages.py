"""Lists: which conversions a client asks for, and the cursor that leads to the next page."""

import base64
import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

from functions.download.library import Position
from functions.shared.conversions import State
from functions.shared.problems import FieldError, InvalidInput

DEFAULT_LIMIT = 20
MAX_LIMIT = 100
MAX_IDS = 100
# What an id looks like. Only such ids are looked up.
ID = re.compile(r"[A-Za-z0-9_-]{1,64}")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class PageRequest(NamedTuple):
    """Up to `limit` conversions in `state`, or in any, that come after a position."""

    state: State | None
    limit: int
    after: Position | None


def read_page_request(parameters: Mapping[str, str]) -> PageRequest:
    """Return what the query parameters `state`, `limit` and `cursor` ask for. Raises InvalidInput, naming the wrong."""
    errors: list[FieldError] = []
    state, limit, after = None, DEFAULT_LIMIT, None
    if "state" in parameters:
        try:
            state = State(parameters["state"])
        except ValueError:
            errors.append(FieldError("state", f"Use one of: {', '.join(State)}."))
    if "limit" in parameters:
        limit = _small_number(parameters["limit"])
        if not 1 <= limit <= MAX_LIMIT:
            errors.append(FieldError("limit", f"Use a number from 1 to {MAX_LIMIT}."))
    if "cursor" in parameters:
        try:
            after = read_cursor(parameters["cursor"])
        except ValueError:
            errors.append(FieldError("cursor", "Use a `next_cursor` as it was given, or none."))
    if errors:
        raise InvalidInput(*errors)
    return PageRequest(state, limit, after)


def read_ids_request(parameters: Mapping[str, str]) -> list[str]:
    """Return the ids in the query parameter `ids`. Raises InvalidInput, naming what is wrong."""
    errors = [
        FieldError(name, "It cannot be combined with `ids`. Send one or the other.")
        for name in ("state", "limit", "cursor")
        if name in parameters
    ]
    try:
        ids = checked_ids(parameters.get("ids", "").split(","))
    except InvalidInput as wrong:
        raise InvalidInput(*wrong.errors, *errors) from wrong
    if errors:
        raise InvalidInput(*errors)
    return ids


def checked_ids(ids: Sequence[str]) -> list[str]:
    """Return ids in their order, without duplicates. Raises InvalidInput if one is malformed or there are too many."""
    wrong = FieldError("ids", f"Send 1 to {MAX_IDS} conversion ids.")
    if not 1 <= len(ids) <= MAX_IDS or not all(ID.fullmatch(each) for each in ids):
        raise InvalidInput(wrong)
    return [*dict.fromkeys(ids)]


def make_cursor(position: Position) -> str:
    """Return a cursor, which clients take as it is."""
    milliseconds = (position.created_at - _EPOCH) // timedelta(milliseconds=1)
    return base64.urlsafe_b64encode(f"{milliseconds}.{position.conversion_id}".encode()).rstrip(b"=").decode()


def read_cursor(cursor: str) -> Position:
    """Return the position that a cursor stands for. Raises ValueError."""
    padded = cursor.encode() + b"=" * (-len(cursor) % 4)
    milliseconds, _, conversion_id = base64.b64decode(padded, altchars=b"-_", validate=True).decode().partition(".")
    try:
        position = Position(_EPOCH + timedelta(milliseconds=int(milliseconds)), conversion_id)
    except OverflowError as error:
        raise ValueError("It lies outside of time.") from error
    if make_cursor(position) != cursor:
        raise ValueError("It was not made here.")
    return position


def _small_number(digits: str) -> int:
    return int(digits) if digits.isascii() and digits.isdigit() and len(digits) <= len(str(MAX_LIMIT)) else 0
