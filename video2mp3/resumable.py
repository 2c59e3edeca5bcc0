"""Send a file in slices, so that a broken connection costs one slice: tus 1.0.0, https://tus.io/protocols/resumable-upload."""

import base64
import contextlib
import time
import uuid
from collections.abc import Callable, Mapping
from typing import BinaryIO
from urllib.parse import urlsplit

import httpx

from video2mp3.errors import ApiError, ClientError, Unreachable

# What fits into one call of a function on AWS.
SLICE_BYTES = 4 * 1024 * 1024

_UPLOADS = "/v1/uploads"
_VERSION = {"Tus-Resumable": "1.0.0"}
_PAUSE_S = (0.25, 5.0)
# For so long without any progress a service that is away is waited for.
_PATIENCE_S = 120.0
# The line stood still for too long, the upload is somewhere else than thought, or held by a request that broke off, as
# the key of a creation can be, there are too many requests, or the service is away for a moment.
_PASSING = {408, 409, 423, 429, 502, 503, 504}


# Makes one request, from a method, a path, `headers` and `content`. Raises ApiError and Unreachable.
Call = Callable[..., httpx.Response]


def send_file(file: BinaryIO, size: int, about: Mapping[str, str], call: Call, on_bytes: Callable[[int], None]) -> str:
    """Send `size` bytes, with what is `about` them: a filename and options. Return the id of the conversion.

    `on_bytes` is told how many bytes have arrived. If it cannot be finished, nothing stays at the service, as far as
    that can still be told so.
    """
    headers = {**_VERSION, **new_key(), "Upload-Length": str(size), **_metadata(about)}
    created = patiently(lambda: call("POST", _UPLOADS, headers=headers))
    upload_id = _id(created)
    path = f"{_UPLOADS}/{upload_id}"
    try:
        _send_slices(file, size, path, call, on_bytes)
    except BaseException:
        with contextlib.suppress(ClientError):
            call("DELETE", path, headers=_VERSION)
        raise
    return upload_id


def new_key() -> dict[str, str]:
    """Return a header by which the service knows a request again, and so creates nothing twice."""
    return {"Idempotency-Key": str(uuid.uuid4())}


def patiently(ask: Callable[[], httpx.Response]) -> httpx.Response:
    """Make a request, and again while nobody knows what became of it. If it creates something, it has a `new_key`."""
    began_at = time.monotonic()
    pause_s, longest_s = _PAUSE_S
    while True:
        try:
            return ask()
        except (ApiError, Unreachable) as error:
            if not _passes(error) or time.monotonic() - began_at > _PATIENCE_S:
                raise
        time.sleep(pause_s)
        pause_s = min(2 * pause_s, longest_s)


def _passes(error: ApiError | Unreachable) -> bool:
    return isinstance(error, Unreachable) or error.status in _PASSING


def _send_slices(file: BinaryIO, size: int, path: str, call: Call, on_bytes: Callable[[int], None]) -> None:
    offset, moved_at = 0, time.monotonic()
    pause_s, longest_s = _PAUSE_S
    is_known = True
    while offset < size:
        try:
            if is_known:
                reached = _send_slice(_slice(file, offset, size), offset, path, call)
            else:
                reached = _offset(call("HEAD", path, headers=_VERSION))
        except (ApiError, Unreachable) as error:
            if not _passes(error) or time.monotonic() - moved_at > _PATIENCE_S:
                raise
            time.sleep(pause_s)
            pause_s = min(2 * pause_s, longest_s)
            # The answer may be what was lost, and not the slice.
            is_known = False
            continue
        is_known = True
        if reached > offset:
            offset, moved_at, pause_s = reached, time.monotonic(), _PAUSE_S[0]
            on_bytes(offset)


def _slice(file: BinaryIO, offset: int, size: int) -> bytes:
    file.seek(offset)
    data = file.read(min(SLICE_BYTES, size - offset))
    if not data:
        raise ClientError(f"The file had {size} bytes and now ends after {offset}. Send it when nobody writes to it.")
    return data


def _send_slice(data: bytes, offset: int, path: str, call: Call) -> int:
    headers = {**_VERSION, "Content-Type": "application/offset+octet-stream", "Upload-Offset": str(offset)}
    return _offset(call("PATCH", path, headers=headers, content=data))


def _offset(answer: httpx.Response) -> int:
    try:
        return int(answer.headers["Upload-Offset"])
    except (KeyError, ValueError) as error:
        raise _not_ours(answer) from error


def _id(created: httpx.Response) -> str:
    """Return the id of the upload that was created.

    It is all that is taken of its address: the host, and what the path has before /v1, are known already.
    """
    try:
        _, uploads, upload_id = urlsplit(created.headers["Location"]).path.rpartition(f"{_UPLOADS}/")
    except (KeyError, ValueError) as error:
        raise _not_ours(created) from error
    if not uploads or not upload_id or "/" in upload_id:
        raise _not_ours(created)
    return upload_id


def _not_ours(answer: httpx.Response) -> Unreachable:
    return Unreachable(f"{answer.url.host} answers, but not as video2mp3 does.")


def _metadata(about: Mapping[str, str]) -> dict[str, str]:
    pairs = (f"{key} {base64.b64encode(value.encode()).decode()}" for key, value in about.items())
    return {"Upload-Metadata": ",".join(pairs)}
