"""The guard: asks the authorizer who is calling, as API Gateway asks a TOKEN authorizer.

https://docs.aws.amazon.com/apigateway/latest/developerguide/apigateway-use-lambda-authorizer.html
"""

import re
from collections.abc import Mapping
from typing import Any

from aws_lambda_powertools import Logger

from functions.shared.http import Unauthorized
from functions.shared.problems import Unavailable
from infra.gateway.problems import Forbidden
from infra.invoke import AnswerTooLarge, EventTooLarge, FunctionFailed, Functions, FunctionUnavailable


class Guard:
    """Lets calls pass that the authorizer allows. It keeps nothing: a token that was logged out is dead at once."""

    def __init__(self, functions: Functions, authorizer: str, logger: Logger) -> None:
        self._functions = functions
        self._authorizer = authorizer
        self._logger = logger

    def admit(self, token: str | None, arn: str) -> dict[str, str]:
        """Return what the authorizer says of the caller, for the event. `token` is the whole header.

        Raises:
            Unauthorized: there is no token, or the authorizer does not know it.
            Forbidden: its policy does not allow this call.
            Unavailable: the authorizer failed, so nothing is known of the caller.
        """
        if not token:
            raise Unauthorized
        event = {"type": "TOKEN", "authorizationToken": token, "methodArn": arn}
        try:
            answer = self._functions.invoke(self._authorizer, event)
        except FunctionFailed as error:
            # The one word that API Gateway turns into a 401.
            if error.error_message == "Unauthorized":
                raise Unauthorized from error
            self._logger.exception("the authorizer failed")
            raise Unavailable("The login service") from error
        except (EventTooLarge, AnswerTooLarge, FunctionUnavailable) as error:
            self._logger.exception("the authorizer failed")
            raise Unavailable("The login service") from error
        try:
            allowed = _allows(answer["policyDocument"], arn)
            context = _context(answer)
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            self._logger.exception("the authorizer's answer cannot be read")
            raise Unavailable("The login service") from error
        if not allowed:
            raise Forbidden
        return context


def _allows(policy: Mapping[str, Any], arn: str) -> bool:
    """Tell whether a statement allows and none denies."""
    statements = policy["Statement"]
    effects = [
        statement["Effect"]
        for statement in ([statements] if isinstance(statements, Mapping) else statements)
        if _matches(statement["Action"], "execute-api:Invoke") and _matches(statement["Resource"], arn)
    ]
    return bool(effects) and all(effect == "Allow" for effect in effects)


def _matches(patterns: str | list[str], value: str) -> bool:
    # IAM's wildcards: * is any characters, ? is one.
    for pattern in [patterns] if isinstance(patterns, str) else patterns:
        expression = re.escape(pattern).replace(r"\*", ".*").replace(r"\?", ".")
        if re.fullmatch(expression, value, re.DOTALL):
            return True
    return False


def _context(answer: Mapping[str, Any]) -> dict[str, str]:
    context = {"principalId": answer["principalId"]}
    for name, value in (answer.get("context") or {}).items():
        if not isinstance(value, str | int | float):
            raise TypeError(f"The authorizer's context may not hold {name}, which is a {type(value).__name__}.")
        # API Gateway hands on everything as a string, and true as JSON writes it.
        context[name] = str(value).lower() if isinstance(value, bool) else str(value)
    return context
