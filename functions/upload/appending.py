"""The rules by which an upload grows.

A request has one body, but a long one comes here in slices. Each slice begins to count when it is stored, so that a
connection that breaks costs nothing. With a checksum none counts before the last has come and the whole body was
found to be right.
"""

from collections.abc import Iterator
from enum import StrEnum
from typing import NamedTuple

from functions.shared.conversions import Owner
from functions.shared.files import CHUNK_BYTES, ChunkDigests
from functions.shared.problems import BadRequest, Problem, TooLarge
from functions.upload.checksums import Checksum
from functions.upload.deps import Deps
from functions.upload.finding import as_accepted, find_upload, owned_upload
from functions.upload.finishing import DIGEST_BYTES, commit
from functions.upload.holds import Locked, holding, let_go
from functions.upload.quotas import quota_exceeded, refuse_over_limits, room, video_too_large
from functions.upload.uploads import Held, Kind, Upload

# What is read again to compare it with its checksum, in the seconds that one call of a function may take.
MAX_CHECKED_BYTES = 2 * 1024**3
_HOLD_AGAIN_BYTES = 64 * CHUNK_BYTES


class WrongOffset(Problem):
    """Raised when bytes are sent that do not follow those that are stored."""

    code = "wrong-offset"

    def __init__(self, offset: int) -> None:
        super().__init__(f"The upload is at offset {offset}. Go on from there.", headers={"Upload-Offset": str(offset)})


class FinalUpload(Problem):
    """Raised when bytes are sent to an upload that is made of others."""

    code = "final-upload"

    def __init__(self) -> None:
        super().__init__("This upload is made of other uploads, so nothing can be added to it.")


class Ends(StrEnum):
    """What comes after a slice: more of the body, nothing since it is the last, or nothing since the client is gone."""

    MORE = "more"
    LAST = "last"
    BROKEN = "broken"


class Slice(NamedTuple):
    """Some bytes of a request's body, perhaps all.

    `token` names the request, `position` is how many bytes of the body came before, and `total` how many it has, None
    if nobody knows.
    """

    token: str
    data: bytes
    position: int = 0
    total: int | None = None
    ends: Ends = Ends.LAST

    @property
    def is_whole_body(self) -> bool:
        """Whether nothing came before and nothing comes after."""
        return self.position == 0 and self.ends is Ends.LAST


class Addition(NamedTuple):
    """What a request adds. It says at which offset, perhaps the upload's length, and perhaps the body's checksum."""

    offset: int
    length: int | None
    checksum: Checksum | None
    body: Slice

    @property
    def end(self) -> int:
        """The offset that the upload will have at least, if all goes well."""
        return self.offset + max(self.body.total or 0, self.body.position + len(self.body.data))


def append(upload_id: str, addition: Addition, owner: Owner, deps: Deps) -> Upload:
    """Add what one slice of a request's body brings. Returns the upload as it is then.

    Raises:
        NotFound, UploadExpired: as with `find_upload`.
        FinalUpload: the upload is made of others.
        WrongOffset: other bytes are to come next.
        Locked: another request adds to it.
        BadRequest: its length was another, or would be less than is there.
        TooLarge, QuotaExceeded: the bytes would be more than its length, or than there may be.
        WrongChecksum: the body changed on its way.
    """
    is_first = addition.body.position == 0
    upload = find_upload(upload_id, owner, deps) if is_first else owned_upload(upload_id, owner, deps)
    if upload.kind is Kind.FINAL:
        raise FinalUpload
    if is_first and upload.is_whole:
        _refuse_misplaced(addition.body, upload, is_next=upload.offset == addition.offset)
        refuse_too_many(addition, upload, _agreed_length(addition, upload, deps), deps)
        return upload
    return append_to(upload_id, addition, deps)


def append_to(upload_id: str, addition: Addition, deps: Deps) -> Upload:
    """Add what a slice brings to an upload that may grow. Raises as `append` does."""
    body = addition.body
    with holding(upload_id, body.token, deps, comes_again=not body.is_whole_body) as now_held:
        # Whoever held it before may have brought the last bytes, and a conversion may be reading them.
        held = now_held._replace(upload=as_accepted(now_held.upload, deps) or now_held.upload)
        if addition.checksum and not body.is_whole_body:
            return _append_checked(held, addition, addition.checksum, deps)
        return _append_at_once(held, addition, deps)


def _append_at_once(held: Held, addition: Addition, deps: Deps) -> Upload:
    upload, body = held.upload, addition.body
    is_stored = _is_stored(held, addition, deps)
    is_next = upload.offset == addition.offset + body.position
    _refuse_misplaced(body, upload, is_next=is_next or is_stored)
    length = _agreed_length(addition, upload, deps)
    refuse_too_many(addition, upload, length, deps)
    new = b"" if is_stored else checked(addition).body.data
    keep = body.ends is Ends.MORE
    if upload.is_whole:
        if not keep:
            let_go(held, deps)
        return upload
    digests = deps.slices.write(held, new) if new else {}
    return commit(held, upload.offset + len(new), length, digests, deps, keep=keep)


def _is_stored(held: Held, addition: Addition, deps: Deps) -> bool:
    """Whether a slice comes again, since the answer was lost when it had begun to count."""
    upload, body = held.upload, addition.body
    start = addition.offset + body.position
    if body.is_whole_body or not body.data or upload.offset != start + len(body.data):
        return False
    return b"".join(deps.slices.read(upload.id, start, upload.offset)) == body.data


def _append_checked(held: Held, addition: Addition, checksum: Checksum, deps: Deps) -> Upload:
    upload, body = held.upload, addition.body
    if body.ends is Ends.BROKEN or (body.position and _is_stored(held, addition, deps)):
        let_go(held, deps)
        return upload
    is_next = upload.offset == addition.offset and body.position <= held.staged
    _refuse_misplaced(body, upload, is_next=is_next)
    length = _agreed_length(addition, upload, deps)
    refuse_too_many(addition, upload, length, deps)
    if addition.end - addition.offset > MAX_CHECKED_BYTES:
        raise TooLarge(f"A body with Upload-Checksum may have {MAX_CHECKED_BYTES} bytes. Send the upload in several.")
    # What a first try of this slice has staged is written again.
    held = held._replace(staged=body.position)
    if body.data:
        deps.slices.write(held, body.data)
        held = held._replace(staged=body.position + len(body.data))
    deps.uploads.stage(held, held.staged)
    if body.ends is Ends.MORE:
        return upload
    digests = _check_staged(held, checksum, deps)
    return commit(held, upload.offset + held.staged, length, digests, deps)


def _check_staged(held: Held, checksum: Checksum, deps: Deps) -> dict[int, bytes]:
    """Read what is staged, compare it with its checksum, and return the digests of the chunks that it touches."""
    upload = held.upload
    number = upload.offset // CHUNK_BYTES
    digests = ChunkDigests()

    def staged() -> Iterator[bytes]:
        position = number * CHUNK_BYTES
        for part in deps.slices.read(upload.id, position, upload.offset + held.staged):
            digests.update(part)
            yield part[max(0, upload.offset - position) :]
            position += len(part)
            if position % _HOLD_AGAIN_BYTES == 0:
                deps.uploads.stage(held, held.staged)

    checksum.check(staged())
    whole = digests.digest()
    return {number + at // DIGEST_BYTES: whole[at : at + DIGEST_BYTES] for at in range(0, len(whole), DIGEST_BYTES)}


def checked(addition: Addition) -> Addition:
    """Return the addition without its checksum, if its body is here whole and right. Raises WrongChecksum."""
    if addition.checksum and addition.body.is_whole_body:
        addition.checksum.check([addition.body.data])
        return addition._replace(checksum=None)
    return addition


def _refuse_misplaced(body: Slice, upload: Upload, *, is_next: bool) -> None:
    """Refuse a slice that is not the next. One behind the first was in place until another request came between."""
    if not is_next:
        raise Locked if body.position else WrongOffset(upload.offset)


def _agreed_length(addition: Addition, upload: Upload, deps: Deps) -> int | None:
    """Return the length that the upload has with what the request says of it."""
    declared = addition.length
    if declared is None or declared == upload.length:
        return upload.length
    if upload.length is not None:
        raise BadRequest(f"The length of this upload is {upload.length} and cannot change.")
    if declared < upload.offset:
        raise BadRequest(f"The upload has {upload.offset} bytes already, so its length cannot be {declared}.")
    refuse_over_limits(declared, room(upload.owner, deps) + upload.offset, deps)
    return declared


def refuse_too_many(addition: Addition, upload: Upload, length: int | None, deps: Deps) -> None:
    """Refuse bytes over the upload's length or, while that is not known, over what it may have."""
    if length is not None:
        if addition.end > length:
            raise TooLarge(f"The upload has {length} bytes; with these it would have {addition.end}.")
    elif addition.end > deps.limits.max_upload_bytes:
        raise video_too_large(deps)
    # Each time anew: other uploads grow, too.
    elif addition.end - upload.offset > (left := room(upload.owner, deps)):
        raise quota_exceeded(left, deps)
