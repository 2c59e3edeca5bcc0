"""What tus 1.0.0 says in headers, read and written.

https://tus.io/protocols/resumable-upload
"""

import re
from collections.abc import Mapping, Sequence
from datetime import UTC
from email.utils import format_datetime

from functions.shared.problems import BadRequest, Problem
from functions.upload.appending import Addition, Ends, FinalUpload, Slice
from functions.upload.checksums import ALGORITHMS, Checksum, read_checksum
from functions.upload.concatenation import Joining
from functions.upload.resumable import Creation
from functions.upload.uploads import Kind, Upload

Headers = dict[str, str | list[str]]

VERSION = "1.0.0"
EXTENSIONS = (
    "creation",
    "creation-with-upload",
    "creation-defer-length",
    "termination",
    "expiration",
    "checksum",
    "concatenation",
)
BYTES = "application/offset+octet-stream"

# What tells two requests for new uploads apart. Their bytes are compared with those that are stored.
OF_A_CREATION = ("upload-length", "upload-defer-length", "upload-metadata", "upload-concat")

# A client that sends one of these twice is not understood. Others may be sent twice, or a proxy adds to them.
_ONCE = ("upload-", "tus-", "content-type", "x-http-method-override", "x-body-slice")
_NUMBER = re.compile(r"[0-9]{1,100}")
# The URL of an upload as we say it, or with what a client or a proxy has put before it. With a comma it looks like two.
_URL = re.compile(r"(?:[!-+\--~]*/)?uploads/([0-9a-f]{32})")
_SLICE = re.compile(r"([!-:<-~]{1,200});([0-9]{1,18});([0-9]{1,18}|\*);(more|last|broken)")


class UnsupportedVersion(Problem):
    """Raised when a client does not say that it speaks this version of tus."""

    code = "unsupported-version"

    def __init__(self) -> None:
        super().__init__(f"Send the header `Tus-Resumable: {VERSION}`.", headers={"Tus-Version": VERSION})


class UnsupportedContentType(Problem):
    """Raised when bytes are sent as something else."""

    code = "unsupported-content-type"

    def __init__(self) -> None:
        super().__init__(f"Send the bytes with the header `Content-Type: {BYTES}`.")


def read_headers(sent: Mapping[str, Sequence[str]]) -> dict[str, str]:
    """Return headers by their names in lower case. Raises BadRequest: one that may come once comes twice."""
    headers: dict[str, str] = {}
    for name, values in sent.items():
        lower = name.lower()
        for value in values:
            if lower in headers and lower.startswith(_ONCE):
                raise BadRequest(f"Send the header {name} once.")
            headers[lower] = value
    return headers


def refuse_other_versions(headers: Mapping[str, str]) -> None:
    """Refuse a client that does not say that it speaks this version. Raises UnsupportedVersion."""
    if headers.get("tus-resumable") != VERSION:
        raise UnsupportedVersion


def read_creation(headers: Mapping[str, str], body: bytes, token: str) -> Creation | Joining:
    """Return what a request for a new upload says. `token` names the request.

    Raises:
        BadRequest: a header is missing or wrong.
        UnsupportedContentType: it brings something else than bytes.
        FinalUpload: it brings bytes for an upload that is made of others.
    """
    concat, metadata = headers.get("upload-concat"), headers.get("upload-metadata", "")
    if concat and concat.startswith("final"):
        if body or _brings_bytes(headers):
            raise FinalUpload
        if "upload-length" in headers or "upload-defer-length" in headers:
            raise BadRequest("The length of a final upload is that of its parts together. Do not send it.")
        return Joining(_read_parts(concat), concat, metadata)
    if concat not in {None, "partial"}:
        raise BadRequest("Upload-Concat can be `partial`, or `final;` with the URLs of the parts.")
    first = None
    if body:
        if not _brings_bytes(headers):
            raise UnsupportedContentType
        first = Addition(0, None, _checksum(headers), Slice(token, body))
    kind = Kind.PARTIAL if concat else Kind.WHOLE
    return Creation(kind, concat or "", metadata, _read_new_length(headers), first)


def read_addition(headers: Mapping[str, str], body: bytes, token: str) -> Addition:
    """Return what a PATCH adds. `token` names the request, unless that is a slice, which says it itself.

    Raises:
        UnsupportedContentType: it brings something else than bytes.
        BadRequest: a header is missing or wrong.
    """
    if not _brings_bytes(headers):
        raise UnsupportedContentType
    length = _read_number(headers, "upload-length") if "upload-length" in headers else None
    piece = _read_slice(headers["x-body-slice"], body) if "x-body-slice" in headers else Slice(token, body)
    return Addition(_read_number(headers, "upload-offset"), length, _checksum(headers), piece)


def about_service(max_upload_bytes: int) -> Headers:
    """Return what a client can ask before its first upload."""
    return {
        "Tus-Version": VERSION,
        "Tus-Extension": ",".join(EXTENSIONS),
        "Tus-Max-Size": str(max_upload_bytes),
        "Tus-Checksum-Algorithm": ",".join(ALGORITHMS),
    }


def about_progress(upload: Upload) -> Headers:
    """Return how far an upload is, and until when it waits for more, or where its conversion is."""
    headers: Headers = {"Cache-Control": "no-store"}
    # https://tus.io/protocols/resumable-upload#concatenation: it is not said of a final upload before its end.
    if upload.kind is not Kind.FINAL or upload.is_whole:
        headers["Upload-Offset"] = str(upload.offset)
    if upload.is_whole and upload.kind is not Kind.PARTIAL:
        headers["Content-Location"] = f"/v1/conversions/{upload.id}"
    else:
        headers["Upload-Expires"] = format_datetime(upload.expires_at.astimezone(UTC), usegmt=True)
    return headers


def about_upload(upload: Upload) -> Headers:
    """Return all that is known of an upload."""
    headers = about_progress(upload)
    if upload.length is None:
        headers["Upload-Defer-Length"] = "1"
    else:
        headers["Upload-Length"] = str(upload.length)
    if upload.metadata:
        headers["Upload-Metadata"] = upload.metadata
    if upload.concat:
        headers["Upload-Concat"] = upload.concat
    return headers


def _brings_bytes(headers: Mapping[str, str]) -> bool:
    return headers.get("content-type", "").partition(";")[0].strip().lower() == BYTES


def _checksum(headers: Mapping[str, str]) -> Checksum | None:
    return read_checksum(headers["upload-checksum"]) if "upload-checksum" in headers else None


def _read_number(headers: Mapping[str, str], name: str) -> int:
    sent = headers.get(name, "")
    if not _NUMBER.fullmatch(sent):
        raise BadRequest(f"The header {name.title()} must be a number of bytes.")
    return int(sent)


def _read_new_length(headers: Mapping[str, str]) -> int | None:
    if "upload-defer-length" not in headers:
        return _read_number(headers, "upload-length")
    if headers["upload-defer-length"] != "1":
        raise BadRequest("Upload-Defer-Length can only be 1.")
    if "upload-length" in headers:
        raise BadRequest("Send Upload-Length or Upload-Defer-Length, not both.")
    return None


def _read_parts(concat: str) -> tuple[str, ...]:
    kind, _, urls = concat.partition(";")
    parts = [_URL.fullmatch(url) for url in urls.split(" ") if url]
    if kind != "final" or not parts:
        raise BadRequest("Upload-Concat of a final upload is `final;` and the URLs of its parts, with spaces between.")
    ids = tuple(part[1] for part in parts if part)
    if len(ids) < len(parts):
        raise BadRequest("Upload-Concat names something that is no upload.")
    return ids


def _read_slice(header: str, body: bytes) -> Slice:
    found = _SLICE.fullmatch(header)
    if not found:
        raise BadRequest("X-Body-Slice cannot be read.")
    token, position, total, ends = found.groups()
    return Slice(token, body, int(position), None if total == "*" else int(total), Ends(ends))
