"""Read the body of a request, within limits."""

import re
from collections.abc import Mapping
from typing import Any

import anyio
from starlette.requests import ClientDisconnect
from starlette.types import Receive

from functions.shared.problems import BadRequest
from infra.gateway.limits import BODY_PART_TIMEOUT_S, BODY_TIMEOUT_S, MAX_BODY_BYTES
from infra.gateway.problems import BodyTooLarge, BodyTooSlow
from infra.gateway.requests import HttpRequest

# h11 lets 20 digits pass too; int() would refuse thousands.
_LENGTH = re.compile(r"[0-9]{1,20}")


async def read_body(request: HttpRequest, receive: Receive) -> bytes:
    """Return the whole body.

    Raises:
        BadRequest: Content-Length is no length.
        BodyTooLarge: at once if Content-Length says so, else when it has grown too large.
        BodyTooSlow: nothing came for BODY_PART_TIMEOUT_S, or not all within BODY_TIMEOUT_S.
        ClientDisconnect: the client went away.
    """
    length = request.header("content-length") or "0"
    if not _LENGTH.fullmatch(length):
        raise BadRequest("Content-Length must be a number.")
    if int(length) > MAX_BODY_BYTES:
        raise BodyTooLarge
    parts: list[bytes] = []
    total = 0
    try:
        with anyio.fail_after(BODY_TIMEOUT_S):
            while True:
                message = await _next(receive)
                parts.append(message.get("body", b""))
                total += len(parts[-1])
                if total > MAX_BODY_BYTES:
                    raise BodyTooLarge
                if not message.get("more_body", False):
                    return b"".join(parts)
    except TimeoutError as error:
        raise BodyTooSlow from error


async def _next(receive: Receive) -> Mapping[str, Any]:
    with anyio.fail_after(BODY_PART_TIMEOUT_S):
        message = await receive()
    if message["type"] == "http.disconnect":
        raise ClientDisconnect
    return message
