"""The rules of download. What belongs to somebody else is answered exactly like what does not exist."""

import contextlib
import hashlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import NamedTuple

from aws_lambda_powertools import Logger

from functions.download.copies import Copies
from functions.download.library import Entry, Library, NotFailedState, Position
from functions.download.pages import ID, PageRequest, make_cursor
from functions.download.parcels import Parcel, StoredMp3, mp3_copy_name, zip_parcel
from functions.shared.clock import Clock
from functions.shared.conversions import Conversion, ConversionMissing, Mp3, Owner, State
from functions.shared.events import Event, EventName, Events, Outbox, publish_owed
from functions.shared.files import FileDamaged, FileMissing, Files
from functions.shared.links import Link, Links
from functions.shared.problems import FieldError, InvalidInput, NotFound, Problem, Unavailable

# Long enough to listen, to seek and to go on with a download: browsers keep to the URL that they were sent to.
COPY_URL_TTL = timedelta(hours=1)
# An older copy might go, at the end of its day, while it is fetched.
COPY_GOOD_FOR = timedelta(hours=20)
# The largest ZIP of which a copy can be made in the 29 s that a function has. That of one MP3 takes as long as the MP3.
MAX_COPIED_ZIP_BYTES = 1024**3


class NotReady(Problem):
    """Raised when the MP3 of a conversion is asked for that has none, or none yet."""

    code = "not-ready"

    def __init__(self, state: State) -> None:
        is_running = state in {State.QUEUED, State.CONVERTING}
        advice = "Ask for it when its state is `completed`." if is_running else "There will be no MP3."
        super().__init__(f"The conversion is {state}. {advice}")


class SomeNotFound(NotFound):
    """Raised when some of several conversions do not exist, or belong to somebody else."""

    def __init__(self, ids: Sequence[str]) -> None:
        super().__init__()
        self.detail = f"There is nothing under some of the ids, or it is not yours: {', '.join(ids)}."


class SomeNotReady(Problem):
    """Raised when the MP3s of several conversions are asked for, and some have none, or none yet."""

    code = "not-ready"

    def __init__(self, conversions: Sequence[Conversion]) -> None:
        names = ", ".join(f"{conversion.id} is {conversion.state}" for conversion in conversions)
        super().__init__(f"Some of the conversions are not completed: {names}. Leave them out.")


class NotFailed(Problem):
    """Raised when a conversion is to be tried again that has not failed."""

    code = "not-failed"

    def __init__(self, state: State) -> None:
        super().__init__(f"The conversion is {state}, so there is nothing to try again.")


class StorageCorrupt(Problem):
    """Raised when the stored MP3 is not what was stored. Nothing of it is sent."""

    code = "storage-corrupt"

    def __init__(self) -> None:
        super().__init__("The MP3 was damaged in storage. Upload the video again.")


@dataclass(frozen=True)
class Deps:
    """What download needs. Without `copies`, whoever calls the function sends large MP3s in its place."""

    library: Library
    videos: Files
    mp3s: Files
    copies: Copies | None
    events: Events
    outbox: Outbox
    links: Links
    clock: Clock
    new_id: Callable[[], str]
    logger: Logger


class Page(NamedTuple):
    """Some conversions, newest first, and the cursor to those after them if there are any."""

    items: list[Conversion]
    next_cursor: str | None


def list_conversions(wanted: PageRequest, person: Owner, deps: Deps) -> Page:
    """Return one page of a person's conversions."""
    found = deps.library.newest(person.id, wanted.state, wanted.limit + 1, wanted.after)
    items = found[: wanted.limit]
    is_last = len(found) <= wanted.limit
    return Page(items, None if is_last else make_cursor(Position(items[-1].created_at, items[-1].id)))


def find_conversions(conversion_ids: Sequence[str], person: Owner, deps: Deps) -> list[Conversion]:
    """Return those of the conversions that are a person's, newest first."""
    found = [entry.conversion for entry in _entries_of(conversion_ids, person, deps)]
    return sorted(found, key=lambda conversion: Position(conversion.created_at, conversion.id), reverse=True)


def show_conversion(conversion_id: str, person: Owner, deps: Deps) -> Conversion:
    """Return a person's conversion. Raises NotFound."""
    return _entry_of(conversion_id, person, deps).conversion


def delete_conversion(conversion_id: str, person: Owner, deps: Deps) -> None:
    """Cancel a person's conversion if it is under way, then delete it and its files. Raises NotFound."""
    mp3_file_id = _entry_of(conversion_id, person, deps).mp3_file_id
    try:
        deps.library.delete(conversion_id, deps.clock())
    except ConversionMissing as error:
        raise NotFound from error
    deps.logger.info("deleted", extra={"conversion_id": conversion_id})
    if deps.copies is not None and mp3_file_id is not None:
        _delete_copy(mp3_copy_name(mp3_file_id), deps.copies, deps)
    deps.videos.delete(conversion_id)
    # Also what a worker left that was stopped before its commit.
    for file_id in deps.mp3s.ids(f"{conversion_id}-"):
        deps.mp3s.delete(file_id)


def retry_conversion(conversion_id: str, person: Owner, deps: Deps) -> Conversion:
    """Start a person's failed conversion anew. Raises NotFound and NotFailed."""
    _entry_of(conversion_id, person, deps)
    now = deps.clock()
    uploaded = Event(id=deps.new_id(), event=EventName.VIDEO_UPLOADED, conversion_id=conversion_id, occurred_at=now)
    try:
        conversion = deps.library.retry(conversion_id, [uploaded], now)
    except ConversionMissing as error:
        raise NotFound from error
    except NotFailedState as error:
        raise NotFailed(error.state) from error
    deps.logger.info("tried again", extra={"conversion_id": conversion_id})
    publish_owed([uploaded], deps.events, deps.outbox, deps.logger)
    return conversion


def find_mp3(conversion_id: str, person: Owner, deps: Deps) -> StoredMp3:
    """Return where the MP3 of a person's conversion is. Raises NotFound and NotReady."""
    return _mp3_of(_entry_of(conversion_id, person, deps))


def find_linked_mp3(token: str, deps: Deps) -> StoredMp3:
    """Return where the MP3 is that a link leads to. Raises InvalidLink, NotFound and NotReady."""
    return _mp3_of(_entry(deps.links.read(token), deps))


def find_zip(conversion_ids: Sequence[str], person: Owner, deps: Deps) -> Parcel:
    """Return a ZIP of the MP3s of a person's conversions, in this order. Raises what `_zip_of` raises."""
    return _zip_of(conversion_ids, _entries_of(conversion_ids, person, deps), deps)


def find_linked_zip(token: str, deps: Deps) -> Parcel:
    """Return the ZIP that a link leads to. Raises InvalidLink, and what `_zip_of` raises."""
    conversion_ids = deps.links.read_zip(token)
    return _zip_of(conversion_ids, deps.library.find(conversion_ids), deps)


def make_link(conversion_id: str, ttl: timedelta, person: Owner, deps: Deps) -> Link:
    """Return a link by which anybody may fetch the MP3 of a person's conversion, as long as that is kept.

    Raises NotFound and NotReady.
    """
    entry = _entry_of(conversion_id, person, deps)
    _mp3_of(entry)
    return deps.links.make(conversion_id, _while_kept(ttl, [entry], deps))


def make_zip_link(conversion_ids: Sequence[str], ttl: timedelta, person: Owner, deps: Deps) -> Link:
    """Return a link by which anybody may fetch a ZIP of the MP3s, as long as all of them are kept.

    Raises what `_zip_of` raises.
    """
    entries = _entries_of(conversion_ids, person, deps)
    _zip_of(conversion_ids, entries, deps)
    return deps.links.make_zip(conversion_ids, _while_kept(ttl, entries, deps))


def read(parcel: Parcel, start: int, end: int, deps: Deps) -> bytes:
    """Return the bytes of a parcel from `start` up to, not including, `end`.

    Raises:
        StorageCorrupt: they are not those that were stored.
        NotFound: a conversion was deleted meanwhile.
    """
    return b"".join(_read(parcel, start, end, deps))


def lend(parcel: Parcel, copies: Copies, deps: Deps) -> str:
    """Return a URL at which anybody can fetch a whole parcel, or ranges of it, for COPY_URL_TTL. Raises as `read`."""
    made_at = copies.made_at(parcel.copy_name)
    if made_at is None or deps.clock() - made_at > COPY_GOOD_FOR:
        copies.make(parcel.copy_name, parcel.content_type, _proved(parcel, deps))
        deps.logger.info("copied", extra={"bytes": parcel.length, **_about(parcel.mp3s)})
        try:
            _all_exist(parcel.mp3s, deps)
        except NotFound:
            # Whoever deleted it meanwhile may have found no copy.
            _delete_copy(parcel.copy_name, copies, deps)
            raise
    return copies.url(parcel.copy_name, parcel.filename, COPY_URL_TTL)


def _read(parcel: Parcel, start: int, end: int, deps: Deps) -> Iterator[bytes]:
    for piece in parcel.cut(start, end):
        if isinstance(piece, bytes):
            yield piece
            continue
        with _storage_errors([piece.stored], deps):
            yield from deps.mp3s.read(piece.stored.file_id, piece.start, piece.end)


def _proved(parcel: Parcel, deps: Deps) -> Iterator[bytes]:
    """Yield all bytes of a parcel. Each MP3 is compared with the one that was made."""
    for piece in parcel.pieces:
        if isinstance(piece, bytes):
            yield piece
            continue
        with _storage_errors([piece.stored], deps):
            yield from _compared(deps.mp3s.read(piece.stored.file_id), piece.stored.mp3)


def _compared(parts: Iterable[bytes], mp3: Mp3) -> Iterator[bytes]:
    digest = hashlib.sha256()
    for part in parts:
        digest.update(part)
        yield part
    if digest.hexdigest() != mp3.sha256:
        raise FileDamaged("The MP3 is not the one that was made.")


def _zip_of(conversion_ids: Sequence[str], entries: Sequence[Entry], deps: Deps) -> Parcel:
    """Return the ZIP of conversions, in the order of their ids.

    Raises:
        SomeNotFound: `entries` lack one of them.
        SomeNotReady: one is not completed.
        InvalidInput: the ZIP would be too large to be copied.
        StorageCorrupt: an MP3 is not the one that was stored.
    """
    by_id = {entry.conversion.id: entry for entry in entries}
    if missing := [each for each in conversion_ids if each not in by_id]:
        raise SomeNotFound(missing)
    ordered = [by_id[each] for each in conversion_ids]
    if waiting := [entry.conversion for entry in ordered if entry.mp3_file_id is None]:
        raise SomeNotReady(waiting)
    mp3s = [_mp3_of(entry) for entry in ordered]
    size = sum(stored.mp3.bytes for stored in mp3s)
    if deps.copies is not None and size > MAX_COPIED_ZIP_BYTES:
        what = f"Their MP3s have {size} bytes together; a ZIP made here holds at most {MAX_COPIED_ZIP_BYTES}."
        raise InvalidInput(FieldError("ids", f"{what} Choose fewer conversions."))
    with _storage_errors(mp3s, deps):
        return zip_parcel(mp3s, deps.mp3s.crc32s([stored.file_id for stored in mp3s]))


def _while_kept(ttl: timedelta, entries: Sequence[Entry], deps: Deps) -> timedelta:
    ends = [entry.conversion.expires_at for entry in entries if entry.conversion.expires_at]
    return min([ttl, *(end - deps.clock() for end in ends)])


def _delete_copy(name: str, copies: Copies, deps: Deps) -> None:
    try:
        copies.delete(name)
    except Unavailable:
        # Nobody has the URL of it for longer than COPY_URL_TTL, and it goes by itself.
        deps.logger.warning("copy not deleted", exc_info=True, extra={"copy": name})


@contextlib.contextmanager
def _storage_errors(mp3s: Sequence[StoredMp3], deps: Deps) -> Iterator[None]:
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
    for stored in mp3s:
        _entry(stored.conversion_id, deps)


def _entry_of(conversion_id: str, person: Owner, deps: Deps) -> Entry:
    entry = _entry(conversion_id, deps)
    if entry.conversion.owner.id != person.id:
        raise NotFound
    return entry


def _entries_of(conversion_ids: Sequence[str], person: Owner, deps: Deps) -> list[Entry]:
    """Return those of the conversions that are a person's."""
    return [entry for entry in deps.library.find(conversion_ids) if entry.conversion.owner.id == person.id]


def _entry(conversion_id: str, deps: Deps) -> Entry:
    if not ID.fullmatch(conversion_id):
        raise NotFound
    try:
        return deps.library.get(conversion_id)
    except ConversionMissing as error:
        raise NotFound from error


def _mp3_of(entry: Entry) -> StoredMp3:
    conversion = entry.conversion
    if conversion.mp3 is None or conversion.completed_at is None or entry.mp3_file_id is None:
        raise NotReady(conversion.state)
    return StoredMp3(conversion.id, entry.mp3_file_id, conversion.mp3, conversion.filename, conversion.completed_at)
