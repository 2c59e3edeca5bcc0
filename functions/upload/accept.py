"""The rule by which a video is taken in."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import chain

from aws_lambda_powertools import Logger

from functions.shared.clock import Clock
from functions.shared.conversions import Conversion, ConversionMissing, Conversions, Options, Owner, State, Video
from functions.shared.events import Event, EventName, Events, Outbox, publish_owed
from functions.shared.files import Files
from functions.shared.problems import Problem, Unavailable
from functions.upload.filenames import clean_filename
from functions.upload.sniffing import SNIFFED_BYTES, refuse_other_than_media


class EmptyFile(Problem):
    """Raised when a video has no bytes."""

    code = "empty-file"

    def __init__(self) -> None:
        super().__init__("The file has no bytes. Look whether it was copied or downloaded to its end.")


@dataclass(frozen=True)
class Deps:
    """What upload needs."""

    conversions: Conversions
    videos: Files
    events: Events
    outbox: Outbox
    clock: Clock
    new_id: Callable[[], str]
    logger: Logger


def accept_video(parts: Iterable[bytes], filename: str, options: Options, owner: Owner, deps: Deps) -> Conversion:
    """Store a video, of any size, and start its conversion. `filename` is as it was sent.

    When this returns, the video will be converted: even if the broker is down, the event stays owed.

    Raises:
        EmptyFile: there are no bytes.
        UnsupportedMedia: it is evidently no video.
        Unavailable: the storage does not answer. Perhaps the video was taken in all the same, and perhaps its bytes
            stay behind without a conversion. After any other error nothing was taken in.
    """
    head, parts = _peek(parts, SNIFFED_BYTES)
    if not head:
        raise EmptyFile
    refuse_other_than_media(head)

    conversion_id = deps.new_id()
    stored = deps.videos.put(conversion_id, parts)
    now = deps.clock()
    conversion = Conversion(
        id=conversion_id,
        owner=owner,
        state=State.QUEUED,
        progress=0.0,
        filename=clean_filename(filename),
        options=options,
        video=Video(bytes=stored.bytes, sha256=stored.sha256),
        mp3=None,
        error=None,
        attempts=0,
        created_at=now,
        updated_at=now,
    )
    uploaded = Event(id=deps.new_id(), event=EventName.VIDEO_UPLOADED, conversion_id=conversion_id, occurred_at=now)
    _add(conversion, uploaded, deps)
    deps.logger.info("accepted", extra={"conversion_id": conversion_id, "bytes": stored.bytes})
    publish_owed([uploaded], deps.events, deps.outbox, deps.logger)
    return conversion


def _add(conversion: Conversion, uploaded: Event, deps: Deps) -> None:
    try:
        deps.conversions.add(conversion, [uploaded])
    except Unavailable:
        # A lost answer looks like a failed write. And a write that no read sees yet can still reach a majority, so the
        # video must stay: without it the conversion would be lost.
        if not _is_there(conversion.id, deps):
            raise
    except Exception:
        deps.videos.delete(conversion.id)
        raise


def _is_there(conversion_id: str, deps: Deps) -> bool:
    try:
        deps.conversions.get(conversion_id)
    except (ConversionMissing, Unavailable):
        return False
    return True


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
