"""How the bytes of an upload begin to count, and how an upload becomes a conversion.

When the last bytes of a video come, this is done, and every step may be done again:

1. the bytes are written, before this module is called;
2. the chunks become a file;
3. the conversion is added, with the event that it owes: now the video is accepted;
4. the upload's offset becomes its length;
5. the event is published.

So nobody is told that an upload is complete before its video is accepted. What a crash leaves undone is done by the
client's next request, or by sweep.
"""

from collections.abc import Mapping

from msgspec.structs import replace

from functions.shared.conversions import Conversion, ConversionMissing, Video
from functions.shared.events import Event, publish_owed
from functions.shared.metrics import UPLOAD_BYTES, UPLOADS_ACCEPTED
from functions.upload.deps import Deps
from functions.upload.fields import Fields
from functions.upload.metadata import describe
from functions.upload.queued import queue
from functions.upload.uploads import Held, Kind, Progress, Upload

DIGEST_BYTES = 32


class AlreadyAccepted(Exception):
    """Raised when the same request came before, and its video was accepted then."""

    def __init__(self, conversion_id: str) -> None:
        super().__init__(conversion_id)
        self.conversion_id = conversion_id


def commit(
    held: Held,
    offset: int,
    length: int | None,
    digests: Mapping[int, bytes],
    deps: Deps,
    *,
    keep: bool = False,
    fields: Fields | None = None,
    origin: str | None = None,
) -> Upload:
    """Count the bytes up to `offset`, which are written; if a video is whole then, accept it.

    `digests` are those of the chunks that were written. The upload is let go unless it is kept. `fields` take the
    place of those in the metadata. Raises HoldLost; and with an `origin` AlreadyAccepted, see Conversions.add_once.
    """
    progress = Progress(offset, length, deps.clock() + deps.limits.upload_idle, digests)
    is_whole_video = offset == length and held.upload.kind is not Kind.PARTIAL
    owed = [_accept(held, progress, fields, origin, deps)] if is_whole_video else []
    deps.uploads.advance(held, progress, keep=keep)
    publish_owed(owed, deps.events, deps.outbox, deps.logger)
    return replace(held.upload, offset=offset, length=length, expires_at=progress.expires_at)


def conversion_of(upload_id: str, deps: Deps) -> Conversion | None:
    """Return the conversion that an upload became. None: it has not, or the conversion was deleted."""
    try:
        return deps.conversions.get(upload_id)
    except ConversionMissing:
        return None


def tell_accepted(conversion: Conversion, kind: str, deps: Deps) -> None:
    """Log and count a video that was accepted. `kind` is how it came: form or tus."""
    size = conversion.video.bytes
    deps.logger.info("accepted", extra={"conversion_id": conversion.id, "bytes": size})
    deps.metrics.count(UPLOADS_ACCEPTED, kind=kind)
    deps.metrics.observe(UPLOAD_BYTES, size, kind=kind)


def _accept(held: Held, progress: Progress, fields: Fields | None, origin: str | None, deps: Deps) -> Event:
    upload = held.upload
    # Writing can take long. If somebody deleted the upload meanwhile, it must not become a conversion.
    deps.uploads.stage(held, held.staged)
    deps.slices.finish(held, progress.offset, _all_digests(upload.id, progress, deps))
    description = describe(upload.metadata)
    options, delivery = fields or description.fields
    conversion, uploaded = queue(
        upload.id,
        upload.owner,
        description.filename,
        options,
        Video(bytes=progress.offset, sha256=None, **delivery._asdict()),
        # The same at every try, so that trying again owes no second event.
        event_id=upload.id,
        now=deps.clock(),
    )
    if origin is None:
        deps.conversions.add(conversion, [uploaded])
    elif (accepted_id := deps.conversions.add_once(conversion, [uploaded], origin)) != upload.id:
        raise AlreadyAccepted(accepted_id)
    # A form that came in slices brings its fields with it; those of an upload are in its metadata.
    tell_accepted(conversion, "form" if fields else "tus", deps)
    return uploaded


def _all_digests(upload_id: str, progress: Progress, deps: Deps) -> bytes:
    digests = bytearray(deps.uploads.digests(upload_id))
    for number, digest in sorted(progress.digests.items()):
        digests[number * DIGEST_BYTES : (number + 1) * DIGEST_BYTES] = digest
    return bytes(digests)
