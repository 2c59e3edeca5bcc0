"""The problems that only a gateway meets."""

from functions.shared.problems import Problem, TooLarge
from infra.gateway.limits import MAX_BODY_BYTES


class BodyTooLarge(TooLarge):
    """Raised when the body of a request is over its limit: what fits into an event of Lambda, if not said otherwise."""

    def __init__(self, limit_bytes: int = MAX_BODY_BYTES) -> None:
        super().__init__(f"The largest request body accepted here is {limit_bytes} bytes.")


class BodyTooSlow(Problem):
    """Raised when a body does not arrive in time."""

    code = "request-timeout"

    def __init__(self) -> None:
        super().__init__("The body did not arrive in time. Send it again.")


class HeadTooSlow(Problem):
    """Raised when the request line and the headers do not arrive in time."""

    code = "request-timeout"

    def __init__(self) -> None:
        super().__init__("The headers did not arrive in time. Send the request again.")


class Forbidden(Problem):
    """Raised when the authorizer knows the person, but its policy does not allow the call."""

    code = "forbidden"

    def __init__(self) -> None:
        super().__init__("Your access token does not allow this.")


class BadAnswer(Problem):
    """Raised when a function's answer is not what API Gateway understands. The cause is for the log."""

    code = "bad-answer"

    def __init__(self) -> None:
        super().__init__("Try again. If it happens again, report the X-Request-Id of this answer.")


class TooLargeAnswer(Problem):
    """Raised when a function's answer is over Lambda's limit."""

    code = "answer-too-large"

    def __init__(self) -> None:
        super().__init__("Ask for less at once, such as a range of the file or a shorter list.")


class StorageCorrupt(Problem):
    """Raised when a stored file is missing or not what was stored."""

    code = "storage-corrupt"

    def __init__(self) -> None:
        super().__init__("The MP3 was damaged in storage. Upload the video again.")
