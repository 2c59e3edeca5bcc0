"""Fakes of the ports in functions.convert."""

import json
import threading
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, BinaryIO

import msgspec

from functions.convert.claims import RETENTION, Claim, ClaimLost
from functions.convert.encoder import Encoded, Progress
from functions.convert.hand_off import NotHandedOff
from functions.convert.media.tracks import Choice
from functions.convert.mp3.frames import Mp3Facts
from functions.convert.reading import OnTracks
from functions.convert.sound.lame import Loudness
from functions.convert.video import Video as VideoBytes
from functions.shared.conversions import ConversionMissing, Failure, Method, Mp3, Note, State, Track, Video
from functions.shared.events import Event
from functions.shared.options import Options
from tests.fakes.shared import FakeDatabase, Record

FRAMES = b"frames of an MP3"
TAG = b"ID3"


class FakeClaims:
    def __init__(self, database: FakeDatabase, *, lease_s: float, retention: timedelta = RETENTION) -> None:
        self._database = database
        self._retention = retention
        self._lease = timedelta(seconds=lease_s)
        self._lock = threading.Lock()

    def claim(self, conversion_id: str, holder: str) -> Claim | None:
        with self._lock:
            return self._claim(conversion_id, holder)

    def _claim(self, conversion_id: str, holder: str) -> Claim | None:
        try:
            record = self._database.live(conversion_id)
        except ConversionMissing:
            return None
        if record.conversion.state not in (State.QUEUED, State.CONVERTING):
            return None
        if record.lease_until is not None and record.lease_until > _now():
            return None
        record.fence += 1
        record.extra["holder"] = holder
        record.lease_until = _now() + self._lease
        _change(record, state=State.CONVERTING, progress=0.0, attempts=record.conversion.attempts + 1)
        return Claim(record.conversion, record.fence, holder)

    def renew(self, claim: Claim, progress: float) -> None:
        record = self._held(claim)
        record.lease_until = _now() + self._lease
        _change(record, progress=progress)

    def complete(self, claim: Claim, mp3: Mp3, video: Video, warnings: Sequence[Note], completed: Event) -> None:
        record = self._held(claim)
        _change(record, state=State.COMPLETED, progress=1.0, mp3=mp3, video=video, warnings=tuple(warnings))
        record.mp3_file_id = claim.mp3_file_id
        self._note_end(record, completed)

    def fail(self, claim: Claim, failure: Failure, failed: Event, video: Video, *, counts: bool = True) -> None:
        record = self._held(claim)
        _change(record, state=State.FAILED, error=failure, video=video, attempts=claim.attempt - (not counts))
        self._note_end(record, failed)

    def release(self, claim: Claim, owed: Sequence[Event], *, counts: bool) -> None:
        record = self._held(claim)
        _change(record, state=State.QUEUED, progress=0.0, attempts=claim.attempt - (not counts))
        for event in owed:
            record.queued_at = record.announced_at = _now()
            if event.not_before:
                record.announced_at += event.not_before - event.occurred_at
        self._end(record, owed)

    def _held(self, claim: Claim) -> Record:
        try:
            record = self._database.live(claim.conversion.id)
        except ConversionMissing as error:
            raise ClaimLost(claim.conversion.id) from error
        held = record.lease_until is not None and (record.fence, record.extra["holder"]) == (claim.fence, claim.holder)
        if not held or record.conversion.state != State.CONVERTING:
            raise ClaimLost(claim.conversion.id)
        return record

    def _note_end(self, record: Record, end: Event) -> None:
        now = _now()
        _change(record, completed_at=now, expires_at=now + self._retention)
        record.untold, record.owed_at = end, now
        self._end(record, [end])

    def _end(self, record: Record, owed: Sequence[Event]) -> None:
        record.lease_until = None
        record.owed.extend(owed)


TRACK = Track(
    number=1,
    codec="aac",
    channels=2,
    sample_rate_hz=44_100,
    language="eng",
    title=None,
    default=True,
    role=None,
    usable=True,
)
ENCODED = Encoded(
    tag=TAG,
    facts=Mp3Facts(2.0, 64_000, 44_100, 2, frames=78, delay=576, padding=1080, samples=88_200),
    loudness=Loudness(-16.0, -1.5),
    method=Method.ENCODED,
    video_duration_s=2.5,
    tracks=(TRACK,),
    choice=Choice((TRACK,)),
    chapters=3,
    has_cover=True,
    notes=(Note("sound-starts-late", "The sound starts 0.5 s after the video."),),
)


class FakeEncoder:
    """Reads the video, finds `tracks`, does what `then` says, writes FRAMES and returns ENCODED.

    `calls` are the options given.
    """

    def __init__(self) -> None:
        self.calls: list[Options] = []
        self.then: Callable[[Progress], None] = lambda _: None
        self.tracks: tuple[Track, ...] = (TRACK,)

    def encode(
        self,
        video: VideoBytes,
        mp3: BinaryIO,
        options: Options,
        on_progress: Progress,
        on_tracks: OnTracks = lambda _: None,
    ) -> Encoded:
        self.calls.append(options)
        for _ in video.parts():
            on_progress(0.0)
        on_tracks(self.tracks)
        self.then(on_progress)
        mp3.write(FRAMES)
        return ENCODED


class FakeHandOff:
    """Keeps what was handed off; while `down` it takes nothing."""

    def __init__(self) -> None:
        self.taken: list[tuple[str, dict[str, Any]]] = []
        self.down = False

    def hand_off(self, function_arn: str, event: Mapping[str, Any]) -> None:
        if self.down:
            raise NotHandedOff("Lambda is down.")
        self.taken.append((function_arn, json.loads(json.dumps(event))))


def _change(record: Record, **changes: object) -> None:
    record.conversion = msgspec.structs.replace(record.conversion, **changes, updated_at=_now())


def _now() -> datetime:
    return datetime.now(UTC)
