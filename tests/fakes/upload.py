"""Fakes of the ports in functions.upload."""

import hashlib
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from msgspec.structs import replace

from functions.shared.clock import Clock, utc_now
from functions.shared.files import CHUNK_BYTES, FileDamaged
from functions.upload.keys import LEASE, REMEMBERED, Begun, KeptAnswer, KeyClaim, KeyHeld, KeyTaken
from functions.upload.uploads import (
    Held,
    HoldLost,
    Kind,
    Progress,
    Upload,
    UploadExists,
    UploadLocked,
    UploadMissing,
    Used,
)
from tests.fakes.shared import FakeDatabase, FakeFiles


@dataclass
class UploadRecord:
    """What an upload's document holds beside the upload. `held_until` None means that nobody holds it."""

    upload: Upload
    digests: dict[int, bytes] = field(default_factory=dict)
    token: str = ""
    held_until: datetime | None = None
    fence: int = 0
    staged: int = 0


class FakeUploads:
    """Keeps uploads in memory, in `records`; `deleted` are the ids of those that were there."""

    def __init__(self, *, hold_s: float = 60) -> None:
        self.records: dict[str, UploadRecord] = {}
        self.deleted: set[str] = set()
        self._hold = timedelta(seconds=hold_s)
        self._lock = threading.Lock()

    def add(self, upload: Upload) -> None:
        with self._lock:
            if upload.id in self.records or upload.id in self.deleted:
                raise UploadExists(upload.id)
            self.records[upload.id] = UploadRecord(upload)

    def watch(self, upload_id: str) -> None:
        self.deleted.add(upload_id)

    def get(self, upload_id: str) -> Upload:
        return self._record(upload_id).upload

    def hold(self, upload_id: str, token: str) -> Held:
        with self._lock:
            record = self._record(upload_id)
            if record.token != token:
                if record.held_until is not None and record.held_until > _now():
                    raise UploadLocked(upload_id)
                record.token, record.staged = token, 0
            record.fence += 1
            record.held_until = _now() + self._hold
            return Held(record.upload, token, record.fence, record.staged, _tail(record))

    def stage(self, held: Held, staged: int) -> None:
        with self._lock:
            record = self._held(held)
            record.staged = staged
            record.held_until = _now() + self._hold

    def advance(self, held: Held, progress: Progress, *, keep: bool) -> None:
        with self._lock:
            record = self._held(held)
            if progress.offset < record.upload.offset:
                raise HoldLost(held.upload.id)
            record.upload = replace(
                record.upload, offset=progress.offset, length=progress.length, expires_at=progress.expires_at
            )
            record.digests.update(progress.digests)
            record.staged = 0
            if keep:
                record.held_until = _now() + self._hold
            else:
                record.token, record.held_until = "", None

    def release(self, held: Held) -> None:
        with self._lock:
            try:
                record = self._held(held)
            except HoldLost:
                return
            record.token, record.held_until, record.staged = "", None, 0

    def digests(self, upload_id: str) -> bytes:
        digests = self._record(upload_id).digests
        return b"".join(digests[number] for number in sorted(digests))

    def delete(self, upload_id: str) -> None:
        with self._lock:
            if self.records.pop(upload_id, None):
                self.deleted.add(upload_id)

    def _record(self, upload_id: str) -> UploadRecord:
        try:
            return self.records[upload_id]
        except KeyError as error:
            raise UploadMissing(upload_id) from error

    def _held(self, held: Held) -> UploadRecord:
        record = self.records.get(held.upload.id)
        if record is None or (record.token, record.fence) != (held.token, held.fence):
            raise HoldLost(held.upload.id)
        return record


@dataclass
class Chunk:
    """A stored chunk, and the fence of who wrote it."""

    data: bytes
    fence: int


class FakeSlices:
    """Keeps growing videos in memory, in `chunks`, by upload id and number; finished, they are among `videos`."""

    def __init__(self, videos: FakeFiles) -> None:
        self.chunks: dict[str, dict[int, Chunk]] = {}
        self._videos = videos

    def write(self, held: Held, data: bytes) -> dict[int, bytes]:
        if not data:
            return {}
        chunks = self.chunks.setdefault(held.upload.id, {})
        first, skipped = divmod(held.upload.offset + held.staged, CHUNK_BYTES)
        head = chunks[first].data[:skipped] if first in chunks else b""
        known = min(skipped, held.upload.offset - first * CHUNK_BYTES)
        is_right = known <= 0 or _sha256(head[:known]) == held.tail_sha256
        if len(head) < skipped or not is_right:
            raise FileDamaged(held.upload.id)
        content = head + data
        digests = {}
        for start in range(0, len(content), CHUNK_BYTES):
            number = first + start // CHUNK_BYTES
            if number in chunks and chunks[number].fence > held.fence:
                raise HoldLost(held.upload.id)
            chunks[number] = Chunk(content[start : start + CHUNK_BYTES], held.fence)
            digests[number] = _sha256(chunks[number].data)
        return digests

    def read(self, upload_id: str, start: int, end: int, digests: bytes = b"") -> Iterator[bytes]:
        chunks = self.chunks.get(upload_id, {})
        position = start
        while position < end:
            number, skipped = divmod(position, CHUNK_BYTES)
            chunk = chunks[number].data if number in chunks else b""
            digest = digests[32 * number : 32 * number + 32]
            part = chunk[: end - number * CHUNK_BYTES]
            if len(part) <= skipped or (digest and digest not in {_sha256(chunk), _sha256(part)}):
                raise FileDamaged(upload_id)
            position += len(part) - skipped
            yield part[skipped:]

    def finish(self, held: Held, length: int, digests: bytes) -> None:
        upload_id = held.upload.id
        content = b"".join(self.read(upload_id, 0, length, digests))
        if len(digests) != 32 * -(-length // CHUNK_BYTES):
            raise FileDamaged(upload_id)
        chunks = self.chunks.get(upload_id, {})
        if length % CHUNK_BYTES and chunks[length // CHUNK_BYTES].fence > held.fence:
            raise HoldLost(upload_id)
        self.chunks[upload_id] = {
            number: Chunk(content[start : start + CHUNK_BYTES], chunks[number].fence)
            for number, start in enumerate(range(0, length, CHUNK_BYTES))
        } | {
            number: chunk
            for number, chunk in chunks.items()
            if number * CHUNK_BYTES >= length and chunk.fence > held.fence
        }
        if length % CHUNK_BYTES:
            self.chunks[upload_id][length // CHUNK_BYTES].fence = held.fence
        if self._videos.contents.get(upload_id) != content:
            self._videos.put(upload_id, [content])

    def delete(self, upload_id: str) -> None:
        self.chunks.pop(upload_id, None)
        self._videos.delete(upload_id)


class FakeUsage:
    """Counts what the other fakes hold."""

    def __init__(self, database: FakeDatabase, uploads: FakeUploads, clock: Clock = utc_now) -> None:
        self._database = database
        self._uploads = uploads
        self._clock = clock

    def used_by(self, owner_id: str) -> Used:
        conversions = [record.conversion for record in self._database.records.values() if not record.deleted]
        files = [
            conversion.video.bytes + (conversion.mp3.bytes if conversion.mp3 else 0)
            for conversion in conversions
            if conversion.owner.id == owner_id
        ]
        uploads = [
            upload.offset if upload.length is None else upload.length
            for upload in (record.upload for record in self._uploads.records.values())
            # The bytes of a video that is whole count as its conversion's.
            if upload.owner.id == owner_id
            and upload.expires_at > self._clock()
            and (upload.kind is Kind.PARTIAL or not upload.is_whole)
        ]
        return Used(sum(files), len(uploads), sum(uploads))


@dataclass
class KeyRecord:
    """What is remembered under a key. `held_until` None means that nobody holds it."""

    claim: KeyClaim
    fingerprint: str
    held_until: datetime | None
    expires_at: datetime
    answer: KeptAnswer | None = None


class FakeIdempotencyKeys:
    """Keeps keys in memory, in `records`."""

    def __init__(self, clock: Clock = utc_now, *, lease: timedelta = LEASE, remembered: timedelta = REMEMBERED) -> None:
        self.records: dict[str, KeyRecord] = {}
        self._clock = clock
        self._lease = lease
        self._remembered = remembered
        self._lock = threading.Lock()

    def claim(self, claim: KeyClaim, fingerprint: str) -> Begun:
        with self._lock:
            now = self._clock()
            record = self.records.get(claim.key)
            if record is None or record.expires_at <= now:
                record = KeyRecord(claim, fingerprint, now + self._lease, now + self._remembered)
                self.records[claim.key] = record
            if record.fingerprint != fingerprint:
                raise KeyTaken(claim.key)
            if record.answer is None and (record.held_until is None or record.held_until <= now):
                record.claim = record.claim._replace(token=claim.token)
                record.held_until = now + self._lease
            if record.answer is None and record.claim.token != claim.token:
                raise KeyHeld(claim.key)
            return Begun(record.claim, record.answer)

    def keep(self, claim: KeyClaim, answer: KeptAnswer) -> None:
        if record := self._held(claim):
            record.answer = answer

    def release(self, claim: KeyClaim) -> None:
        if record := self._held(claim):
            record.held_until = None

    def forget(self, claim: KeyClaim) -> None:
        if self._held(claim):
            del self.records[claim.key]

    def _held(self, claim: KeyClaim) -> KeyRecord | None:
        record = self.records.get(claim.key)
        return record if record and record.claim == claim else None


def _tail(record: UploadRecord) -> bytes:
    last, rest = divmod(record.upload.offset, CHUNK_BYTES)
    return record.digests[last] if rest else b""


def _sha256(content: bytes) -> bytes:
    return hashlib.sha256(content).digest()


def _now() -> datetime:
    return datetime.now(UTC)
