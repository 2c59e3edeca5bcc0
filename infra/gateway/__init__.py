"""The gateway: HTTP in, API Gateway events to functions, HTTP out."""
