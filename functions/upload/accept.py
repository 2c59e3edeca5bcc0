"""The rules by which a video that comes in a form is taken in."""

import contextlib
from collections.abc import Iterable, Iterator
from itertools import chain

from functions.shared.conversions import Conversion, Owner, Video
from functions.shared.events import Event, publish_owed
from functions.shared.files import ChunkDigests
from functions.shared.problems import BadRequest, NotFound, Problem, Unavailable
from functions.shared.sniffing import SNIFFED_BYTES, refuse_other_than_media
from functions.upload.deps import Deps
from functions.upload.fields import Delivery, Fields
from functions.upload.filenames import clean_filename
from functions.upload.finding import UploadExpired, find_upload
from functions.upload.finishing import AlreadyAccepted, commit, conversion_of, tell_accepted
from functions.upload.holds import Locked, holding
from functions.upload.metadata import describe
from functions.upload.queued import queue
from functions.upload.quotas import quota_exceeded, refuse_over_limits, room
from functions.upload.repeats import fingerprint
from functions.upload.resumable import terminate
from functions.upload.uploads import Kind, UploadMissing


class EmptyFile(Problem):
    """Raised when a video has no bytes."""

    code = "empty-file"

    def __init__(self) -> None:
        super().__init__("The file has no bytes. Look whether it was copied or downloaded to its end.")


def accept_video(
    parts: Iterable[bytes], filename: str, fields: Fields, owner: Owner, deps: Deps, *, origin: str | None = None
) -> Conversion:
    """Store a video, of any size, and start its conversion. `filename` is as it was sent.

    With an `origin`, if the same request came before and its video was accepted, return that conversion.

    When this returns, the video will be converted: even if the broker is down, the event stays owed.

    Raises:
        EmptyFile: there are no bytes.
        UnsupportedMedia: it is evidently no video.
        TooLarge, QuotaExceeded: it is larger than a video may be, or than there is room for.
        Unavailable: the storage does not answer. Perhaps the video was taken in all the same, and perhaps its bytes
            stay behind without a conversion, until sweep finds them. After any other error nothing was taken in.
    """
    if origin and (accepted := _accepted_for(origin, deps)):
        return accepted
    head, parts = _peek(parts, SNIFFED_BYTES)
    if not head:
        raise EmptyFile
    refuse_other_than_media(head)

    conversion_id = deps.new_id()
    deps.uploads.watch(conversion_id)
    stored = deps.videos.put(conversion_id, _within_limits(parts, owner, deps))
    video = Video(bytes=stored.bytes, sha256=stored.sha256, **fields.delivery._asdict())
    conversion, uploaded = queue(
        conversion_id, owner, filename, fields.options, video, event_id=deps.new_id(), now=deps.clock()
    )
    accepted_id = _add(conversion, uploaded, origin, deps)
    if accepted_id != conversion_id:
        deps.videos.delete(conversion_id)
        return _accepted(accepted_id, deps)
    tell_accepted(conversion, "form", deps)
    publish_owed([uploaded], deps.events, deps.outbox, deps.logger)
    return conversion


def accept_stored_video(
    upload_id: str, fields: Fields, owner: Owner, deps: Deps, *, origin: str | None = None
) -> Conversion:
    """Start the conversion of a video that came out of a form as an upload of deferred length. It ends where it is.

    Done again, it returns the same conversion. So it does with another upload of the same `origin`, which is deleted.

    Raises:
        NotFound, UploadExpired: there is no such upload of this person, or not any more.
        EmptyFile, UnsupportedMedia, QuotaExceeded: as with `accept_video`.
        Locked: another request works on it.
    """
    upload = find_upload(upload_id, owner, deps)
    if conversion := conversion_of(upload_id, deps):
        return conversion
    if origin and (accepted := _accepted_for(origin, deps)):
        drop_surplus(upload_id, owner, deps)
        return accepted
    if upload.kind is not Kind.WHOLE or upload.length is not None:
        raise BadRequest("Only an upload of deferred length can be the video of a form.")
    try:
        _convert_upload(upload_id, fields, owner, origin, deps)
    except AlreadyAccepted as error:
        drop_surplus(upload_id, owner, deps)
        return _accepted(error.conversion_id, deps)
    return _accepted(upload_id, deps)


def says_form(parts: Iterable[bytes], filename: str, fields: Fields) -> str:
    """Return the fingerprint of a form. It is that of what it says: a boundary is another whenever it is sent."""
    digests = ChunkDigests()
    for part in parts:
        digests.update(part)
    return _fingerprint(filename, fields, digests.digest())


def says_upload(upload_id: str, fields: Fields, owner: Owner, deps: Deps) -> str:
    """Return the fingerprint of a form whose video became an upload: the same as if it had come in one piece.

    Raises NotFound and UploadExpired.
    """
    upload = find_upload(upload_id, owner, deps)
    try:
        digests = deps.uploads.digests(upload_id)
    except UploadMissing as error:
        raise NotFound from error
    return _fingerprint(describe(upload.metadata).filename, fields, digests)


def _fingerprint(filename: str, fields: Fields, digests: bytes) -> str:
    said = (clean_filename(filename), fields.options, digests)
    # What was not said changes nothing, so that a form is known again by a version that knows fewer fields.
    return fingerprint(*said) if fields.delivery == Delivery() else fingerprint(*said, fields.delivery)


def drop_surplus(upload_id: str, owner: Owner, deps: Deps) -> None:
    """Delete the upload of a form that was sent again, unless it is the one that was accepted."""
    if conversion_of(upload_id, deps):
        return
    # It expires in any case.
    with contextlib.suppress(NotFound, UploadExpired, Locked, Unavailable):
        terminate(upload_id, owner, deps)


def _convert_upload(upload_id: str, fields: Fields, owner: Owner, origin: str | None, deps: Deps) -> None:
    # The same token whenever the gateway tries again.
    with holding(upload_id, f"form {upload_id}", deps, comes_again=True) as held:
        offset = held.upload.offset
        if not offset:
            raise EmptyFile
        refuse_other_than_media(b"".join(deps.slices.read(upload_id, 0, min(offset, SNIFFED_BYTES))))
        # The upload itself is counted as used.
        if (left := room(owner, deps)) < 0:
            raise quota_exceeded(left, deps)
        commit(held, offset, offset, {}, deps, fields=fields, origin=origin)


def _accepted(conversion_id: str, deps: Deps) -> Conversion:
    if conversion := conversion_of(conversion_id, deps):
        return conversion
    raise NotFound


def _accepted_for(origin: str, deps: Deps) -> Conversion | None:
    conversion_id = deps.conversions.added_for(origin)
    return conversion_of(conversion_id, deps) if conversion_id else None


def _within_limits(parts: Iterable[bytes], owner: Owner, deps: Deps) -> Iterator[bytes]:
    left = room(owner, deps)
    length = 0
    for part in parts:
        length += len(part)
        refuse_over_limits(length, left, deps)
        yield part


def _add(conversion: Conversion, uploaded: Event, origin: str | None, deps: Deps) -> str:
    """Return the id of the conversion that is there then."""
    try:
        if origin:
            return deps.conversions.add_once(conversion, [uploaded], origin)
        deps.conversions.add(conversion, [uploaded])
    except Unavailable:
        # A lost answer looks like a failed write. And a write that no read sees yet can still reach a majority, so the
        # video must stay: without it the conversion would be lost.
        if not _is_there(conversion.id, deps):
            raise
    except Exception:
        deps.videos.delete(conversion.id)
        raise
    return conversion.id


def _is_there(conversion_id: str, deps: Deps) -> bool:
    try:
        return conversion_of(conversion_id, deps) is not None
    except Unavailable:
        return False


def _peek(parts: Iterable[bytes], count: int) -> tuple[bytes, Iterator[bytes]]:
    """Return the first `count` bytes, or all if there are fewer, and all parts from the first on."""
    rest = iter(parts)
    taken: list[bytes] = []
    size = 0
    for part in rest:
        taken.append(part)
        size += len(part)
        if size >= count:
            break
    return b"".join(taken)[:count], chain(taken, rest)
