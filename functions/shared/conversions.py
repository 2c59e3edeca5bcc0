"""A conversion: one video of one person on its way to an MP3, and the port that keeps them."""

from collections.abc import Sequence
from datetime import datetime
from enum import StrEnum
from typing import Protocol

import msgspec

from functions.shared.events import Event


class State(StrEnum):
    """Where a conversion is. The last three are ends."""

    QUEUED = "queued"
    CONVERTING = "converting"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"


class Quality(StrEnum):
    """How good the MP3 is: a VBR level of LAME, best first, or a constant bit rate in kbit/s."""

    V0 = "v0"
    V2 = "v2"
    V4 = "v4"
    CBR_128 = "128"
    CBR_192 = "192"
    CBR_256 = "256"
    CBR_320 = "320"


class Options(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a person can choose for one conversion."""

    quality: Quality = Quality.V2


class Owner(msgspec.Struct, frozen=True):
    """Whose conversion it is, and where the e-mail goes."""

    id: str
    email: str


class Video(msgspec.Struct, frozen=True):
    """The stored video. `duration_s` is unknown until convert has looked at it.

    `sha256`, in hexadecimal digits, is unknown too if the video came in slices, until convert has read it whole.
    """

    bytes: int
    sha256: str | None
    duration_s: float | None = None


class Mp3(msgspec.Struct, frozen=True):
    """The stored MP3. `bit_rate_bps` is the average."""

    bytes: int
    sha256: str
    duration_s: float
    bit_rate_bps: int
    sample_rate_hz: int
    channels: int


class Failure(msgspec.Struct, frozen=True):
    """Why a conversion failed: a code, and plain words for the person."""

    type: str
    title: str
    detail: str


class Conversion(msgspec.Struct, frozen=True):
    """One conversion. Times are UTC."""

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

    def to_json(self) -> bytes:
        """Return the conversion as its owner sees it over HTTP."""
        return msgspec.json.encode(self.to_dict())

    def to_dict(self) -> dict[str, object]:
        """Return what `to_json` encodes, for an answer that holds several."""
        return {name: getattr(self, name) for name in self.__struct_fields__ if name != "owner"}


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
