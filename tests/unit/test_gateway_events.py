"""The events that functions get. They must be AWS's, or a function that works here fails there."""

import base64
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from infra.gateway.limits import MAX_BODY_BYTES, MAX_HEAD_BYTES
from infra.invoke import MAX_PAYLOAD_BYTES
from infra.template import Template, load_template, parse_template
from tests.fakes.gateway import OK, REQUEST_ID, TOKEN, FakeFunctions, make_gateway, send

NARROW = """
Resources:
  Api:
    Type: AWS::Serverless::Api
    Properties:
      BinaryMediaTypes: [multipart~1form-data, image~1*]
  Echo:
    Type: AWS::Serverless::Function
    Properties:
      Handler: echo.app.app
      Events:
        Post: {Type: Api, Properties: {Method: POST, Path: /echo}}
        Named: {Type: Api, Properties: {Method: GET, Path: "/echo/{name}/x/{other}"}}
        Fixed: {Type: Api, Properties: {Method: GET, Path: /echo/fixed/x/1}}
"""


@pytest.fixture
def narrow() -> Template:
    return parse_template(NARROW)


def test_an_event_is_the_one_that_api_gateway_makes():
    """Compared as a whole: a field that is missing or extra is as wrong as one with another value."""
    functions = FakeFunctions()

    send(
        make_gateway(functions),
        "POST",
        "/v1/conversions/caf%C3%A9%2F1/retry?state=a%20b&state=c+d&empty=",
        headers=[
            ("Authorization", "Bearer good"),
            ("User-Agent", "curl/8.7.1"),
            ("Accept", "*/*"),
            ("Accept-Encoding", "gzip"),
            ("X-Twice", "first"),
            ("X-Twice", "second"),
            ("X-Forwarded-For", "198.51.100.7"),
            ("Content-Type", "application/json"),
        ],
        content=b'{"a": "\xc3\xa9"}',
    )

    headers = {
        "Host": ["127.0.0.1:8080"],
        "User-Agent": ["curl/8.7.1"],
        "X-Amzn-Trace-Id": ["Root=1-695661c0-bd54e63736b48d5b149ee73e"],
        "X-Forwarded-For": ["198.51.100.7, 203.0.113.9"],
        "X-Forwarded-Port": ["8080"],
        "X-Forwarded-Proto": ["http"],
        "accept": ["*/*"],
        "accept-encoding": ["gzip"],
        "authorization": ["Bearer good"],
        "content-type": ["application/json"],
        "x-twice": ["first", "second"],
    }
    assert functions.event == {
        "resource": "/v1/conversions/{conversion_id}/retry",
        "path": "/v1/conversions/caf%C3%A9%2F1/retry",
        "httpMethod": "POST",
        "headers": {name: values[-1] for name, values in headers.items()},
        "multiValueHeaders": headers,
        "queryStringParameters": {"state": "c d", "empty": ""},
        "multiValueQueryStringParameters": {"state": ["a b", "c d"], "empty": [""]},
        "pathParameters": {"conversion_id": "café/1"},
        "stageVariables": None,
        "requestContext": {
            "resourceId": "c784b9",
            "authorizer": {
                "principalId": "u1",
                "user_id": "u1",
                "email": "ada@example.org",
                "session_id": "s1",
            },
            "resourcePath": "/v1/conversions/{conversion_id}/retry",
            "httpMethod": "POST",
            "extendedRequestId": "vVTmNza0jVsUnuc=",
            "requestTime": "01/Jan/2026:12:00:00 +0000",
            "path": "/v1/conversions/caf%C3%A9%2F1/retry",
            "accountId": "000000000000",
            "protocol": "HTTP/1.1",
            "stage": "local",
            "domainPrefix": "127",
            "requestTimeEpoch": 1767268800000,
            "requestId": REQUEST_ID,
            "identity": {
                "cognitoIdentityPoolId": None,
                "accountId": None,
                "cognitoIdentityId": None,
                "caller": None,
                "sourceIp": "203.0.113.9",
                "principalOrgId": None,
                "accessKey": None,
                "cognitoAuthenticationType": None,
                "cognitoAuthenticationProvider": None,
                "userArn": None,
                "userAgent": "curl/8.7.1",
                "user": None,
            },
            "domainName": "127.0.0.1",
            "apiId": "local",
        },
        "body": base64.b64encode(b'{"a": "\xc3\xa9"}').decode(),
        "isBase64Encoded": True,
    }


def test_what_is_absent_is_null_and_not_empty():
    """Chalice and others tell a GET without a query by null."""
    functions = FakeFunctions()

    send(make_gateway(functions), "GET", "/v1/auth/me", headers=TOKEN)

    absent = ("queryStringParameters", "multiValueQueryStringParameters", "pathParameters", "body", "stageVariables")
    assert [functions.event[name] for name in absent] == [None] * 5
    assert functions.event["isBase64Encoded"] is False


def test_an_open_route_has_no_authorizer_in_its_context():
    """A function must not take somebody for logged in whom nobody asked."""
    functions = FakeFunctions()

    send(make_gateway(functions), "POST", "/v1/auth/login", headers=TOKEN, json={})

    assert "authorizer" not in functions.event["requestContext"]


@pytest.mark.parametrize(
    ("content_type", "binary"),
    [
        ("multipart/form-data; boundary=x", True),
        ("Multipart/Form-Data", True),
        ("image/png", True),
        ("application/json", False),
        ("text/plain; a=multipart/form-data", False),
        (None, False),
    ],
)
def test_only_binary_media_types_are_base64(narrow: Template, content_type: str | None, binary: bool):
    """The function decodes by isBase64Encoded alone, so a wrong one destroys the video."""
    functions = FakeFunctions()
    headers = {"Content-Type": content_type} if content_type else {}

    send(make_gateway(functions, template=narrow), "POST", "/echo", headers=headers, content=b"\xff\x00a")

    assert functions.event["isBase64Encoded"] is binary
    assert functions.event["body"] == ("/wBh" if binary else "�\x00a")


def test_bytes_that_are_not_utf_8_arrive_unchanged_through_the_real_template():
    """One emulator corrupts them for want of a matching media type; here `*/*` takes everything."""
    functions = FakeFunctions()
    every_byte = bytes(range(256))

    send(make_gateway(functions), "POST", "/v1/conversions", headers=TOKEN, content=every_byte)

    assert base64.b64decode(functions.event["body"]) == every_byte


def test_a_fixed_path_wins_over_one_with_parameters(narrow: Template):
    """API Gateway prefers it too, whatever the order in the template."""
    functions = FakeFunctions()

    send(make_gateway(functions, template=narrow), "GET", "/echo/fixed/x/1")

    assert functions.event["resource"] == "/echo/fixed/x/1"


def test_a_client_cannot_send_the_internal_header_or_what_belongs_to_the_connection():
    """Else a client could have any stored file streamed, or confuse a function about the body's length."""
    functions = FakeFunctions()
    sent = {"X-Stored-File": "mp3s/a;0-1", "X-STORED-FILE": "mp3s/b;0-1", "TE": "trailers", "Keep-Alive": "1"}

    send(make_gateway(functions), "POST", "/v1/auth/login", headers=sent, content=b"x")

    names = {name.lower() for name in functions.event["multiValueHeaders"]}
    assert names.isdisjoint({"x-stored-file", "te", "keep-alive", "connection", "content-length"})


def test_a_client_cannot_choose_its_address_or_its_trace():
    """SourceIp is the peer's address; X-Forwarded-For only adds to what the client says."""
    functions = FakeFunctions()
    sent = {"X-Forwarded-For": "1.1.1.1", "X-Amzn-Trace-Id": "mine", "X-Forwarded-Proto": "https"}

    send(make_gateway(functions), "POST", "/v1/auth/login", headers=sent)

    assert functions.event["requestContext"]["identity"]["sourceIp"] == "203.0.113.9"
    assert functions.event["headers"]["X-Forwarded-For"] == "1.1.1.1, 203.0.113.9"
    assert functions.event["headers"]["X-Amzn-Trace-Id"].startswith("Root=1-")
    assert functions.event["headers"]["X-Forwarded-Proto"] == "http"


@pytest.mark.parametrize(("host", "domain"), [("api.example.org", "api.example.org"), ("[::1]:8080", "[::1]")])
def test_the_domain_is_the_host_without_its_port(host: str, domain: str):
    """Functions make links from it."""
    functions = FakeFunctions()

    send(make_gateway(functions), "POST", "/v1/auth/login", headers={"Host": host})

    assert functions.event["requestContext"]["domainName"] == domain


def test_the_authorizer_gets_the_token_and_the_arn_of_the_call():
    """See https://docs.aws.amazon.com/apigateway/latest/developerguide/api-gateway-lambda-authorizer-input.html ."""
    functions = FakeFunctions()

    send(make_gateway(functions), "DELETE", "/v1/conversions/c1", headers=TOKEN)

    assert functions.calls[0] == (
        "AuthorizerFunction",
        {
            "type": "TOKEN",
            "authorizationToken": "Bearer good",
            "methodArn": "arn:aws:execute-api:us-east-1:000000000000:local/local/DELETE/v1/conversions/c1",
        },
    )


@given(
    query=st.text(max_size=60),
    name=st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=60),
)
def test_any_name_in_a_path_arrives_decoded(query: str, name: str):
    """A name with a slash, a percent sign or a letter of any script is one parameter."""
    functions = FakeFunctions(OK)
    encoded = "".join(f"%{byte:02x}" for byte in name.encode())

    answer = send(
        make_gateway(functions, template=parse_template(NARROW)),
        "GET",
        f"/echo/{encoded}/x/2",
        params={"q": query.encode("utf-8", "replace").decode()},
    )

    assert answer.status_code == 200
    assert functions.event["pathParameters"] == {"name": name, "other": "2"}
    assert functions.event["queryStringParameters"] == {"q": query.encode("utf-8", "replace").decode()}


def test_the_largest_body_with_the_worst_head_fits_into_an_event():
    """So the limit that a 413 names is one that holds for every request."""
    functions = FakeFunctions()
    room = MAX_HEAD_BYTES - 400
    gateway = make_gateway(functions, template=load_template())

    for url, headers in (
        ("/v1/conversions?" + "&".join(f"{number:x}" for number in range(room // 4)), {}),
        ("/v1/conversions?" + "%01" * (room // 3), {}),
        ("/v1/conversions", {"X-Long": '"' * room}),
        ("/v1/conversions", {f"x{number:x}": "" for number in range(room // 5)}),
    ):
        answer = send(gateway, "POST", url, headers=TOKEN | headers, content=bytes(MAX_BODY_BYTES))
        assert answer.status_code == 200, answer.text
        assert len(json.dumps(functions.event, ensure_ascii=False, separators=(",", ":")).encode()) <= MAX_PAYLOAD_BYTES
