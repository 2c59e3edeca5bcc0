"""The function health: whether the servers that the other functions need answer."""
