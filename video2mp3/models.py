"""What the service answers, as plain types. Fields that a newer service adds are ignored."""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from datetime import datetime
from enum import StrEnum
from typing import Any, Literal, Self, TypedDict


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
    """How good the MP3 is: `auto`, the sound as it is, a VBR level of LAME, or a constant bit rate in kbit/s."""

    AUTO = "auto"
    COPY = "copy"
    V0 = "v0"
    V2 = "v2"
    V4 = "v4"
    CBR_128 = "128"
    CBR_192 = "192"
    CBR_256 = "256"
    CBR_320 = "320"


class Options(TypedDict, total=False):
    """What can be chosen for a conversion. The service has defaults for all of it, which suit most videos.

    Attributes:
        quality: `auto` copies the sound if it is MP3 already and no other option changes it.
        track: the number of a soundtrack, from 1, or its language, such as `eng` or `de`.
        preferred_language: yours, such as `de`. It decides among soundtracks of which all, or none, are the default.
        tracks: `mix` adds up all soundtracks.
        start: where the MP3 begins, in seconds of the video, or as `hh:mm:ss.mmm`.
        end: where the MP3 ends, like `start`.
        loudness: the integrated loudness to reach, in LUFS, from -23 to -9.
        sample_rate: in Hz, one of those that MP3 has, from 8000 to 48000.
        damaged: `accept` converts a recording even if much of it is missing.
        cover: `auto` takes the picture that the video has attached, `none` takes none, and a time, like `start`, takes
            the frame shown then.
        year: a year, or a date as `YYYY-MM-DD`.
        track_number: such as `3`, or `3/12`.
    """

    quality: Quality | str
    track: int | str
    preferred_language: str
    tracks: Literal["mix"]
    start: float | str
    end: float | str
    loudness: float
    channels: Literal["auto", "mono", "stereo"]
    sample_rate: int
    damaged: Literal["refuse", "accept"]
    cover: float | str
    chapters: Literal["keep", "none"]
    title: str
    artist: str
    album: str
    album_artist: str
    genre: str
    year: int | str
    track_number: int | str
    comment: str


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
class Track:
    """A soundtrack of a video. `number` counts from 1. `role` says what it is for if it is not the main sound.

    One that is not `usable` has no sound, or none that can be decoded.
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

    @classmethod
    def from_json(cls, body: Mapping[str, Any]) -> Self:
        """Return what a body holds."""
        return cls(**{field.name: body[field.name] for field in fields(cls)})


@dataclass(frozen=True)
class Video:
    """The stored video. `duration_s`, and `sha256` if it came in slices, are None until the service has read it.

    Until then `tracks` is empty, too. `sent` is `sound` if a client took the sound out of the video and sent only that;
    `original_bytes` is then the size of the video, if the client gave it.
    """

    bytes: int
    sha256: str | None
    duration_s: float | None
    tracks: tuple[Track, ...] = ()
    original_bytes: int | None = None
    sent: str = "whole"

    @classmethod
    def from_json(cls, body: Mapping[str, Any]) -> Self:
        """Return what a body holds."""
        tracks = tuple(map(Track.from_json, body.get("tracks", ())))
        return cls(
            bytes=body["bytes"],
            sha256=body["sha256"],
            duration_s=body["duration_s"],
            tracks=tracks,
            original_bytes=body.get("original_bytes"),
            sent=body.get("sent", "whole"),
        )


@dataclass(frozen=True)
class Source:
    """The soundtrack that an MP3 was made of; of a mix, the first."""

    codec: str
    channels: int | None
    sample_rate_hz: int | None
    language: str | None

    @classmethod
    def from_json(cls, body: Mapping[str, Any]) -> Self:
        """Return what a body holds."""
        return cls(body["codec"], body["channels"], body["sample_rate_hz"], body["language"])


@dataclass(frozen=True)
class Mp3:
    """The MP3. `bit_rate_bps` is the average.

    `method` says whether its sound was `encoded`, or `copied` as it was. `track` is the number of the soundtrack, and
    None for a mix. Older services tell nothing of what comes after `channels`.
    """

    bytes: int
    sha256: str
    duration_s: float
    bit_rate_bps: int
    sample_rate_hz: int
    channels: int
    method: str = "encoded"
    track: int | None = None
    loudness_lufs: float | None = None
    true_peak_dbtp: float | None = None
    chapters: int = 0
    cover: bool = False
    source: Source | None = None

    @classmethod
    def from_json(cls, body: Mapping[str, Any]) -> Self:
        """Return what a body holds."""
        source = body.get("source")
        return cls(
            bytes=body["bytes"],
            sha256=body["sha256"],
            duration_s=body["duration_s"],
            bit_rate_bps=body["bit_rate_bps"],
            sample_rate_hz=body["sample_rate_hz"],
            channels=body["channels"],
            method=body.get("method", "encoded"),
            track=body.get("track"),
            loudness_lufs=body.get("loudness_lufs"),
            true_peak_dbtp=body.get("true_peak_dbtp"),
            chapters=body.get("chapters", 0),
            cover=body.get("cover", False),
            source=Source.from_json(source) if source else None,
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
class Note:
    """What a person should know about an MP3 that was made: a code, and plain words."""

    code: str
    detail: str

    @classmethod
    def from_json(cls, body: Mapping[str, Any]) -> Self:
        """Return what a body holds."""
        return cls(body["code"], body["detail"])


@dataclass(frozen=True)
class Conversion:
    """One video on its way to an MP3. `progress` goes from 0 to 1; times are in UTC. `options` are those in force."""

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
    warnings: tuple[Note, ...] = ()

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
            warnings=tuple(map(Note.from_json, body.get("warnings", ()))),
        )


@dataclass(frozen=True)
class Link:
    """A link that downloads one MP3, or a ZIP of several, without logging in, until it expires."""

    url: str
    expires_at: datetime

    @classmethod
    def from_json(cls, body: Mapping[str, Any]) -> Self:
        """Return what a body holds."""
        return cls(body["url"], datetime.fromisoformat(body["expires_at"]))


@dataclass(frozen=True)
class Usage:
    """How much a person stores, and the limits. What is stored and what is being uploaded share the quota.

    `stored_bytes` are those of the videos and MP3s. `upload_bytes` are what the `open_uploads` have or will have. A
    conversion is kept for `retention_days` after its end.
    """

    stored_bytes: int
    quota_bytes: int
    open_uploads: int
    upload_bytes: int
    max_upload_bytes: int
    retention_days: int

    @classmethod
    def from_json(cls, body: Mapping[str, Any]) -> Self:
        """Return what a body holds."""
        return cls(
            stored_bytes=body["stored_bytes"],
            quota_bytes=body["quota_bytes"],
            open_uploads=body["uploads"]["open"],
            upload_bytes=body["uploads"]["bytes"],
            max_upload_bytes=body["max_upload_bytes"],
            retention_days=body["retention_days"],
        )


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
