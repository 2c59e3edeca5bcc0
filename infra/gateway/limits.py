"""How large and how slow a request may be."""

from typing import Annotated

import msgspec

from functions.shared.settings import Positive
from infra.invoke import MAX_PAYLOAD_BYTES

# Request line and header lines together, as API Gateway limits them.
# https://docs.aws.amazon.com/apigateway/latest/developerguide/api-gateway-execution-service-limits-table.html
MAX_HEAD_BYTES = 10_240

# What an event holds beside the body. The worst case is a query of `a&b&c…`: two bytes become 17 in the two maps of
# parameters, so 10,240 bytes become 87 kB.
ENVELOPE_BYTES = 128 * 1024

# A body of any bytes fits once it is base64: every 3 bytes become 4.
MAX_BODY_BYTES = (MAX_PAYLOAD_BYTES - ENVELOPE_BYTES) // 4 * 3

Seconds = Annotated[float, msgspec.Meta(gt=0)]


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """What one deployment may set: each is an environment variable of the same name in capitals."""

    # A video, or a form that holds one, which may be 1 MiB longer.
    max_upload_bytes: Positive = 20 * 1024**3
    # Beyond this many connections the one that has been idle for longest makes room, or else the new one is refused.
    max_connections: Positive = 2000
    # From the first byte of a head, or the opening of the connection, to its last byte.
    head_timeout_s: Seconds = 10
    # How long a connection may wait for its next request: longer than a load balancer (60 s) keeps it for reuse.
    keep_alive_s: Positive = 65
    # A body may be silent for this long, or fall as far behind the least speed.
    body_idle_s: Seconds = 30
    min_body_bytes_per_s: Positive = 1000
    # A body that is not handed on in slices must be whole by then.
    body_timeout_s: Seconds = 300
    # A client may take nothing of its answer for this long.
    answer_idle_s: Seconds = 60
    # Long answers on their way, with 3 to 5 MB in memory each. Beyond this many the one whose client has taken nothing
    # for longest is broken off.
    max_downloads: Positive = 100
    # Bodies and slices in memory, of all requests together.
    max_buffered_bytes: Annotated[int, msgspec.Meta(ge=MAX_BODY_BYTES)] = 64 * 1024**2
    # What a refused client still sends is read, so that it sees the answer and not a reset; for this long, this much.
    linger_s: Seconds = 5
    linger_bytes: Positive = 16 * 1024**2
