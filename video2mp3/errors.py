"""What goes wrong between a client and the service. Each error reads as a sentence for the person."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

import httpx


class ClientError(Exception):
    """The base of all errors of this package."""


class Unreachable(ClientError):
    """Raised when the service does not answer. The cause is the error of httpx."""


class TookTooLong(ClientError):
    """Raised when a conversion has not ended in time. It goes on all the same."""


@dataclass(frozen=True)
class FieldError:
    """One field of what was sent, and what is wrong with it."""

    field: str
    message: str


class ApiError(ClientError):
    """Raised when the service refuses a request. `code` is its problem's type without `/problems/`."""

    def __init__(
        self,
        status: int,
        code: str,
        title: str,
        detail: str,
        *,
        errors: Sequence[FieldError] = (),
        request_id: str | None = None,
    ) -> None:
        fields = "".join(f" {error.field}: {error.message}." for error in errors)
        super().__init__(f"{title}. {detail}{fields}")
        self.status = status
        self.code = code
        self.title = title
        self.detail = detail
        self.errors = tuple(errors)
        self.request_id = request_id

    @classmethod
    def from_response(cls, response: httpx.Response) -> Self:
        """Return the error that a response tells, or the best guess if it is not one of the service's own."""
        problem = _json_object(response)
        return cls(
            response.status_code,
            str(problem.get("type", "")).rpartition("/")[2] or "unknown",
            str(problem.get("title") or f"The service answered {response.status_code}"),
            str(problem.get("detail") or f"It said: {response.text[:200]!r}."),
            errors=[FieldError(str(e.get("field")), str(e.get("message"))) for e in problem.get("errors") or []],
            request_id=response.headers.get("X-Request-Id"),
        )


def _json_object(response: httpx.Response) -> Mapping[str, Any]:
    try:
        body = response.json()
    except ValueError:
        return {}
    return body if isinstance(body, dict) else {}
