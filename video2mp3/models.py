"""What the service answers, as plain types. Fields that a newer service adds are ignored."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any, Self


class State(StrEnum):
    """Where a conversion is. The last three are ends."""

    QUEUED = "queued"
    CONVERTING = "converting"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"

    @property
    def is_end(self) -> bool:
        """Whether nothing more will happen, unless somebody tries again."""
        return self in {State.COMPLETED, State.FAILED, State.CANCELLED}


class Quality(StrEnum):
    """How good the MP3 is: a VBR level of LAME, best first, or a constant bit rate in kbit/s."""

    V0 = "v0"
    V2 = "v2"
    V4 = "v4"
    CBR_128 = "128"
    CBR_192 = "192"
    CBR_256 = "256"
    CBR_320 = "320"


@dataclass(frozen=True)
class User:
    """Who is logged in."""

    id: str
    email: str
    created_at: datetime

    @classmethod
    def from_json(cls, body: Mapping[str, Any]) -> Self:
        """Return what a body holds."""
        return cls(body["id"], body["email"], datetime.fromisoformat(body["created_at"]))


@dataclass(frozen=True)
class Video:
    """The stored video. `duration_s`, and `sha256` if it came in slices, are None until the service has read it."""

    bytes: int
    sha256: str | None
    duration_s: float | None

    @classmethod
    def from_json(cls, body: Mapping[str, Any]) -> Self:
        """Return what a body holds."""
        return cls(body["bytes"], body["sha256"], body["duration_s"])


@dataclass(frozen=True)
class Mp3:
    """The MP3. `bit_rate_bps` is the average."""

    bytes: int
    sha256: str
    duration_s: float
    bit_rate_bps: int
    sample_rate_hz: int
    channels: int

    @classmethod
    def from_json(cls, body: Mapping[str, Any]) -> Self:
        """Return what a body holds."""
        return cls(
            body["bytes"],
            body["sha256"],
            body["duration_s"],
            body["bit_rate_bps"],
            body["sample_rate_hz"],
            body["channels"],
        )


@dataclass(frozen=True)
class Failure:
    """Why a conversion failed: a code, and plain words."""

    type: str
    title: str
    detail: str

    @classmethod
    def from_json(cls, body: Mapping[str, Any]) -> Self:
        """Return what a body holds."""
        return cls(body["type"], body["title"], body["detail"])


@dataclass(frozen=True)
class Conversion:
    """One video on its way to an MP3. `progress` goes from 0 to 1; times are in UTC."""

    id: str
    state: State
    progress: float
    filename: str
    options: Mapping[str, Any]
    video: Video
    mp3: Mp3 | None
    error: Failure | None
    attempts: int
    created_at: datetime
    updated_at: datetime
    completed_at: datetime | None
    expires_at: datetime | None

    @classmethod
    def from_json(cls, body: Mapping[str, Any]) -> Self:
        """Return what a body holds."""
        return cls(
            id=body["id"],
            state=State(body["state"]),
            progress=body["progress"],
            filename=body["filename"],
            options=body["options"],
            video=Video.from_json(body["video"]),
            mp3=Mp3.from_json(body["mp3"]) if body["mp3"] else None,
            error=Failure.from_json(body["error"]) if body["error"] else None,
            attempts=body["attempts"],
            created_at=datetime.fromisoformat(body["created_at"]),
            updated_at=datetime.fromisoformat(body["updated_at"]),
            completed_at=_time(body.get("completed_at")),
            expires_at=_time(body.get("expires_at")),
        )


@dataclass(frozen=True)
class Link:
    """A link that downloads one MP3 without logging in, until it expires."""

    url: str
    expires_at: datetime

    @classmethod
    def from_json(cls, body: Mapping[str, Any]) -> Self:
        """Return what a body holds."""
        return cls(body["url"], datetime.fromisoformat(body["expires_at"]))


@dataclass(frozen=True)
class Tokens:
    """What a login gives. The access token opens guarded routes; the refresh token gets the next pair, once."""

    access: str
    refresh: str

    @classmethod
    def from_json(cls, body: Mapping[str, Any]) -> Self:
        """Return what a body holds."""
        return cls(body["access_token"], body["refresh_token"])


def _time(text: str | None) -> datetime | None:
    return None if text is None else datetime.fromisoformat(text)
