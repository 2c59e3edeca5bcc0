"""What calls functions besides HTTP: messages of RabbitMQ queues, and schedules."""
