"""The rule by which partial uploads become one video.

https://tus.io/protocols/resumable-upload#concatenation

The id of the final upload is made of what it is made of. So a request that comes again, after a lost answer or one
that ran out of time, finds the same upload, and goes on or finds it done.
"""

import contextlib
import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import timedelta
from typing import NamedTuple

import msgspec

from functions.shared.conversions import Owner
from functions.shared.files import CHUNK_BYTES, FileDamaged
from functions.shared.problems import BadRequest, NotFound, Problem, Unavailable
from functions.upload.deps import Deps
from functions.upload.finding import find_upload
from functions.upload.finishing import commit, conversion_of
from functions.upload.holds import holding, let_go
from functions.upload.metadata import describe
from functions.upload.quotas import refuse_over_limits, room
from functions.upload.uploads import Held, HoldLost, Kind, Progress, Upload, UploadExists, UploadLocked, UploadMissing

STEP_BYTES = 4 * 1024 * 1024
# A step, and what is done after the last one, must end in this time.
RESERVE_S = 4.0
# As long as a client may take to notice that an answer was lost.
PARTS_STAY = timedelta(minutes=10)


class StillJoining(Problem):
    """Raised when the time of one call was not enough to join all parts. The next goes on from there."""

    code = "unavailable"

    def __init__(self, upload: Upload) -> None:
        super().__init__(
            f"{upload.offset} of {upload.length} bytes are joined. Send the same request again, and it goes on.",
            headers={"Retry-After": "1"},
        )


class Joining(NamedTuple):
    """What a request for a final upload says: the ids of its parts in order, and headers as they were sent."""

    parts: tuple[str, ...]
    concat: str
    metadata: str


def join(joining: Joining, owner: Owner, remaining_s: Callable[[], float], deps: Deps) -> Upload:
    """Make a video of partial uploads, which expire soon after that, and start its conversion.

    `remaining_s` says how long the caller may take yet.

    Raises:
        BadRequest, InvalidInput: a part is not whole or no part at all, or the metadata are wrong.
        NotFound, UploadExpired: a part is not there, or not any more, or what was joined of them; or the video was
            deleted.
        TooLarge, QuotaExceeded: the video would be too large.
        Locked: another request does the same at this moment.
        StillJoining: there was not time enough.
    """
    describe(joining.metadata)
    upload_id = _final_id(joining, owner)
    if conversion_of(upload_id, deps) is None:
        upload = _known(upload_id, owner, deps) or _begin(upload_id, joining, owner, deps)
        _copy_parts(upload, remaining_s, deps)
        if conversion_of(upload_id, deps) is None:
            # The same video was made before, and its conversion deleted, which is for ever.
            _forget(upload_id, deps)
            raise NotFound
    _retire_parts(joining, deps)
    return find_upload(upload_id, owner, deps)


def _final_id(joining: Joining, owner: Owner) -> str:
    made_of = msgspec.json.encode([owner.id, joining.metadata, joining.parts])
    return hashlib.sha256(made_of).hexdigest()[:32]


def _known(upload_id: str, owner: Owner, deps: Deps) -> Upload | None:
    # One that has expired is not gone on with: sweep may be deleting its bytes.
    with contextlib.suppress(NotFound):
        return find_upload(upload_id, owner, deps)
    return None


def _begin(upload_id: str, joining: Joining, owner: Owner, deps: Deps) -> Upload:
    parts = {part_id: find_upload(part_id, owner, deps) for part_id in joining.parts}
    for part in parts.values():
        if part.kind is not Kind.PARTIAL:
            raise BadRequest(f"{part.id} is no partial upload.")
        if not part.is_whole:
            raise BadRequest(f"{part.id} is not whole yet.")
    length = sum(parts[part_id].offset for part_id in joining.parts)
    # The parts are counted as used, and will go.
    refuse_over_limits(length, room(owner, deps) + sum(part.offset for part in parts.values()), deps)
    now = deps.clock()
    upload = Upload(
        id=upload_id,
        owner=owner,
        kind=Kind.FINAL,
        parts=joining.parts,
        concat=joining.concat,
        metadata=joining.metadata,
        length=length,
        offset=0,
        created_at=now,
        expires_at=now + deps.limits.upload_idle,
    )
    # The same request may have come twice at once. Which of them goes on is decided by the hold.
    with contextlib.suppress(UploadExists):
        deps.uploads.add(upload)
    deps.logger.info(
        "upload begun", extra={"conversion_id": upload_id, "upload_id": upload_id, "kind": upload.kind, "bytes": length}
    )
    return upload


def _copy_parts(upload: Upload, remaining_s: Callable[[], float], deps: Deps) -> None:
    """Copy what is not copied yet of the parts, and accept the video."""
    with holding(upload.id, deps.new_id(), deps) as first_held:
        held = first_held
        if conversion_of(upload.id, deps):
            # A request that held it before this one was quicker.
            let_go(held, deps)
            return
        if held.upload.is_whole:
            commit(held, held.upload.offset, held.upload.length, {}, deps)
            return
        lengths = _part_lengths(upload, deps)
        try:
            for block in _blocks(_rest(held.upload, lengths, deps)):
                if remaining_s() < RESERVE_S:
                    raise StillJoining(held.upload)
                held = _add(held, block, deps)
        except (FileDamaged, UploadMissing):
            # Was a part deleted meanwhile?
            _part_lengths(upload, deps)
            raise


def _add(held: Held, block: bytes, deps: Deps) -> Held:
    digests = deps.slices.write(held, block)
    offset = held.upload.offset + len(block)
    upload = commit(held, offset, held.upload.length, digests, deps, keep=offset != held.upload.length)
    tail = digests[max(digests)] if offset % CHUNK_BYTES else b""
    return held._replace(upload=upload, tail_sha256=tail)


def _part_lengths(upload: Upload, deps: Deps) -> dict[str, int]:
    try:
        return {part_id: deps.uploads.get(part_id).offset for part_id in upload.parts}
    except UploadMissing as error:
        # It will never be whole.
        _forget(upload.id, deps)
        raise NotFound from error


def _rest(upload: Upload, lengths: Mapping[str, int], deps: Deps) -> Iterator[bytes]:
    """Yield the bytes of the parts from the upload's offset on."""
    begin = 0
    for part_id in upload.parts:
        end = begin + lengths[part_id]
        if upload.offset < end:
            skipped = max(0, upload.offset - begin)
            yield from deps.slices.read(part_id, skipped, lengths[part_id], deps.uploads.digests(part_id))
        begin = end


def _blocks(parts: Iterable[bytes]) -> Iterator[bytes]:
    block = bytearray()
    for part in parts:
        block += part
        if len(block) >= STEP_BYTES:
            yield bytes(block[:STEP_BYTES])
            del block[:STEP_BYTES]
    if block:
        yield bytes(block)


def _retire_parts(joining: Joining, deps: Deps) -> None:
    """Let the parts expire soon, but not at once: who lost the answer looks for them, and then asks for the same."""
    for part_id in dict.fromkeys(joining.parts):
        # Another request that holds a part does the same with it. And at the latest they expire as they would have.
        with contextlib.suppress(UploadMissing, UploadLocked, HoldLost, Unavailable):
            held = deps.uploads.hold(part_id, deps.new_id())
            part = held.upload
            deps.uploads.advance(held, Progress(part.offset, part.length, deps.clock() + PARTS_STAY, {}), keep=False)


def _forget(upload_id: str, deps: Deps) -> None:
    deps.slices.delete(upload_id)
    deps.uploads.delete(upload_id)
