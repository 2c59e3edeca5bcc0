"""Declare the exchange and the queues at AMQP_URL: python -m infra.rabbitmq."""

import os
import sys
from typing import Annotated

import msgspec
import pika.exceptions

from functions.shared.settings import InvalidSettings, from_env
from infra.rabbitmq.topology import QUEUES, TopologyConflict, declare


class Settings(msgspec.Struct, frozen=True):
    """Where RabbitMQ is."""

    amqp_url: Annotated[str, msgspec.Meta(pattern="^amqps?://.")]


def main() -> int:
    """Return the exit code."""
    try:
        declare(from_env(Settings, os.environ).amqp_url)
    except (InvalidSettings, TopologyConflict) as error:
        print(error, file=sys.stderr)
        return 1
    except (pika.exceptions.AMQPError, OSError) as error:
        print(f"RabbitMQ at AMQP_URL cannot be used: {error!r}", file=sys.stderr)
        return 1
    print("Declared " + ", ".join(queue.name for queue in QUEUES))
    return 0


if __name__ == "__main__":
    sys.exit(main())
