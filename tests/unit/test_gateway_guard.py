"""The guard: who is let in, and what the function learns of them."""

from typing import Any

import pytest

from infra.invoke import AnswerTooLarge, EventTooLarge, FunctionFailed, FunctionUnavailable
from tests.fakes.gateway import ME, TOKEN, FakeFunctions, assert_problem, make_gateway, policy, send


@pytest.mark.parametrize("headers", [{}, {"Authorization": ""}])
def test_without_a_token_nobody_is_asked(headers: dict[str, str]):
    """API Gateway does not call a TOKEN authorizer without a token either."""
    functions = FakeFunctions()

    answer = send(make_gateway(functions), "GET", ME, headers=headers)

    assert_problem(answer, "invalid-token")
    assert answer.headers["www-authenticate"] == "Bearer"
    assert not functions.calls


def test_a_token_that_the_authorizer_refuses_is_a_401():
    """It says so by raising the one word Unauthorized."""
    functions = FakeFunctions()

    assert_problem(send(make_gateway(functions), "GET", ME, headers={"Authorization": "Bearer bad"}), "invalid-token")
    assert functions.called() == ["AuthorizerFunction"]


@pytest.mark.parametrize(
    "authorizer",
    [
        FunctionFailed("AuthorizerFunction", "OperationalError", "no connection"),
        FunctionUnavailable("gone"),
        EventTooLarge("big"),
        AnswerTooLarge("big"),
        None,
        {"principalId": "u1"},
        {"policyDocument": policy("Allow", "*")["policyDocument"]},
        policy("Allow", "*") | {"context": {"list": []}},
        policy("Allow", "*") | {"context": "words"},
        policy("Allow", 7),
    ],
)
def test_an_authorizer_that_fails_is_a_503_and_never_a_way_in(authorizer: Any):
    """Nothing is known of the caller then, so neither 401 nor the function is right."""
    functions = FakeFunctions()

    def answer(_: Any) -> Any:
        if isinstance(authorizer, Exception):
            raise authorizer
        return authorizer

    functions.authorizer = answer

    answered = send(make_gateway(functions), "GET", ME, headers=TOKEN)

    assert_problem(answered, "unavailable")
    assert int(answered.headers["retry-after"]) > 0
    assert functions.called() == ["AuthorizerFunction"]


ARN = "arn:aws:execute-api:us-east-1:000000000000:local/local/"
ALLOW = policy("Allow", ARN + "*")["policyDocument"]["Statement"][0]


@pytest.mark.parametrize(
    ("statements", "allowed"),
    [
        (ALLOW, True),
        ([ALLOW], True),
        ([ALLOW | {"Resource": [ARN + "POST/*", ARN + "GET/v1/auth/m?"]}], True),
        ([ALLOW | {"Action": ["execute-api:*"]}], True),
        ([ALLOW | {"Resource": "*"}], True),
        ([], False),
        ([ALLOW | {"Effect": "Deny"}], False),
        ([ALLOW, ALLOW | {"Effect": "Deny"}], False),
        ([ALLOW | {"Resource": ARN + "POST/v1/auth/me"}], False),
        ([ALLOW | {"Resource": ARN + "GET/v1/auth/m"}], False),
        ([ALLOW | {"Resource": ARN + "GET/v1/auth/[m]e"}], False),
        ([ALLOW | {"Action": "s3:GetObject"}], False),
    ],
)
def test_the_policy_decides_as_iam_does(statements: Any, allowed: bool):
    """A deny wins, and what no statement allows is refused."""
    functions = FakeFunctions()
    answer = policy("Allow", "*")
    answer["policyDocument"]["Statement"] = statements
    functions.authorizer = lambda _: answer

    answered = send(make_gateway(functions), "GET", ME, headers=TOKEN)

    if allowed:
        assert answered.status_code == 200
    else:
        assert_problem(answered, "forbidden")
        assert functions.called() == ["AuthorizerFunction"]


def test_the_authorizers_context_reaches_the_function_as_strings():
    """API Gateway hands on numbers and booleans as strings."""
    functions = FakeFunctions()
    functions.authorizer = lambda _: policy("Allow", "*") | {"context": {"n": 1, "yes": True, "s": "x"}}

    send(make_gateway(functions), "GET", ME, headers=TOKEN)

    assert functions.event["requestContext"]["authorizer"] == {"principalId": "u1", "n": "1", "yes": "true", "s": "x"}
