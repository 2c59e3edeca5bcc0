"""Where functions run: the gateway, the triggers and the servers. Nothing in functions imports it."""
