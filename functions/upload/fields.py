"""The fields that come with a video, in a form or as tus metadata: the options, and how the video was sent."""

import re
from collections.abc import Mapping
from typing import NamedTuple

from functions.shared.conversions import Sent
from functions.shared.options import Options
from functions.shared.problems import FieldError, InvalidInput
from functions.upload.options import to_options

# JavaScript counts exactly up to 16 digits, and MongoDB up to 19.
_BYTES = re.compile(r"0{0,20}[1-9][0-9]{0,14}")


class Delivery(NamedTuple):
    """How a video was sent, and the size of the person's original. The client says so, and it is not checked."""

    original_bytes: int | None = None
    sent: Sent = Sent.WHOLE


class Fields(NamedTuple):
    """What the fields say that come with a video."""

    options: Options = Options()
    delivery: Delivery = Delivery()


def read_fields(fields: Mapping[str, str]) -> Fields:
    """Return what the fields say. Raises InvalidInput, which names every invalid field."""
    delivery, errors = _read_delivery(fields)
    try:
        options = to_options({name: text for name, text in fields.items() if name not in Delivery._fields})
    except InvalidInput as wrong:
        raise InvalidInput(*wrong.errors, *errors) from wrong
    if errors:
        raise InvalidInput(*errors)
    return Fields(options, delivery)


def _read_delivery(fields: Mapping[str, str]) -> tuple[Delivery, list[FieldError]]:
    delivery, errors = Delivery(), []
    if size := fields.get("original_bytes", "").strip():
        if _BYTES.fullmatch(size):
            delivery = delivery._replace(original_bytes=int(size))
        else:
            errors.append(FieldError("original_bytes", "Use the size of the video in bytes, such as 641728512."))
    if sent := fields.get("sent", "").strip():
        if sent in [*Sent]:
            delivery = delivery._replace(sent=Sent(sent))
        else:
            errors.append(FieldError("sent", f"Use one of: {', '.join(Sent)}."))
    return delivery, errors
