"""What a tus client says about a video: the header Upload-Metadata.

https://tus.io/protocols/resumable-upload#upload-metadata
"""

import base64
import re
from difflib import get_close_matches
from typing import NamedTuple

from functions.shared.options import Options
from functions.shared.problems import BadRequest, FieldError, InvalidInput
from functions.upload.fields import Delivery, Fields, read_fields

# API Gateway takes 10,240 bytes of headers, of which this leaves 2,048 to the others.
MAX_METADATA_BYTES = 8192

# A key may be any ASCII that prints, but for spaces and commas; so the header can be sent back as it came.
_PAIR = re.compile(r"([!-+\--~]+)(?: ([A-Za-z0-9+/=]*))?")


class Description(NamedTuple):
    """The name of a video as it was sent, and what else is said of it."""

    filename: str
    fields: Fields

    @property
    def options(self) -> Options:
        """The options of its conversion."""
        return self.fields.options


def describe(header: str) -> Description:
    """Return what the metadata of a video say.

    Clients send keys of their own, which are ignored; but what looks like a misspelt option is told.

    Raises:
        BadRequest: the header cannot be read.
        InvalidInput: an option is wrong.
    """
    metadata = read_metadata(header)
    known = (*Options.__struct_fields__, *Delivery._fields)
    meant = {key: get_close_matches(key.lower(), known, 1, cutoff=0.75) for key in metadata if key not in known}
    misspelt = [FieldError(key, f"There is no such option. Use: {names[0]}.") for key, names in meant.items() if names]
    if misspelt:
        raise InvalidInput(*misspelt)
    fields = read_fields({key: value for key, value in metadata.items() if key in known})
    # tus-js-client's examples and tusd say `filename`, Uppy sends `name`, too.
    return Description(metadata.get("filename") or metadata.get("name", ""), fields)


def read_metadata(header: str) -> dict[str, str]:
    """Return the values in an Upload-Metadata header by their keys. Raises BadRequest."""
    if len(header) > MAX_METADATA_BYTES:
        raise BadRequest(f"Upload-Metadata may have {MAX_METADATA_BYTES} bytes.")
    metadata: dict[str, str] = {}
    # tuspy sends an empty header if there is nothing to say.
    for pair in header.split(",") if header.strip(" ") else []:
        found = _PAIR.fullmatch(pair.strip(" "))
        if not found:
            raise BadRequest("Upload-Metadata is `key value` pairs, with commas between; a value is base64.")
        key, value = found[1], found[2] or ""
        if key in metadata:
            raise BadRequest(f"The key `{key}` is in Upload-Metadata twice.")
        try:
            metadata[key] = base64.b64decode(value, validate=True).decode(errors="replace")
        except ValueError as error:
            raise BadRequest(f"The value of `{key}` in Upload-Metadata is not base64.") from error
    return metadata
