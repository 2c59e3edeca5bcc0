"""E-mail and password in, tokens out; and the authorizer, which the gateway asks before every guarded request."""
