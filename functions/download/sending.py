"""How a parcel reaches a client: as bytes of an answer, or by way of a copy."""

import contextlib
from collections.abc import Callable, Iterator, Sequence
from datetime import timedelta

from functions.download.copies import Copies
from functions.download.deps import Deps
from functions.download.parcels import Parcel, StoredMp3
from functions.shared.files import FileDamaged, FileMissing
from functions.shared.problems import NotFound, Problem, Unavailable

# Long enough to listen, to seek and to resume a download: browsers keep using the URL they were redirected to.
COPY_URL_TTL = timedelta(hours=1)
# An older copy might be deleted, at the end of its day, while it is being fetched.
COPY_GOOD_FOR = timedelta(hours=20)
# This much of the function's time is left for the parts that are on their way, and to complete a copy or to undo it.
_FINISHING_S = 6.0


class StorageCorrupt(Problem):
    """Raised when a stored MP3 is no longer what was stored. Nothing of it is sent."""

    code = "storage-corrupt"

    def __init__(self) -> None:
        super().__init__("The MP3 was damaged in storage. Upload the video again.")


def read(parcel: Parcel, start: int, end: int, deps: Deps) -> bytes:
    """Return the bytes of a parcel from `start` up to, not including, `end`.

    Raises:
        StorageCorrupt: they are not those that were stored.
        NotFound: a conversion was deleted in the meantime.
    """
    return b"".join(_read(parcel, start, end, deps))


def lend(parcel: Parcel, copies: Copies, remaining_s: Callable[[], float], deps: Deps) -> str | None:
    """Return a URL at which anybody can fetch a whole parcel, or ranges of it, for COPY_URL_TTL.

    Returns None if there was no time to copy all of it. The next call goes on. Raises what `read` raises.
    """
    made_at = copies.made_at(parcel.copy_name)
    if made_at is None or deps.clock() - made_at > COPY_GOOD_FOR:

        def read_from(start: int) -> Iterator[bytes]:
            return _read(parcel, start, parcel.length, deps)

        if not copies.make(parcel.copy_name, parcel.content_type, read_from, lambda: remaining_s() > _FINISHING_S):
            deps.logger.info("copied in part", extra={"bytes": parcel.length, **_about(parcel.mp3s)})
            return None
        deps.logger.info("copied", extra={"bytes": parcel.length, **_about(parcel.mp3s)})
        try:
            _all_exist(parcel.mp3s, deps)
        except NotFound:
            # The request that deleted it in the meantime may have found no copy.
            delete_copy(parcel.copy_name, copies, deps)
            raise
    return copies.url(parcel.copy_name, parcel.filename, COPY_URL_TTL)


def _read(parcel: Parcel, start: int, end: int, deps: Deps) -> Iterator[bytes]:
    for piece in parcel.cut(start, end):
        if isinstance(piece, bytes):
            yield piece
            continue
        with storage_errors([piece.stored], deps):
            yield from deps.mp3s.read(piece.stored.file_id, piece.start, piece.end)


def delete_copy(name: str, copies: Copies, deps: Deps) -> None:
    """Delete a copy. If the place where it is does not answer, leave it to expire."""
    try:
        copies.delete(name)
    except Unavailable:
        # No URL of it works for longer than COPY_URL_TTL, and it expires by itself.
        deps.logger.warning("copy not deleted", exc_info=True, extra={"copy": name})


@contextlib.contextmanager
def storage_errors(mp3s: Sequence[StoredMp3], deps: Deps) -> Iterator[None]:
    """Turn errors of stored MP3s into NotFound if one has been deleted, and otherwise into StorageCorrupt."""
    try:
        yield
    except (FileMissing, FileDamaged) as error:
        _all_exist(mp3s, deps)
        deps.logger.exception("stored MP3 is damaged", extra=_about(mp3s))
        raise StorageCorrupt from error


def _about(mp3s: Sequence[StoredMp3]) -> dict[str, str]:
    return {"conversion_id": ", ".join(stored.conversion_id for stored in mp3s)}


def _all_exist(mp3s: Sequence[StoredMp3], deps: Deps) -> None:
    """Raise NotFound if a conversion was deleted."""
    conversion_ids = [stored.conversion_id for stored in mp3s]
    if len(deps.library.find(conversion_ids)) < len(conversion_ids):
        raise NotFound
