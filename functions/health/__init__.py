"""The function health: whether the servers that the other functions need answer, and events reach their queues."""
