"""The functions of one package behind the Lambda Invoke API, for a container."""
