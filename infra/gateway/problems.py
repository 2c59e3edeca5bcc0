"""The problems that only a gateway meets."""

from functions.shared.problems import Problem, TooLarge
from infra.gateway.limits import MAX_BODY_BYTES


class BodyTooLarge(TooLarge):
    """Raised when the body of a request does not fit into an event of Lambda."""

    def __init__(self) -> None:
        super().__init__(f"The largest request body accepted here is {MAX_BODY_BYTES} bytes.")


class BodyTooSlow(Problem):
    """Raised when a body does not arrive in time."""

    code = "request-timeout"

    def __init__(self) -> None:
        super().__init__("The body did not arrive in time. Send it again.", headers={"Connection": "close"})


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
