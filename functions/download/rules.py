"""The rules of download. What belongs to somebody else is answered exactly like what does not exist."""

from collections.abc import Sequence
from datetime import timedelta
from typing import NamedTuple

from functions.download.deps import Deps
from functions.download.library import Entry, NotFailedState, Position
from functions.download.pages import ID, PageRequest, make_cursor
from functions.download.parcels import Parcel, StoredMp3, mp3_copy_name, zip_parcel
from functions.download.sending import delete_copy, storage_errors
from functions.shared.conversions import Conversion, ConversionMissing, Owner, State
from functions.shared.events import Event, EventName, publish_owed
from functions.shared.links import Link
from functions.shared.problems import NotFound, Problem


class NotReady(Problem):
    """Raised when a conversion's MP3 is asked for and it has none, or none yet."""

    code = "not-ready"

    def __init__(self, state: State) -> None:
        is_running = state in {State.QUEUED, State.CONVERTING}
        advice = "Ask for it when its state is `completed`." if is_running else "There will be no MP3."
        super().__init__(f"The conversion is {state}. {advice}")


class SomeNotFound(NotFound):
    """Raised when some of several conversions do not exist, or belong to somebody else."""

    def __init__(self, ids: Sequence[str]) -> None:
        super().__init__()
        self.detail = f"Some of these conversions do not exist or are not yours: {', '.join(ids)}. Leave them out."


class SomeNotReady(Problem):
    """Raised when the MP3s of several conversions are asked for, and some have none, or none yet."""

    code = "not-ready"

    def __init__(self, conversions: Sequence[Conversion]) -> None:
        names = ", ".join(f"{conversion.id} ({conversion.state})" for conversion in conversions)
        super().__init__(f"These conversions are not completed: {names}. Leave them out.")


class NotFailed(Problem):
    """Raised when a conversion that has not failed is to be tried again."""

    code = "not-failed"

    def __init__(self, state: State) -> None:
        super().__init__(f"The conversion is {state}, so there is nothing to try again.")


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
    """Return those of the conversions that belong to a person, newest first."""
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
        delete_copy(mp3_copy_name(mp3_file_id), deps.copies, deps)
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
    """Return a ZIP of the MP3s of a person's conversions, in the order of the ids. Raises what `_zip_of` raises."""
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


def _zip_of(conversion_ids: Sequence[str], entries: Sequence[Entry], deps: Deps) -> Parcel:
    """Return the ZIP of conversions, in the order of their ids.

    Raises:
        SomeNotFound: one of them is missing from `entries`.
        SomeNotReady: one is not completed.
        StorageCorrupt: an MP3 is not the one that was stored.
    """
    by_id = {entry.conversion.id: entry for entry in entries}
    if missing := [each for each in conversion_ids if each not in by_id]:
        raise SomeNotFound(missing)
    ordered = [by_id[each] for each in conversion_ids]
    if waiting := [entry.conversion for entry in ordered if entry.mp3_file_id is None]:
        raise SomeNotReady(waiting)
    mp3s = [_mp3_of(entry) for entry in ordered]
    with storage_errors(mp3s, deps):
        return zip_parcel(mp3s, deps.mp3s.crc32s([stored.file_id for stored in mp3s]))


def _while_kept(ttl: timedelta, entries: Sequence[Entry], deps: Deps) -> timedelta:
    ends = [entry.conversion.expires_at for entry in entries if entry.conversion.expires_at]
    return min([ttl, *(end - deps.clock() for end in ends)])


def _entry_of(conversion_id: str, person: Owner, deps: Deps) -> Entry:
    entry = _entry(conversion_id, deps)
    if entry.conversion.owner.id != person.id:
        raise NotFound
    return entry


def _entries_of(conversion_ids: Sequence[str], person: Owner, deps: Deps) -> list[Entry]:
    """Return those of the conversions that belong to a person."""
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
