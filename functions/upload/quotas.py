"""How much a person stores, and how much they may still store."""

import msgspec

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


class OpenUploads(msgspec.Struct, frozen=True):
    """The uploads under way: how many, and how many bytes they have or will have."""

    open: int
    bytes: int


class UsageReport(msgspec.Struct, frozen=True):
    """What a person stores, and what the deployment lets them store. Stored and uploaded bytes share the quota."""

    stored_bytes: int
    quota_bytes: int
    uploads: OpenUploads
    max_upload_bytes: int
    retention_days: int


def show_usage(owner: Owner, deps: Deps) -> UsageReport:
    """Return what a person stores, and their limits."""
    used = deps.usage.used_by(owner.id)
    return UsageReport(
        stored_bytes=used.stored_bytes,
        quota_bytes=deps.limits.quota_bytes,
        uploads=OpenUploads(used.open_uploads, used.upload_bytes),
        max_upload_bytes=deps.limits.max_upload_bytes,
        retention_days=deps.limits.retention_days,
    )


def room(owner: Owner, deps: Deps) -> int:
    """Return how many bytes a person may store yet. Less than none if it is too much already."""
    return deps.limits.quota_bytes - deps.usage.used_by(owner.id).bytes


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
