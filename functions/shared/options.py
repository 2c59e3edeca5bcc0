"""What a person can choose for one conversion."""

from enum import StrEnum

import msgspec


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


class Tracks(StrEnum):
    """What becomes of several soundtracks."""

    MIX = "mix"


class Channels(StrEnum):
    """How many channels the MP3 has. `auto` keeps mono and stereo, and makes stereo of more than two channels."""

    AUTO = "auto"
    MONO = "mono"
    STEREO = "stereo"


class Damaged(StrEnum):
    """What becomes of a video that is cut off, or of whose sound much is damaged."""

    REFUSE = "refuse"
    ACCEPT = "accept"


class Chapters(StrEnum):
    """What becomes of the video's chapters."""

    KEEP = "keep"
    NONE = "none"


# What an MP3 can have: ISO/IEC 11172-3, 13818-3, and the lowest three of MPEG 2.5.
MP3_RATES_HZ = (8_000, 11_025, 12_000, 16_000, 22_050, 24_000, 32_000, 44_100, 48_000)


# Old and new functions run side by side while a version is rolled out, and read each other's conversions. So an option
# that was not chosen is not stored, and one that is not known yet is passed over.
class Options(msgspec.Struct, frozen=True, omit_defaults=True):
    """What a person can choose for one conversion. The defaults suit most videos.

    Attributes:
        quality: `auto` copies the sound if it is MP3 already and no other option changes it; otherwise it means `v2`.
        track: the number of a soundtrack, from 1, or its language in lower case: `2`, `eng`, `de`, `pt-br`.
        preferred_language: the person's, which decides among soundtracks that are all, or none of them, the default.
        tracks: `mix` adds up all soundtracks.
        start: where the MP3 begins, in seconds of the video.
        end: where the MP3 ends, in seconds of the video.
        loudness: the integrated loudness to reach, in LUFS (EBU R 128).
        channels: how many channels the MP3 has.
        sample_rate: the sample rate of the MP3, in Hz.
        damaged: whether a video that is cut off, or of whose sound much is damaged, is converted.
        cover: `auto` takes the picture that the video has attached, `none` takes none, and a number of seconds takes
            the frame shown at that time.
        chapters: whether the MP3 gets the video's chapters.
        year: a year in four digits, or a date as `YYYY-MM-DD`.
        track_number: `3`, or `3/12`.
    """

    quality: Quality = Quality.AUTO
    track: str | None = None
    preferred_language: str | None = None
    tracks: Tracks | None = None
    start: float | None = None
    end: float | None = None
    loudness: float | None = None
    channels: Channels = Channels.AUTO
    sample_rate: int | None = None
    damaged: Damaged = Damaged.REFUSE
    cover: str = "auto"
    chapters: Chapters = Chapters.KEEP
    title: str | None = None
    artist: str | None = None
    album: str | None = None
    album_artist: str | None = None
    genre: str | None = None
    year: str | None = None
    track_number: str | None = None
    comment: str | None = None

    def tags(self) -> dict[str, str]:
        """Return the tags that were given, under the names that ffmpeg has for them."""
        given = {
            "title": self.title,
            "artist": self.artist,
            "album": self.album,
            "album_artist": self.album_artist,
            "genre": self.genre,
            "date": self.year,
            "track": self.track_number,
            "comment": self.comment,
        }
        return {name: text for name, text in given.items() if text is not None}
