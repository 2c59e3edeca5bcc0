"""The rules by which an upload begins and ends.

https://tus.io/protocols/resumable-upload
"""

import contextlib
from typing import NamedTuple

from msgspec.structs import replace

from functions.shared.conversions import ConversionMissing, Owner
from functions.shared.files import FileDamaged
from functions.shared.problems import NotFound
from functions.upload.appending import Addition, append_to, checked, refuse_too_many
from functions.upload.deps import Deps
from functions.upload.finding import as_accepted, find_upload, owned_upload
from functions.upload.finishing import commit, conversion_of
from functions.upload.holds import holding
from functions.upload.metadata import describe, read_metadata
from functions.upload.quotas import quota_exceeded, refuse_over_limits, room
from functions.upload.repeats import KeyBelongsToAnother
from functions.upload.uploads import Kind, Upload, UploadExists


class Creation(NamedTuple):
    """What a request for a new upload says. `metadata` and `concat` are headers as they were sent."""

    kind: Kind
    concat: str
    metadata: str
    length: int | None
    first: Addition | None


def create_upload(creation: Creation, owner: Owner, deps: Deps, *, origin: str | None = None) -> Upload:
    """Begin an upload, and store what came with the request.

    With an `origin`, which becomes its id, the same request may come again, and goes on with the same upload.

    Raises:
        BadRequest, InvalidInput: the metadata cannot be read, or an option in them is wrong.
        TooLarge, QuotaExceeded: it would be too large, or there is no room for it.
        WrongChecksum: the first bytes changed on their way.
    """
    if origin and (begun := _begun(origin, owner, deps)):
        return _with_first(begun, creation.first, deps)
    # The metadata of a part mean nothing: https://tus.io/protocols/resumable-upload#concatenation
    read_metadata(creation.metadata) if creation.kind is Kind.PARTIAL else describe(creation.metadata)
    refuse_over_limits(1 if creation.length is None else creation.length, room(owner, deps), deps)
    now = deps.clock()
    upload = Upload(
        id=origin or deps.new_id(),
        owner=owner,
        kind=creation.kind,
        parts=(),
        concat=creation.concat,
        metadata=creation.metadata,
        length=creation.length,
        offset=0,
        created_at=now,
        expires_at=now + deps.limits.upload_idle,
    )
    first = creation.first
    if first:
        # Before there is an upload, since nobody would get to know its URL.
        refuse_too_many(first, upload, upload.length, deps)
        first = checked(first)
    try:
        deps.uploads.add(upload)
    except UploadExists:
        if begun := _begun(upload.id, owner, deps):
            # Another try was quicker.
            return _with_first(begun, first, deps)
        # One was deleted.
        upload = replace(upload, id=deps.new_id())
        deps.uploads.add(upload)
    if (left := room(owner, deps)) < 0:
        # Others were begun at the same moment, and none of them saw this one.
        deps.uploads.delete(upload.id)
        raise quota_exceeded(left + (upload.length or 0), deps)
    deps.logger.info(
        "upload begun",
        extra={"conversion_id": upload.id, "upload_id": upload.id, "kind": upload.kind, "bytes": upload.length},
    )
    return _with_first(upload, first, deps)


def refuse_other_bytes(first: Addition, upload: Upload, deps: Deps) -> None:
    """Refuse a repeated creation that brings other bytes than are stored. Raises KeyBelongsToAnother."""
    end = min(len(first.body.data), upload.offset)
    # What is damaged says nothing of the request.
    with contextlib.suppress(FileDamaged):
        if b"".join(deps.slices.read(upload.id, 0, end)) != first.body.data[:end]:
            raise KeyBelongsToAnother


def _begun(upload_id: str, owner: Owner, deps: Deps) -> Upload | None:
    with contextlib.suppress(NotFound):
        upload = owned_upload(upload_id, owner, deps)
        return as_accepted(upload, deps) or upload
    return None


def _with_first(upload: Upload, first: Addition | None, deps: Deps) -> Upload:
    """Return an upload with the bytes that came with its creation, which an earlier try may have stored."""
    if first and not upload.offset:
        return append_to(upload.id, first, deps)
    if first:
        refuse_other_bytes(first, upload, deps)
    if upload.length == 0 and not conversion_of(upload.id, deps):
        with holding(upload.id, deps.new_id(), deps) as held:
            return commit(held, 0, 0, {}, deps)
    return upload


def terminate(upload_id: str, owner: Owner, deps: Deps) -> None:
    """Delete an upload, its bytes, and the conversion that it became. Raises NotFound, UploadExpired and Locked."""
    upload = find_upload(upload_id, owner, deps)
    with holding(upload_id, deps.new_id(), deps):
        with contextlib.suppress(ConversionMissing):
            deps.conversions.delete(upload_id, deps.clock())
        deps.slices.delete(upload_id)
        deps.uploads.delete(upload_id)
    deps.logger.info(
        "upload deleted", extra={"conversion_id": upload_id, "upload_id": upload_id, "bytes": upload.offset}
    )
