"""One HTTP request as the gateway read it, and its API Gateway event.

The event is that of a Lambda proxy integration of a REST API (payload format 1.0):
https://docs.aws.amazon.com/apigateway/latest/developerguide/set-up-lambda-proxy-integrations.html#api-gateway-simple-proxy-for-lambda-input-format
Where that page is silent, it is as captured from AWS:
https://github.com/hotsock/voker/blob/main/vokerhttp/testdata/apigwv1-request.json
"""

import base64
import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Self
from urllib.parse import parse_qsl

import pybase64
from starlette.types import Scope

from functions.shared.problems import BadRequest
from infra.gateway.limits import MAX_HEAD_BYTES
from infra.gateway.routing import Match
from infra.gateway.stored_files import STORED_FILE_HEADER
from infra.invoke import ACCOUNT, REGION

API_ID = "local"

# By these the gateway tells a function what no client may: see slices.py and forms.py.
BODY_SLICE_HEADER = "X-Body-Slice"
STORED_UPLOAD_HEADER = "X-Stored-Upload"

_ABSOLUTE_FORM = re.compile(r"https?://([^/@]+)", re.IGNORECASE)

# ASGI gives names in lower case, and so does API Gateway over HTTP/2, except for those that it sets itself.
_NAMES = {"host": "Host", "user-agent": "User-Agent"}
# What belongs to the connection, and what no client may set.
_DROPPED = frozenset(
    {"connection", "content-length", "expect", "keep-alive", "max-forwards", "proxy-authenticate"}
    | {"proxy-authorization", "te", "trailer", "transfer-encoding", "upgrade", STORED_FILE_HEADER.lower()}
    | {BODY_SLICE_HEADER.lower(), STORED_UPLOAD_HEADER.lower()}
    | {"x-amzn-trace-id", "x-forwarded-port", "x-forwarded-proto"}
)


@dataclass(frozen=True)
class HttpRequest:
    """The head of a request. `headers` are in their order, names in lower case; `path` is percent-encoded."""

    id: str
    method: str
    path: str
    query: str
    headers: Sequence[tuple[str, str]]
    protocol: str
    scheme: str
    port: int
    source_ip: str
    received_at: datetime

    @classmethod
    def of(cls, scope: Scope, request_id: str, now: datetime) -> Self:
        """Read an ASGI scope."""
        raw_path: bytes = scope.get("raw_path") or scope["path"].encode()
        path = raw_path.decode("latin-1")
        headers = [(name.decode("latin-1").lower(), value.decode("latin-1")) for name, value in scope["headers"]]
        if absolute := _ABSOLUTE_FORM.match(path):
            # As to a proxy. Its host is the one that counts: https://www.rfc-editor.org/rfc/rfc9112#section-3.2.2
            path = path[absolute.end() :] or "/"
            headers = [("host", absolute[1]), *(header for header in headers if header[0] != "host")]
        return cls(
            id=request_id,
            method=scope["method"],
            path=path,
            query=scope["query_string"].decode("latin-1"),
            headers=headers,
            protocol=f"HTTP/{scope['http_version']}",
            scheme=scope["scheme"],
            port=(scope.get("server") or ("", 0))[1] or 0,
            source_ip=(scope.get("client") or ("", 0))[0],
            received_at=now,
        )

    def header(self, name: str) -> str | None:
        """Return the last value of a header, by its name in lower case, or None."""
        return next((value for key, value in reversed(self.headers) if key == name), None)

    def check(self) -> None:
        """Refuse what API Gateway refuses, and what two readers could understand in two ways. Raises BadRequest."""
        head = len(self.method) + len(self.path) + len(self.query) + sum(len(n) + len(v) for n, v in self.headers)
        if head > MAX_HEAD_BYTES:
            raise BadRequest(f"The address and the headers may be {MAX_HEAD_BYTES} bytes together.")
        if self.header("content-length") is not None and self.header("transfer-encoding") is not None:
            # Request smuggling lives on this: https://www.rfc-editor.org/rfc/rfc9112#section-6.1
            problem = BadRequest("Send Content-Length or Transfer-Encoding, not both.")
            problem.headers["Connection"] = "close"
            raise problem


def method_arn(request: HttpRequest, stage: str) -> str:
    """Return what a policy must allow for this request to pass."""
    return f"arn:aws:execute-api:{REGION}:{ACCOUNT}:{API_ID}/{stage}/{request.method}{request.path}"


def proxy_event(
    request: HttpRequest,
    match: Match,
    body: bytes,
    *,
    authorizer: Mapping[str, str] | None,
    binary_media_types: Sequence[str],
    stage: str,
) -> dict[str, Any]:
    """Return the event. `authorizer` is what the authorizer said of the caller, None if it was not asked."""
    headers = _headers(request)
    query = _multi(parse_qsl(request.query, keep_blank_values=True))
    binary = bool(body) and _is_binary(request.header("content-type"), binary_media_types)
    return {
        "resource": match.route.path,
        "path": request.path,
        "httpMethod": request.method,
        "headers": _last(headers),
        "multiValueHeaders": headers,
        "queryStringParameters": _last(query) or None,
        "multiValueQueryStringParameters": query or None,
        "pathParameters": dict(match.parameters) or None,
        "stageVariables": None,
        "requestContext": _context(request, match, authorizer, stage),
        "body": _text(body, binary=binary) if body else None,
        "isBase64Encoded": binary,
    }


def _context(request: HttpRequest, match: Match, authorizer: Mapping[str, str] | None, stage: str) -> dict[str, Any]:
    domain = _domain(request.header("host") or "localhost")
    context: dict[str, Any] = {
        "resourceId": hashlib.sha256(match.route.path.encode()).hexdigest()[:6],
        "resourcePath": match.route.path,
        "httpMethod": request.method,
        "extendedRequestId": base64.b64encode(hashlib.sha256(request.id.encode()).digest()[:11]).decode(),
        "requestTime": request.received_at.strftime("%d/%b/%Y:%H:%M:%S +0000"),
        # With the stage before it only where that is a part of the address, which no domain of one's own has.
        "path": request.path,
        "accountId": ACCOUNT,
        "protocol": request.protocol,
        "stage": stage,
        "domainPrefix": domain.partition(".")[0],
        "requestTimeEpoch": int(request.received_at.timestamp() * 1000),
        "requestId": request.id,
        "identity": {
            "cognitoIdentityPoolId": None,
            "accountId": None,
            "cognitoIdentityId": None,
            "caller": None,
            "sourceIp": request.source_ip,
            "principalOrgId": None,
            "accessKey": None,
            "cognitoAuthenticationType": None,
            "cognitoAuthenticationProvider": None,
            "userArn": None,
            "userAgent": request.header("user-agent"),
            "user": None,
        },
        "domainName": domain,
        "apiId": API_ID,
    }
    if authorizer is not None:
        context["authorizer"] = dict(authorizer)
    return context


def _headers(request: HttpRequest) -> dict[str, list[str]]:
    forwarded_for = [value for name, value in request.headers if name == "x-forwarded-for"]
    kept = [(name, value) for name, value in request.headers if name not in _DROPPED and name != "x-forwarded-for"]
    return _multi((_NAMES.get(name, name), value) for name, value in kept) | {
        "X-Amzn-Trace-Id": [_trace_id(request)],
        "X-Forwarded-For": [", ".join([*forwarded_for, request.source_ip])],
        "X-Forwarded-Port": [str(request.port)],
        "X-Forwarded-Proto": [request.scheme],
    }


def _trace_id(request: HttpRequest) -> str:
    digest = hashlib.sha256(request.id.encode()).hexdigest()[:24]
    return f"Root=1-{int(request.received_at.timestamp()):08x}-{digest}"


def _multi(pairs: Any) -> dict[str, list[str]]:
    values: dict[str, list[str]] = {}
    for name, value in pairs:
        values.setdefault(name, []).append(value)
    return values


def _last(values: Mapping[str, Sequence[str]]) -> dict[str, str]:
    return {name: each[-1] for name, each in values.items()}


def _is_binary(content_type: str | None, binary_media_types: Sequence[str]) -> bool:
    # API Gateway takes a body without a type for JSON.
    kind = (content_type or "application/json").partition(";")[0].strip().lower()
    return not {"*/*", f"{kind.partition('/')[0]}/*", kind}.isdisjoint(binary_media_types)


def _text(body: bytes, *, binary: bool) -> str:
    return pybase64.b64encode_as_string(body) if binary else body.decode("utf-8", "replace")


def _domain(host: str) -> str:
    name, colon, port = host.rpartition(":")
    return name if colon and port.isdigit() else host
