"""The options of a conversion, as they come with a form: text."""

from collections.abc import Mapping
from enum import EnumMeta
from typing import Any

import msgspec

from functions.shared.conversions import Options
from functions.shared.problems import FieldError, InvalidInput


def to_options(fields: Mapping[str, str]) -> Options:
    """Return the options that these fields choose. Raises InvalidInput, which names every wrong field."""
    known = {field.name: field.type for field in msgspec.structs.fields(Options)}
    errors = []
    for name, value in fields.items():
        if name not in known:
            errors.append(FieldError(name, f"There is no such field. Use: video, {', '.join(known)}."))
            continue
        try:
            msgspec.convert(value, known[name], strict=False)
        except msgspec.ValidationError as error:
            errors.append(FieldError(name, _advice(known[name], str(error))))
    if errors:
        raise InvalidInput(*errors)
    return msgspec.convert(dict(fields), Options, strict=False)


def _advice(kind: Any, reason: str) -> str:
    return f"Use one of: {', '.join(kind)}." if isinstance(kind, EnumMeta) else reason
