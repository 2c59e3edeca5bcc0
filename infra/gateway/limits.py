"""How large a request may be."""

from infra.invoke import MAX_PAYLOAD_BYTES

# Request line and header lines together, as API Gateway limits them.
# https://docs.aws.amazon.com/apigateway/latest/developerguide/api-gateway-execution-service-limits-table.html
MAX_HEAD_BYTES = 10_240

# What an event holds beside the body. The worst case is a query of `a&b&c…`: two bytes become 17 in the two maps of
# parameters, so 10,240 bytes become 87 kB.
ENVELOPE_BYTES = 128 * 1024

# A body of any bytes fits once it is base64: every 3 bytes become 4.
MAX_BODY_BYTES = (MAX_PAYLOAD_BYTES - ENVELOPE_BYTES) // 4 * 3

BODY_PART_TIMEOUT_S = 20.0
BODY_TIMEOUT_S = 300.0
