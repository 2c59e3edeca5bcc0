"""The authorizer: who is calling? API Gateway asks it before every guarded request.

What comes in and goes out, of the kind TOKEN:
https://docs.aws.amazon.com/apigateway/latest/developerguide/api-gateway-lambda-authorizer-output.html
"""

from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Any, NamedTuple

from aws_lambda_powertools import Logger

from functions.auth.accounts import Sessions
from functions.auth.postgres import PostgresSessions, connect_postgres
from functions.auth.rules import authorize
from functions.auth.settings import Settings
from functions.auth.tokens import AccessTokens, Claims, InvalidToken, parse_keys
from functions.shared.clock import utc_now
from functions.shared.environment import environment
from functions.shared.logs import get_logger
from functions.shared.once import once
from functions.shared.settings import from_env

Handler = Callable[[Mapping[str, Any], Any], dict[str, Any]]


class Deps(NamedTuple):
    """What the authorizer needs."""

    access_tokens: AccessTokens
    sessions: Sessions
    logger: Logger


def create_handler(deps: Callable[[], Deps]) -> Handler:
    """Return the handler; `deps` is called at each event.

    The handler raises Exception("Unauthorized") for a token that does not work, which is how API Gateway
    wants to be told to answer 401, and Unavailable if the database does not answer.
    """

    def handler(event: Mapping[str, Any], context: Any) -> dict[str, Any]:  # noqa: ARG001 - Lambda's signature
        access_tokens, sessions, logger = deps()
        try:
            claims = authorize(str(event.get("authorizationToken") or ""), access_tokens, sessions)
        except InvalidToken as error:
            # The reason by its kind alone: its words could repeat what the token says.
            logger.info("refused", extra={"reason": type(error.__cause__ or error).__name__})
            raise Exception("Unauthorized") from None  # noqa: TRY002 - API Gateway compares these very words
        return _policy(claims, event["methodArn"])

    return handler


def _policy(claims: Claims, method_arn: str) -> dict[str, Any]:
    # All of this API, not the one method: API Gateway may keep a policy and use it for the next request.
    api, stage, *_ = method_arn.split("/")
    statement = {"Action": "execute-api:Invoke", "Effect": "Allow", "Resource": f"{api}/{stage}/*"}
    session = claims.session
    return {
        "principalId": session.user_id,
        "policyDocument": {"Version": "2012-10-17", "Statement": [statement]},
        "context": {"user_id": session.user_id, "email": claims.email, "session_id": session.id},
    }


def connect() -> Deps:
    """Return what the authorizer needs, made from the environment."""
    settings = from_env(Settings, environment())
    return Deps(
        access_tokens=AccessTokens(parse_keys(settings.jwt_keys), timedelta(seconds=settings.access_ttl_s), utc_now),
        sessions=PostgresSessions(connect_postgres(settings.postgres_url)),
        logger=get_logger("authorizer"),
    )


handler = create_handler(once(connect))
