"""What a function answers becomes HTTP, or a problem."""

import base64
from typing import Any

import pytest

from infra.gateway.answers import Answer
from infra.invoke import AnswerTooLarge, FunctionFailed, FunctionUnavailable
from tests.fakes.gateway import LOGIN, MP3, OK, REQUEST_ID, TOKEN, FakeFunctions, assert_problem, make_gateway, send


def test_an_answer_becomes_http():
    """Status, headers of both kinds, and a body of any bytes."""
    functions = FakeFunctions(
        {
            "statusCode": 201,
            "headers": {"Content-Type": "audio/mpeg", "X-Number": 7, "X-True": True, "Set-Cookie": "a=1"},
            "multiValueHeaders": {"Set-Cookie": ["a=1", "b=2"], "X-Request-Id": ["forged"]},
            "body": base64.b64encode(bytes(range(256))).decode(),
            "isBase64Encoded": True,
        }
    )

    answer = send(make_gateway(functions), "POST", LOGIN)

    assert answer.status_code == 201
    assert answer.content == bytes(range(256))
    assert answer.headers["content-type"] == "audio/mpeg"
    assert (answer.headers["x-number"], answer.headers["x-true"]) == ("7", "true")
    assert answer.headers.get_list("set-cookie") == ["a=1", "b=2"]
    assert answer.headers.get_list("x-request-id") == [REQUEST_ID]
    assert answer.headers["content-length"] == "256"


def test_an_answer_without_a_type_is_json():
    """That is what API Gateway says of it."""
    answer = send(make_gateway(FakeFunctions({"statusCode": 200, "body": "1"})), "POST", LOGIN)

    assert answer.headers["content-type"] == "application/json"


@pytest.mark.parametrize("status", [204, 304])
def test_an_answer_that_may_have_no_body_has_none(status: int):
    """A body there would be read as the beginning of the next answer."""
    functions = FakeFunctions({"statusCode": status, "body": "null", "headers": {"ETag": '"x"'}})

    answer = send(make_gateway(functions), "POST", LOGIN)

    assert (answer.status_code, answer.content, answer.headers["etag"]) == (status, b"", '"x"')
    assert "content-length" not in answer.headers


def test_head_answers_the_headers_of_a_get_and_no_body():
    """The length is the function's word, or that of the body that a GET would send."""
    functions = FakeFunctions({"statusCode": 200, "headers": {"Content-Length": "1234"}, "body": ""})
    gateway = make_gateway(functions)

    told = send(gateway, "HEAD", MP3, headers=TOKEN)
    functions.answer = {"statusCode": 200, "body": "12345"}
    measured = send(gateway, "HEAD", MP3, headers=TOKEN)
    functions.answer = {"statusCode": 200, "headers": {"X-Stored-File": "mp3s/f;0-99"}, "body": ""}
    stored = send(gateway, "HEAD", MP3, headers=TOKEN)

    assert [answer.content for answer in (told, measured, stored)] == [b""] * 3
    assert [answer.headers["content-length"] for answer in (told, measured, stored)] == ["1234", "5", "99"]


@pytest.mark.parametrize(
    "answer",
    [
        None,
        "words",
        [],
        {},
        {"statusCode": "200"},
        {"statusCode": True},
        {"statusCode": 100},
        {"statusCode": 600},
        OK | {"body": {"a": 1}},
        OK | {"body": "!", "isBase64Encoded": True},
        OK | {"body": "é", "isBase64Encoded": True},
        OK | {"headers": ["X"]},
        OK | {"headers": {"X": None}},
        OK | {"headers": {"X": "a\r\nSet-Cookie: b"}},
        OK | {"headers": {"X Y": "a"}},
        OK | {"headers": {"X": "Straße €"}},
        OK | {"multiValueHeaders": {"X": "a"}},
        OK | {"headers": {"X-Stored-File": "mp3s/f"}},
        OK | {"headers": {"X-Stored-File": "mp3s/f;2-1"}},
    ],
)
def test_an_answer_that_cannot_be_read_is_a_502(answer: Any):
    """As at API Gateway; the reason is for the log."""
    assert_problem(send(make_gateway(FakeFunctions(answer)), "POST", LOGIN), "bad-answer")


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (FunctionFailed("AuthFunction", "KeyError", "'x'"), "internal"),
        (AnswerTooLarge("big"), "answer-too-large"),
        (FunctionUnavailable("gone"), "unavailable"),
        (RuntimeError("a bug of the gateway"), "internal"),
    ],
)
def test_a_function_that_fails_is_a_problem_without_its_secrets(error: Exception, code: str):
    """What went wrong inside is logged; the client is told what to do."""
    answer = send(make_gateway(FakeFunctions(error)), "POST", LOGIN)

    problem = assert_problem(answer, code)
    assert str(error) not in problem["detail"]


def test_a_header_is_found_in_any_case_and_the_last_one_counts():
    """The gateway itself reads what functions answer to slices."""
    answer = Answer(204, (("upload-offset", "1"), ("Upload-Offset", "2")), b"", None)

    assert (answer.header("UPLOAD-OFFSET"), answer.header("location")) == ("2", None)


@pytest.mark.parametrize(("status", "success"), [(200, True), (204, True), (302, False), (423, False), (503, False)])
def test_only_2xx_is_success(status: int, success: bool):
    """Anything else ends a body that comes in slices."""
    assert Answer(status, (), b"", None).is_success is success
