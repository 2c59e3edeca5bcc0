"""RabbitMQ: the exchange, the queues and how they are declared."""
