"""Every way a request can be refused: one table of codes, and the exception that carries one.

The answers are RFC 9457 problem details, https://www.rfc-editor.org/rfc/rfc9457.
"""

from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import NamedTuple

import msgspec


class Meaning(NamedTuple):
    """What a code means to a client: the HTTP status and the title."""

    status: int
    title: str


PROBLEMS: Mapping[str, Meaning] = {
    "bad-request": Meaning(HTTPStatus.BAD_REQUEST, "The request cannot be read"),
    "bad-multipart": Meaning(HTTPStatus.BAD_REQUEST, "The form cannot be read"),
    "invalid-token": Meaning(HTTPStatus.UNAUTHORIZED, "Log in first"),
    "wrong-credentials": Meaning(HTTPStatus.UNAUTHORIZED, "E-mail or password is wrong"),
    "forbidden": Meaning(HTTPStatus.FORBIDDEN, "Not allowed"),
    "quota-exceeded": Meaning(HTTPStatus.FORBIDDEN, "Your storage is full"),
    "final-upload": Meaning(HTTPStatus.FORBIDDEN, "This upload is made of others"),
    "invalid-link": Meaning(HTTPStatus.FORBIDDEN, "This link is not valid"),
    "not-found": Meaning(HTTPStatus.NOT_FOUND, "Not found"),
    "method-not-allowed": Meaning(HTTPStatus.METHOD_NOT_ALLOWED, "Method not allowed"),
    "request-timeout": Meaning(HTTPStatus.REQUEST_TIMEOUT, "The request took too long to arrive"),
    "email-taken": Meaning(HTTPStatus.CONFLICT, "This e-mail is registered"),
    "not-ready": Meaning(HTTPStatus.CONFLICT, "The MP3 is not ready"),
    "wrong-offset": Meaning(HTTPStatus.CONFLICT, "The upload is at another offset"),
    "still-answering": Meaning(HTTPStatus.CONFLICT, "The first request with this key is not answered yet"),
    "not-failed": Meaning(HTTPStatus.CONFLICT, "Only a failed conversion can be tried again"),
    "upload-expired": Meaning(HTTPStatus.GONE, "The upload has expired"),
    "unsupported-version": Meaning(HTTPStatus.PRECONDITION_FAILED, "This version of tus is not spoken here"),
    "precondition-failed": Meaning(HTTPStatus.PRECONDITION_FAILED, "The file is not the one you named"),
    "too-large": Meaning(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "Too large"),
    "unsupported-media": Meaning(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "Not a video"),
    "unsupported-content-type": Meaning(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "Not this Content-Type"),
    "range-not-satisfiable": Meaning(HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE, "Range not satisfiable"),
    "invalid-input": Meaning(HTTPStatus.UNPROCESSABLE_ENTITY, "The input is not valid"),
    "key-taken": Meaning(HTTPStatus.UNPROCESSABLE_ENTITY, "This key belongs to another request"),
    "weak-password": Meaning(HTTPStatus.UNPROCESSABLE_ENTITY, "The password is too weak"),
    "empty-file": Meaning(HTTPStatus.UNPROCESSABLE_ENTITY, "The video is empty"),
    "upload-locked": Meaning(HTTPStatus.LOCKED, "Another request is writing to this upload"),
    "too-many-requests": Meaning(HTTPStatus.TOO_MANY_REQUESTS, "Too many requests"),
    # The number is tus's own: https://tus.io/protocols/resumable-upload#checksum
    "wrong-checksum": Meaning(460, "The bytes are not those of the checksum"),
    "internal": Meaning(HTTPStatus.INTERNAL_SERVER_ERROR, "Something went wrong on our side"),
    "storage-corrupt": Meaning(HTTPStatus.INTERNAL_SERVER_ERROR, "The stored file is damaged"),
    "bad-answer": Meaning(HTTPStatus.BAD_GATEWAY, "The answer cannot be read"),
    "answer-too-large": Meaning(HTTPStatus.BAD_GATEWAY, "The answer is too large"),
    "unavailable": Meaning(HTTPStatus.SERVICE_UNAVAILABLE, "Not available right now"),
}


class FieldError(msgspec.Struct, frozen=True):
    """One field of the input, by the name the client used, and what is wrong with it."""

    field: str
    message: str


class Problem(Exception):
    """Raised when a request is refused. A subclass sets `code`, which PROBLEMS must list.

    `detail` is a plain sentence that says what to do; `headers` are added to the answer.
    """

    code: str = "internal"

    def __init__(
        self, detail: str, *, errors: Sequence[FieldError] = (), headers: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(detail)
        self.detail = detail
        self.errors = tuple(errors)
        self.headers = dict(headers or {})

    @property
    def status(self) -> int:
        """The HTTP status of the answer."""
        return PROBLEMS[self.code].status

    def to_json(self) -> bytes:
        """Return the body of the answer, an application/problem+json document."""
        body: dict[str, object] = {
            "type": f"/problems/{self.code}",
            "title": PROBLEMS[self.code].title,
            "status": int(self.status),
            "detail": self.detail,
        }
        if self.errors:
            body["errors"] = self.errors
        return msgspec.json.encode(body)


class BadRequest(Problem):
    """Raised when the request cannot be read at all."""

    code = "bad-request"


class InvalidInput(Problem):
    """Raised when fields of the request are missing or wrong. `errors` names each."""

    code = "invalid-input"

    def __init__(self, *errors: FieldError) -> None:
        names = ", ".join(error.field for error in errors)
        super().__init__(f"Correct and send again: {names}.", errors=errors)


class NotFound(Problem):
    """Raised when a thing does not exist or belongs to somebody else: nobody can tell which."""

    code = "not-found"

    def __init__(self) -> None:
        super().__init__("There is nothing here, or it is not yours.")


class MethodNotAllowed(Problem):
    """Raised when a path exists but not with this method."""

    code = "method-not-allowed"

    def __init__(self, allowed: Sequence[str]) -> None:
        names = ", ".join(sorted(allowed))
        super().__init__(f"Use one of: {names}.", headers={"Allow": names})


class TooLarge(Problem):
    """Raised when a body is over a limit. The detail says the limit."""

    code = "too-large"


class InternalProblem(Problem):
    """Raised in place of an exception that nobody foresaw; the log has the cause under the request id."""

    code = "internal"

    def __init__(self) -> None:
        super().__init__("Try again. If it happens again, report the X-Request-Id of this answer.")


class Unavailable(Problem):
    """Raised when a server that is needed does not answer. The same request may work a little later."""

    code = "unavailable"
    retry_after_s = 5

    def __init__(self, what: str) -> None:
        super().__init__(
            f"{what} does not answer. Try again in a few seconds.", headers={"Retry-After": str(self.retry_after_s)}
        )
