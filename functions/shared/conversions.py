"""A conversion: one video of one person on its way to an MP3, and the port that keeps them."""

from collections.abc import Sequence
from datetime import datetime
from enum import StrEnum
from typing import Protocol

import msgspec

from functions.shared.events import Event
from functions.shared.options import Options

# How many soundtracks of a video a conversion lists. Lists of a hundred conversions have to stay small.
MAX_TRACKS = 32


class State(StrEnum):
    """Where a conversion is. The last three are ends."""

    QUEUED = "queued"
    CONVERTING = "converting"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"


class Owner(msgspec.Struct, frozen=True):
    """Whose conversion it is, and where the e-mail goes."""

    id: str
    email: str


class Track(msgspec.Struct, frozen=True):
    """A soundtrack of a video.

    Attributes:
        number: counts from 1, in the order of the file; this is what the option `track` takes.
        language: as the file gives it, mostly in the three letters of ISO 639-2.
        default: whether the file marks it as the one to play.
        role: what it is for if it is not the main sound, such as `commentary`, `visual-impaired`,
            `hearing-impaired` or `descriptions`.
        usable: whether it has sound that can be decoded.
    """

    number: int
    codec: str
    channels: int | None
    sample_rate_hz: int | None
    language: str | None
    title: str | None
    default: bool
    role: str | None
    usable: bool


class Sent(StrEnum):
    """What was uploaded: the whole video, or only the sound that the client took out of it."""

    WHOLE = "whole"
    SOUND = "sound"


class Video(msgspec.Struct, frozen=True):
    """The stored video. `duration_s` and `tracks` are unknown until convert has looked at it.

    Attributes:
        bytes: how many are stored.
        sha256: in hexadecimal digits; unknown for a video that came in slices, until convert has read it whole.
        tracks: its first MAX_TRACKS soundtracks.
        original_bytes: the size of the video that the person has, if the client gave it.
    """

    bytes: int
    sha256: str | None
    duration_s: float | None = None
    tracks: tuple[Track, ...] = ()
    original_bytes: int | None = None
    sent: Sent = Sent.WHOLE


class Method(StrEnum):
    """How the sound got into the MP3: through the encoder, or bit by bit as it was."""

    ENCODED = "encoded"
    COPIED = "copied"


class Source(msgspec.Struct, frozen=True):
    """The sound that an MP3 was made of. Of a mix, it is the first soundtrack."""

    codec: str
    channels: int | None
    sample_rate_hz: int | None
    language: str | None


class Mp3(msgspec.Struct, frozen=True):
    """The stored MP3. An MP3 from before these were measured has None or the default for all after `channels`.

    Attributes:
        bit_rate_bps: the average.
        track: the number of the soundtrack, from 1; None for a mix of all.
        loudness_lufs: the integrated loudness (EBU R 128); None where it cannot be measured, as for silence.
        true_peak_dbtp: the highest true peak, in dB relative to full scale.
        chapters: how many chapters it has.
        cover: whether it has a picture.
    """

    bytes: int
    sha256: str
    duration_s: float
    bit_rate_bps: int
    sample_rate_hz: int
    channels: int
    method: Method = Method.ENCODED
    track: int | None = None
    loudness_lufs: float | None = None
    true_peak_dbtp: float | None = None
    chapters: int = 0
    cover: bool = False
    source: Source | None = None


class Note(msgspec.Struct, frozen=True):
    """What a person should know about an MP3 that was made: a code, and plain words."""

    code: str
    detail: str


class Failure(msgspec.Struct, frozen=True):
    """Why a conversion failed: a code, and plain words for the person."""

    type: str
    title: str
    detail: str


class Conversion(msgspec.Struct, frozen=True):
    """One conversion. Times are UTC. `warnings` are about the MP3, so there are none without one."""

    id: str
    owner: Owner
    state: State
    progress: float
    filename: str
    options: Options
    video: Video
    mp3: Mp3 | None
    error: Failure | None
    attempts: int
    created_at: datetime
    updated_at: datetime
    completed_at: datetime | None = None
    expires_at: datetime | None = None
    warnings: tuple[Note, ...] = ()

    def to_json(self) -> bytes:
        """Return the conversion as its owner sees it over HTTP."""
        return msgspec.json.encode(self.to_dict())

    def to_dict(self) -> dict[str, object]:
        """Return what `to_json` encodes, for an answer that holds several. Options have their defaults in it."""
        shown = {name: getattr(self, name) for name in self.__struct_fields__ if name != "owner"}
        return {**shown, "options": msgspec.structs.asdict(self.options)}


class ConversionMissing(Exception):
    """Raised when no conversion has this id, or it was deleted."""


class Conversions(Protocol):
    """All conversions. Each method is one atomic write or one read."""

    def add(self, conversion: Conversion, owed: Sequence[Event]) -> None:
        """Keep a new conversion together with the events it owes. This is the moment it is accepted.

        Does nothing if a conversion with its id is there already: an accepted video is accepted once.
        """

    def add_once(self, conversion: Conversion, owed: Sequence[Event], origin: str) -> str:
        """Add a conversion as `add` does, unless one was added for the same origin and not deleted since.

        Returns the id of the one that is there.
        """

    def added_for(self, origin: str) -> str | None:
        """Return the id of the conversion that was added for an origin, None if there is none or not any more."""

    def get(self, conversion_id: str) -> Conversion:
        """Return a conversion. Raises ConversionMissing."""

    def delete(self, conversion_id: str, now: datetime) -> None:
        """Take a conversion away for ever. Raises ConversionMissing.

        Work on it is cancelled: whoever holds its lease has lost it, and what it owes is never published. Nothing is
        kept of the person or of what was in the video. Its files are the caller's to delete.
        """
