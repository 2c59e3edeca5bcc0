"""Settings of a function, read once from the environment into one frozen object."""

from collections.abc import Mapping
from typing import Annotated, TypeVar

import msgspec

T = TypeVar("T", bound=msgspec.Struct)
# Of most settings, none or less than none makes no sense.
Positive = Annotated[int, msgspec.Meta(ge=1)]
# A hundred years at most: somewhat later, dates come to an end.
Days = Annotated[int, msgspec.Meta(ge=1, le=36_500)]


class InvalidSettings(Exception):
    """Raised when the environment lacks a setting or holds one that cannot be used. The message names it."""


def from_env(settings: type[T], environ: Mapping[str, str]) -> T:
    """Make `settings`, a frozen Struct, from the variables named like its fields in capitals.

    An empty variable counts as absent. Variables that are no field are ignored.

    Raises:
        InvalidSettings: a variable without default is absent, or one does not fit its field's type.
    """
    given = {}
    for field in msgspec.structs.fields(settings):
        variable = field.name.upper()
        if environ.get(variable):
            given[field.name] = environ[variable]
        elif field.required:
            raise InvalidSettings(f"The environment variable {variable} is not set.")
    try:
        return msgspec.convert(given, settings, strict=False)
    except msgspec.ValidationError as error:
        reason, _, path = str(error).partition(" - at `$.")
        variable = path.rstrip("`").upper() or "?"
        raise InvalidSettings(f"The environment variable {variable} cannot be used: {reason}.") from error
