"""The rule: a video that was uploaded becomes an MP3, or a failure that says why."""

import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import BinaryIO

import msgspec
from aws_lambda_powertools import Logger

from functions.convert.claims import Claim, ClaimLost, Claims, mp3_file_id
from functions.convert.encoder import Encoded, Encoder
from functions.convert.failures import AttemptFailed, ConversionFailed, Interrupted, StorageCorrupt
from functions.convert.hand_off import HandOff
from functions.convert.heartbeat import Deadline, Heartbeat
from functions.convert.pauses import Pauses
from functions.convert.video import StoredVideo
from functions.shared.clock import Clock
from functions.shared.conversions import MAX_TRACKS, Failure, Mp3, Note, Source, Track, Video
from functions.shared.events import Event, EventName, Events, Outbox, publish_owed
from functions.shared.files import CHUNK_BYTES, FileDamaged, FileMissing, Files
from functions.shared.metrics import CONVERSION_WAIT_SECONDS, NO_METRICS, Metrics
from functions.shared.problems import Unavailable

# How the whole is shared out for the progress bar: encoding, then storing.
_ENCODED = 0.97


@dataclass(frozen=True)
class Deps:
    """What convert works with. `holder` names this worker; `lease_s` is how long a claim lasts.

    With a `hand_off` the function converts only what was handed off.
    """

    claims: Claims
    videos: Files
    mp3s: Files
    encoder: Encoder
    events: Events
    outbox: Outbox
    clock: Clock
    new_id: Callable[[], str]
    logger: Logger
    holder: str
    lease_s: float
    max_attempts: int
    pauses: Pauses
    hand_off: HandOff | None = None
    metrics: Metrics = NO_METRICS


def convert(uploaded: Event, deps: Deps, deadline: Deadline) -> None:
    """Convert the video that `uploaded` names, unless that was done or is being done.

    A failure that will not go away, or the last attempt's, ends the conversion as failed; after another
    failure the conversion is queued again, and announced after a pause. In all these cases this returns.

    Raises:
        Interrupted: the host is stopping; the conversion is free again and the message must come back.
        Unavailable: the storage does not answer; the message must come back, too, once the lease has ended.
    """
    claim = deps.claims.claim(uploaded.conversion_id, deps.holder)
    if claim is None:
        deps.logger.info("nothing to convert")
        return
    deps.logger.info("converting", extra={"attempt": claim.attempt, "fence": claim.fence})
    # Not the first attempt: one that the host interrupted does not count, and then there is another first one.
    if claim.fence == 1:
        # By the clocks of two machines, which may differ.
        waited_s = (deps.clock() - uploaded.occurred_at).total_seconds()
        deps.metrics.observe(CONVERSION_WAIT_SECONDS, max(0.0, waited_s))
    heartbeat = Heartbeat(deps.claims, claim, deps.lease_s, deadline, deps.logger)
    try:
        owed = _attempt(claim, deps, heartbeat)
    except ClaimLost:
        deps.mp3s.delete(claim.mp3_file_id)
        deps.logger.warning("the claim was lost, another has it now or the conversion was deleted")
        return
    publish_owed(owed, deps.events, deps.outbox, deps.logger)


def _attempt(claim: Claim, deps: Deps, heartbeat: Heartbeat) -> list[Event]:
    """Make the attempt, commit how it ended, and return the events now owed."""
    known = _Known(claim.conversion.video)
    try:
        mp3, notes = _make_mp3(claim, deps, heartbeat, known)
    except ConversionFailed as error:
        return _fail(claim, deps, error.failure, known.video)
    except AttemptFailed as error:
        return _try_again_or_fail(claim, deps, error, known.video)
    except Interrupted:
        deps.claims.release(claim, [], counts=False)
        raise
    except (ClaimLost, Unavailable):
        raise
    except Exception as error:
        deps.logger.exception("unforeseen error")
        return _try_again_or_fail(claim, deps, AttemptFailed(repr(error)), known.video)
    completed = _event(EventName.CONVERSION_COMPLETED, claim, deps)
    deps.claims.complete(claim, mp3, known.video, notes, completed)
    facts = {"mp3_bytes": mp3.bytes, "duration_s": round(mp3.duration_s, 2), "method": mp3.method}
    deps.logger.info("completed", extra={**facts, "warnings": [note.code for note in notes]})
    return [completed]


def _try_again_or_fail(claim: Claim, deps: Deps, error: AttemptFailed, video: Video) -> list[Event]:
    deps.logger.warning("the attempt failed", extra={"attempt": claim.attempt, "reason": str(error)})
    if claim.attempt >= deps.max_attempts:
        return _fail(claim, deps, error.final(deps.max_attempts), video)
    again = _event(EventName.VIDEO_UPLOADED, claim, deps)
    again = msgspec.structs.replace(again, not_before=again.occurred_at + deps.pauses.after(claim.attempt))
    deps.claims.release(claim, [again], counts=True)
    return [again]


def _fail(claim: Claim, deps: Deps, failure: Failure, video: Video) -> list[Event]:
    failed = _event(EventName.CONVERSION_FAILED, claim, deps)
    # One that was claimed only to be failed was not tried once more.
    deps.claims.fail(claim, failure, failed, video, counts=claim.attempt <= deps.max_attempts)
    deps.logger.info("failed", extra={"failure": failure.type})
    return [failed]


class _Known:
    """What is known of the video. An attempt that fails may have learned something, too."""

    def __init__(self, video: Video) -> None:
        self.video = video

    def learn(self, **facts: object) -> None:
        """Note facts about the video: fields of Video."""
        self.video = msgspec.structs.replace(self.video, **facts)

    def learn_tracks(self, tracks: Sequence[Track]) -> None:
        """Note the soundtracks."""
        self.learn(tracks=tuple(tracks[:MAX_TRACKS]))


def _make_mp3(claim: Claim, deps: Deps, heartbeat: Heartbeat, known: _Known) -> tuple[Mp3, tuple[Note, ...]]:
    """Store the MP3 under the claim's file id. Returns what it is, and warnings."""
    conversion = claim.conversion
    for earlier in range(1, claim.fence):
        deps.mp3s.delete(mp3_file_id(conversion.id, earlier))
    if claim.attempt > deps.max_attempts:
        raise AttemptFailed("the worker was lost in every attempt")
    video = StoredVideo(deps.videos, conversion, lambda: heartbeat.beat(0.0))
    # The file has no name, so whatever ends this process, nothing stays on the disk.
    with tempfile.TemporaryFile() as frames:
        encoded = _encode(video, frames, claim, deps, heartbeat, known=known)
        stored = deps.mp3s.put(claim.mp3_file_id, _beating(_whole_mp3(encoded, frames), heartbeat))
    facts, track = encoded.facts, encoded.choice.tracks[0]
    mp3 = Mp3(
        bytes=stored.bytes,
        sha256=stored.sha256,
        duration_s=round(facts.duration_s, 3),
        bit_rate_bps=facts.bit_rate_bps,
        sample_rate_hz=facts.sample_rate_hz,
        channels=facts.channels,
        method=encoded.method,
        track=encoded.choice.number,
        loudness_lufs=encoded.loudness.lufs,
        true_peak_dbtp=encoded.loudness.peak_db,
        chapters=encoded.chapters,
        cover=encoded.has_cover,
        source=Source(track.codec, track.channels, track.sample_rate_hz, track.language),
    )
    known.learn(sha256=video.sha256, duration_s=round(encoded.video_duration_s, 3))
    return mp3, encoded.notes


def _encode(
    video: StoredVideo, frames: BinaryIO, claim: Claim, deps: Deps, heartbeat: Heartbeat, *, known: _Known
) -> Encoded:
    def on_progress(done: float) -> None:
        heartbeat.beat(_ENCODED * done)

    try:
        return deps.encoder.encode(video, frames, claim.conversion.options, on_progress, known.learn_tracks)
    except (FileMissing, FileDamaged) as error:
        # If the conversion was deleted meanwhile, so was its video: then this raises ClaimLost.
        deps.claims.renew(claim, 0.0)
        deps.logger.exception("the stored video is damaged")
        raise StorageCorrupt from error


def _whole_mp3(encoded: Encoded, frames: BinaryIO) -> Iterator[bytes]:
    frames.seek(0)
    return chain([encoded.tag], iter(lambda: frames.read(CHUNK_BYTES), b""))


def _beating(parts: Iterable[bytes], heartbeat: Heartbeat) -> Iterator[bytes]:
    for part in parts:
        yield part
        heartbeat.beat(_ENCODED)


def _event(name: EventName, claim: Claim, deps: Deps) -> Event:
    return Event(id=deps.new_id(), event=name, conversion_id=claim.conversion.id, occurred_at=deps.clock())
