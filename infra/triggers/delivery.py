"""A delivery of RabbitMQ as the event that Lambda makes of it.

The event's shape: https://docs.aws.amazon.com/lambda/latest/dg/with-mq.html
"""

import base64
import math
from datetime import UTC, datetime
from typing import Any

import pika
import pika.spec

from infra.invoke import ACCOUNT, REGION

# Lambda names the broker that the message came from. Ours has no name in AWS.
BROKER_ARN = f"arn:aws:mq:{REGION}:{ACCOUNT}:broker:video2mp3:b-00000000-0000-0000-0000-000000000000"


def rmq_event(
    queue: str, vhost: str, method: pika.spec.Basic.Deliver, properties: pika.BasicProperties, body: bytes
) -> dict[str, Any]:
    """Return the `aws:rmq` event of one delivery."""
    return {
        "eventSource": "aws:rmq",
        "eventSourceArn": BROKER_ARN,
        "rmqMessagesByQueue": {
            f"{queue}::{vhost}": [
                {
                    "basicProperties": _basic_properties(properties, len(body)),
                    "redelivered": method.redelivered,
                    "data": base64.b64encode(body).decode("ascii"),
                }
            ]
        },
    }


def _basic_properties(properties: pika.BasicProperties, body_size: int) -> dict[str, Any]:
    return {
        "contentType": _text(properties.content_type),
        "contentEncoding": _text(properties.content_encoding),
        "headers": _header(properties.headers),
        "deliveryMode": properties.delivery_mode,
        "priority": properties.priority,
        "correlationId": _text(properties.correlation_id),
        "replyTo": _text(properties.reply_to),
        "expiration": _text(properties.expiration),
        "messageId": _text(properties.message_id),
        "timestamp": None if properties.timestamp is None else _unix_time(properties.timestamp),
        "type": _text(properties.type),
        "userId": _text(properties.user_id),
        "appId": _text(properties.app_id),
        "clusterId": _text(properties.cluster_id),
        "bodySize": body_size,
    }


def _text(value: str | bytes | None) -> str | None:
    """Return a short string of AMQP, which pika leaves as bytes if it is not UTF-8. Different ones stay different."""
    return value.decode("utf-8", "backslashreplace") if isinstance(value, bytes) else value


def _header(value: Any) -> Any:
    """Return a header's value, or a table of them, as JSON. A string of AMQP is bytes, and so it arrives."""
    if isinstance(value, str):
        value = value.encode("utf-8")
    if isinstance(value, bytes):
        return {"bytes": list(value)}
    if isinstance(value, dict):
        return {_text(key): _header(entry) for key, entry in value.items()}
    if isinstance(value, list):
        return [_header(entry) for entry in value]
    if isinstance(value, datetime):
        return _java_date(value.replace(tzinfo=value.tzinfo or UTC))
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)  # which JSON has no number for
    if value is None or isinstance(value, bool | float):
        return value
    if isinstance(value, int):
        return int(value)  # pika reads an AMQP long, as x-delivery-count is one, as a type of its own
    return float(value)  # the one other type of AMQP is a decimal


def _unix_time(seconds: int) -> str | None:
    try:
        return _java_date(datetime.fromtimestamp(seconds, UTC))
    except (OverflowError, ValueError, OSError):
        return None  # after the year 9999: somebody sent milliseconds


def _java_date(time: datetime) -> str:
    """Return `Jan 1, 1970, 12:33:41 AM`: Java's medium format of a date, which Lambda sends."""
    time = time.astimezone(UTC)
    return f"{time:%b} {time.day}, {time.year}, {time.hour % 12 or 12}:{time:%M:%S %p}"
