"""The rules of download. What belongs to somebody else is answered exactly like what does not exist."""

import contextlib
import hashlib
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import NamedTuple

from aws_lambda_powertools import Logger

from functions.download.dispositions import mp3_filename
from functions.download.library import Entry, Library, NotFailedState, Position
from functions.download.mp3_copies import Mp3Copies
from functions.download.pages import PageRequest, make_cursor
from functions.shared.clock import Clock
from functions.shared.conversions import Conversion, ConversionMissing, Mp3, Owner, State
from functions.shared.events import Event, EventName, Events, Outbox, publish_owed
from functions.shared.files import FileDamaged, FileMissing, Files
from functions.shared.links import Link, Links
from functions.shared.problems import NotFound, Problem, Unavailable

# Long enough to listen, to seek and to go on with a download: browsers keep to the URL that they were sent to.
COPY_URL_TTL = timedelta(hours=1)
# An older copy might go, at the end of its day, while it is fetched.
COPY_GOOD_FOR = timedelta(hours=20)

_ID = re.compile(r"[A-Za-z0-9_-]{1,64}")


class NotReady(Problem):
    """Raised when the MP3 of a conversion is asked for that has none, or none yet."""

    code = "not-ready"

    def __init__(self, state: State) -> None:
        is_running = state in {State.QUEUED, State.CONVERTING}
        advice = "Ask for it when its state is `completed`." if is_running else "There will be no MP3."
        super().__init__(f"The conversion is {state}. {advice}")


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
    copies: Mp3Copies | None
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


class StoredMp3(NamedTuple):
    """A finished MP3 and where it is stored. `video_filename` is the name of the video it was made from."""

    conversion_id: str
    file_id: str
    mp3: Mp3
    video_filename: str
    completed_at: datetime


def list_conversions(wanted: PageRequest, person: Owner, deps: Deps) -> Page:
    """Return one page of a person's conversions."""
    found = deps.library.newest(person.id, wanted.state, wanted.limit + 1, wanted.after)
    items = found[: wanted.limit]
    is_last = len(found) <= wanted.limit
    return Page(items, None if is_last else make_cursor(Position(items[-1].created_at, items[-1].id)))


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
        _delete_copy(conversion_id, mp3_file_id, deps.copies, deps)
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


def make_link(conversion_id: str, ttl: timedelta, person: Owner, deps: Deps) -> Link:
    """Return a link by which anybody may fetch the MP3 of a person's conversion, as long as that is kept.

    Raises NotFound and NotReady.
    """
    entry = _entry_of(conversion_id, person, deps)
    _mp3_of(entry)
    kept_until = entry.conversion.expires_at
    return deps.links.make(conversion_id, min(ttl, kept_until - deps.clock()) if kept_until else ttl)


def read_mp3(stored: StoredMp3, start: int, end: int, deps: Deps) -> bytes:
    """Return the bytes of an MP3 from `start` up to, not including, `end`.

    Raises:
        StorageCorrupt: they are not those that were stored.
        NotFound: the conversion was deleted meanwhile.
    """
    with _storage_errors(stored, deps):
        return b"".join(deps.mp3s.read(stored.file_id, start, end))


def lend_mp3(stored: StoredMp3, copies: Mp3Copies, deps: Deps) -> str:
    """Return a URL at which anybody can fetch the whole MP3, or ranges of it, for COPY_URL_TTL. Raises as read_mp3."""
    made_at = copies.made_at(stored.file_id)
    if made_at is None or deps.clock() - made_at > COPY_GOOD_FOR:
        with _storage_errors(stored, deps):
            copies.make(stored.file_id, _proved(deps.mp3s.read(stored.file_id), stored.mp3))
        deps.logger.info("copied", extra={"conversion_id": stored.conversion_id})
        try:
            _entry(stored.conversion_id, deps)
        except NotFound:
            # Whoever deleted it meanwhile may have found no copy.
            _delete_copy(stored.conversion_id, stored.file_id, copies, deps)
            raise
    return copies.url(stored.file_id, mp3_filename(stored.video_filename), COPY_URL_TTL)


def _proved(parts: Iterable[bytes], mp3: Mp3) -> Iterator[bytes]:
    digest = hashlib.sha256()
    for part in parts:
        digest.update(part)
        yield part
    if digest.hexdigest() != mp3.sha256:
        raise FileDamaged("The MP3 is not the one that was made.")


def _delete_copy(conversion_id: str, file_id: str, copies: Mp3Copies, deps: Deps) -> None:
    try:
        copies.delete(file_id)
    except Unavailable:
        # Nobody has the URL of it for longer than COPY_URL_TTL, and it goes by itself.
        deps.logger.warning("copy not deleted", exc_info=True, extra={"conversion_id": conversion_id})


@contextlib.contextmanager
def _storage_errors(stored: StoredMp3, deps: Deps) -> Iterator[None]:
    try:
        yield
    except (FileMissing, FileDamaged) as error:
        _entry(stored.conversion_id, deps)
        deps.logger.exception("stored MP3 is damaged", extra={"conversion_id": stored.conversion_id})
        raise StorageCorrupt from error


def _entry_of(conversion_id: str, person: Owner, deps: Deps) -> Entry:
    entry = _entry(conversion_id, deps)
    if entry.conversion.owner.id != person.id:
        raise NotFound
    return entry


def _entry(conversion_id: str, deps: Deps) -> Entry:
    if not _ID.fullmatch(conversion_id):
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
