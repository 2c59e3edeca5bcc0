"""RabbitMQ: how everyone connects."""

import pika
import pika.exceptions
from pika.adapters.utils.connection_workflow import AMQPConnectorException

# What RabbitMQ answers about a queue that it knows but cannot use.
INTERNAL_ERROR = 541


def connect_rabbit(
    url: str, *, timeout_s: float, heartbeat_s: int = 30, name: str = "video2mp3"
) -> pika.BlockingConnection:
    """Open a connection. Neither connecting nor a block by the broker lasts longer than `timeout_s`.

    `name` is what RabbitMQ shows for it.

    Raises:
        pika.exceptions.AMQPConnectionError: the broker cannot be reached, does not answer, or refuses us.
    """
    parameters = pika.URLParameters(url)
    parameters.heartbeat = heartbeat_s
    parameters.socket_timeout = timeout_s
    parameters.stack_timeout = timeout_s
    parameters.blocked_connection_timeout = timeout_s
    parameters.client_properties = {"connection_name": name}
    try:
        return pika.BlockingConnection(parameters)
    # pika lets these through, which are no AMQPError: a broker that accepts and then says nothing, a failed login.
    except (AMQPConnectorException, OSError) as error:
        raise pika.exceptions.AMQPConnectionError(error) from error
