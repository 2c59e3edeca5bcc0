"""How much a person may store yet."""

from functions.shared.conversions import Owner
from functions.shared.problems import Problem, TooLarge
from functions.upload.deps import Deps


class QuotaExceeded(Problem):
    """Raised when a video would not fit into what its owner may store."""

    code = "quota-exceeded"

    def __init__(self, used_bytes: int, quota_bytes: int) -> None:
        left = max(0, quota_bytes - used_bytes)
        super().__init__(
            f"You use {used_bytes} of the {quota_bytes} bytes that you may store; {left} are left. "
            "Delete conversions or uploads that you do not need any more."
        )


def room(owner: Owner, deps: Deps) -> int:
    """Return how many bytes a person may store yet. Less than none if it is too much already."""
    return deps.limits.quota_bytes - deps.usage.used_bytes(owner.id)


def refuse_over_limits(length: int, room_bytes: int, deps: Deps) -> None:
    """Refuse a video of that length. Raises TooLarge and QuotaExceeded."""
    if length > deps.limits.max_upload_bytes:
        raise video_too_large(deps)
    if length > room_bytes:
        raise quota_exceeded(room_bytes, deps)


def video_too_large(deps: Deps) -> TooLarge:
    """Return the answer to a video that is larger than any may be."""
    return TooLarge(f"The largest video accepted here is {deps.limits.max_upload_bytes} bytes.")


def quota_exceeded(room_bytes: int, deps: Deps) -> QuotaExceeded:
    """Return the answer to a video for which the room that is left is too small."""
    return QuotaExceeded(deps.limits.quota_bytes - room_bytes, deps.limits.quota_bytes)
