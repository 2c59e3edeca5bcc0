"""Events as Lambda receives them from Amazon MQ for RabbitMQ, to call a function with as a developer would."""

import base64
from datetime import UTC
from typing import Any

import msgspec

from functions.shared.events import Event

BROKER_ARN = "arn:aws:mq:eu-central-1:000000000000:broker:video2mp3:b-00000000-0000-0000-0000-000000000000"


def rmq_event(queue: str, *events: Event, redelivered: bool = False) -> dict[str, Any]:
    """Return the `aws:rmq` event that brings these events from a queue of the virtual host `/`.

    Its shape: https://docs.aws.amazon.com/lambda/latest/dg/with-mq.html
    """
    return {
        "eventSource": "aws:rmq",
        "eventSourceArn": BROKER_ARN,
        "rmqMessagesByQueue": {f"{queue}::/": [_message(event, redelivered) for event in events]},
    }


def _message(event: Event, redelivered: bool) -> dict[str, Any]:
    body = msgspec.json.encode(
        {"event": event.event, "conversion_id": event.conversion_id, "occurred_at": event.occurred_at}
    )
    time = event.occurred_at.astimezone(UTC)
    return {
        "basicProperties": {
            "contentType": "application/json",
            "contentEncoding": None,
            "headers": {},
            "deliveryMode": 2,
            "priority": None,
            "correlationId": None,
            "replyTo": None,
            "expiration": None,
            "messageId": event.id,
            "timestamp": f"{time:%b} {time.day}, {time.year}, {time.hour % 12 or 12}:{time:%M:%S %p}",
            "type": None,
            "userId": None,
            "appId": None,
            "clusterId": None,
            "bodySize": len(body),
        },
        "redelivered": redelivered,
        "data": base64.b64encode(body).decode(),
    }
