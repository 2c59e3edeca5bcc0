"""Events as AWS makes them, for tests that call a function as Lambda would.

The shape of an HTTP event (API Gateway REST, payload format 1.0):
https://docs.aws.amazon.com/apigateway/latest/developerguide/set-up-lambda-proxy-integrations.html
"""

import base64
import json
import re
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import quote

from functions.shared.conversions import Owner

REQUEST_ID = "c6af9ac6-7b61-11e6-9a41-93e8deadbeef"
API_ARN = "arn:aws:execute-api:eu-central-1:123456789012:api1/v1"


def http_event(
    method: str,
    path_template: str,
    path_params: Mapping[str, str] | None = None,
    body: object = None,
    headers: Mapping[str, str] | None = None,
    *,
    query: Mapping[str, str | Sequence[str]] | None = None,
    caller: Owner | None = None,
    session_id: str = "session-1",
    stage_path: str = "",
) -> dict[str, Any]:
    """Return the event of a request to the route `path_template`, such as `/v1/conversions/{conversion_id}`.

    `path_params` are decoded, as AWS hands them over. A body of bytes is sent as it is, base64-encoded as a
    binary media type is; a str is sent as text; anything else as JSON. `caller` is whom the authorizer let in,
    None where no authorizer was asked. `stage_path` is what the client's path has before the route's.
    """
    path_params, query = path_params or {}, query or {}
    path = re.sub(r"{(\w+)\+?}", lambda name: quote(path_params[name[1]], safe=""), path_template)
    sent = {"Host": "127.0.0.1:8080", "User-Agent": "tests"}
    if body is not None and not isinstance(body, bytes | str):
        sent["Content-Type"] = "application/json"
        body = json.dumps(body)
    sent |= headers or {}
    values = {name: [value] if isinstance(value, str) else list(value) for name, value in query.items()}
    return {
        "resource": path_template,
        "path": path,
        "httpMethod": method,
        "headers": sent,
        "multiValueHeaders": {name: [value] for name, value in sent.items()},
        "queryStringParameters": {name: value[-1] for name, value in values.items()} or None,
        "multiValueQueryStringParameters": values or None,
        "pathParameters": dict(path_params) or None,
        "stageVariables": None,
        "requestContext": {
            "accountId": "123456789012",
            "apiId": "api1",
            "authorizer": {
                "principalId": caller.id,
                "user_id": caller.id,
                "email": caller.email,
                "session_id": session_id,
            }
            if caller
            else None,
            "domainName": "127.0.0.1",
            "httpMethod": method,
            "identity": {"sourceIp": "127.0.0.1", "userAgent": "tests"},
            "path": f"{stage_path}{path}",
            "protocol": "HTTP/1.1",
            "requestId": REQUEST_ID,
            "requestTimeEpoch": 1_767_268_800_000,
            "resourceId": "abc123",
            "resourcePath": path_template,
            "stage": "v1",
        },
        "body": base64.b64encode(body).decode() if isinstance(body, bytes) else body,
        "isBase64Encoded": isinstance(body, bytes),
    }


def token_event(token: str, method: str = "GET", path: str = "/v1/auth/me") -> dict[str, str]:
    """Return the event that a TOKEN authorizer gets; `token` is the whole Authorization header.

    https://docs.aws.amazon.com/apigateway/latest/developerguide/api-gateway-lambda-authorizer-input.html
    """
    return {"type": "TOKEN", "authorizationToken": token, "methodArn": f"{API_ARN}/{method}{path}"}


def json_of(answer: Mapping[str, Any]) -> Any:
    """Return what the JSON body of a function's answer holds."""
    return json.loads(body_of(answer))


def body_of(answer: Mapping[str, Any]) -> bytes:
    """Return the body of a function's answer as the client gets it."""
    body: str = answer["body"]
    return base64.b64decode(body) if answer.get("isBase64Encoded") else body.encode()


def header(answer: Mapping[str, Any], name: str) -> str | None:
    """Return a header of a function's answer, or None. A function may spell its name in any case."""
    single = answer.get("headers") or {}
    many = answer.get("multiValueHeaders") or {}
    found = {key.lower(): value for key, value in single.items()}
    found |= {key.lower(): ", ".join(values) for key, values in many.items()}
    return found.get(name.lower())
