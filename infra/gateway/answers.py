"""Turn what a function answers into HTTP, as API Gateway does.

https://docs.aws.amazon.com/apigateway/latest/developerguide/set-up-lambda-proxy-integrations.html#api-gateway-simple-proxy-for-lambda-output-format
"""

import binascii
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import pybase64

from functions.shared.origins import origin_headers
from functions.shared.problems import Problem
from infra.gateway.stored_files import STORED_FILE_HEADER, Pieces

_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_VALUE = re.compile(r"[\t\x20-\x7e\x80-\xff]*")
# The server's own business.
_DROPPED = frozenset({"connection", "content-length", "keep-alive", "te", "trailer", "transfer-encoding", "upgrade"})
_WITHOUT_BODY = frozenset({204, 304})


class MalformedAnswer(Exception):
    """Raised when API Gateway would not understand an answer. The message says why."""


@dataclass(frozen=True)
class Answer:
    """An answer in HTTP's terms. If `stored` is given, the body is made of these pieces instead of `body`.

    `content_length` is None where HTTP has none.
    """

    status: int
    headers: tuple[tuple[str, str], ...]
    body: bytes
    content_length: int | None
    stored: Pieces | None = None

    @property
    def is_success(self) -> bool:
        """Whether the function did what it was asked for."""
        return 200 <= self.status < 300

    def header(self, name: str) -> str | None:
        """Return the last value of a header, by its name in any case, or None."""
        return next((value for key, value in reversed(self.headers) if key.lower() == name.lower()), None)


def problem_answer(problem: Problem) -> Answer:
    """Return a problem as an answer."""
    body = problem.to_json()
    headers = {"Content-Type": "application/problem+json", "Cache-Control": "no-store", **problem.headers}
    return Answer(int(problem.status), tuple(headers.items()), body, len(body))


def for_origin(answer: Answer, origin: str) -> Answer:
    """Return an answer that pages of `origin` may read, whoever answered."""
    if answer.header("access-control-allow-origin"):
        return answer
    return replace(answer, headers=(*answer.headers, *origin_headers(origin).items()))


def read_answer(answer: Any, method: str) -> Answer:
    """Read what a function answered to `method`. Raises MalformedAnswer."""
    if not isinstance(answer, Mapping):
        raise MalformedAnswer(f"The answer is a {type(answer).__name__}, not an object.")
    status = answer.get("statusCode")
    if not isinstance(status, int) or isinstance(status, bool) or not 200 <= status <= 599:
        raise MalformedAnswer(f"statusCode is {status!r}.")
    headers = list(_headers(answer))
    given = {name.lower(): value for name, value in headers}
    if "content-type" not in given:
        # As API Gateway does.
        headers.append(("Content-Type", "application/json"))
    body = _body(answer)
    stored = Pieces.parse(given[STORED_FILE_HEADER.lower()], body) if STORED_FILE_HEADER.lower() in given else None
    if stored is None and STORED_FILE_HEADER.lower() in given:
        raise MalformedAnswer(f"{STORED_FILE_HEADER} cannot be read.")
    length: int | None = stored.length if stored else len(body)
    if method == "HEAD" and not body and not stored and given.get("content-length", "").isdecimal():
        # It tells how long the body of a GET would be.
        length = int(given["content-length"])
    if status in _WITHOUT_BODY:
        headers = [(name, value) for name, value in headers if name.lower() != "content-type"]
        body, length, stored = b"", None, None
    dropped = _DROPPED | {STORED_FILE_HEADER.lower()}
    kept = tuple((name, value) for name, value in headers if name.lower() not in dropped)
    return Answer(status, kept, body, length, stored)


def _body(answer: Mapping[str, Any]) -> bytes:
    body = answer.get("body")
    if body is None:
        return b""
    if not isinstance(body, str):
        raise MalformedAnswer(f"body is a {type(body).__name__}, not a string.")
    if not answer.get("isBase64Encoded"):
        return body.encode("utf-8", "replace")
    try:
        return pybase64.b64decode(body, validate=True)
    except (binascii.Error, ValueError) as error:
        raise MalformedAnswer(f"body is not base64: {error}") from error


def _headers(answer: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    single, multi = answer.get("headers") or {}, answer.get("multiValueHeaders") or {}
    if not isinstance(single, Mapping) or not isinstance(multi, Mapping):
        raise MalformedAnswer("headers and multiValueHeaders must be objects.")
    many = {name.lower(): values for name, values in multi.items()}
    for name, value in single.items():
        # API Gateway merges both, and sends once what stands in both.
        if value not in (many.get(name.lower()) or ()):
            yield _header(name, value)
    for name, values in multi.items():
        if not isinstance(values, list):
            raise MalformedAnswer(f"multiValueHeaders.{name} is not a list.")
        for value in values:
            yield _header(name, value)


def _header(name: str, value: Any) -> tuple[str, str]:
    if isinstance(value, bool):
        value = str(value).lower()
    if not isinstance(value, str | int | float):
        raise MalformedAnswer(f"The header {name} is a {type(value).__name__}.")
    text = str(value).strip()
    if not _NAME.fullmatch(name) or not _VALUE.fullmatch(text):
        raise MalformedAnswer(f"The header {name!r} cannot be sent.")
    return name, text
