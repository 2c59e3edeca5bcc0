"""What is in this file: its structure, and what ffmpeg finds in it."""

from collections.abc import Iterable

from functions.convert.failures import (
    ConversionFailed,
    EncryptedMedia,
    NoAudioTrack,
    TooManyStreams,
    TruncatedMedia,
    UnsupportedMedia,
)
from functions.convert.media.allowed import CODEC_NAMES
from functions.convert.media.findings import Container, Soundtrack
from functions.convert.media.limits import MAX_STREAMS
from functions.convert.media.probe import Description, probe
from functions.convert.reading import Reading
from functions.shared.conversions import Track

_UNNAMED = {"", "none"}


def look(reading: Reading) -> Description:
    """Return what is in a video, and tell `reading.on_tracks`. At least one of its soundtracks can be decoded.

    Raises:
        ConversionFailed: there is no sound, for the reason that was seen.
        Unproved: a pipe may not show it.
        AttemptFailed: see Ffmpeg.
    """
    if len(reading.container.soundtracks) > MAX_STREAMS:
        raise TooManyStreams(MAX_STREAMS)
    try:
        description = probe(reading.source, reading.container, reading.tick, reading.limits.stall_s)
        if not description.tracks:
            raise _why_there_is_no_sound(reading.container)
    except ConversionFailed as failed:
        raise reading.doubtful(failed) from failed
    reading.on_tracks(description.tracks)
    if not any(track.usable for track in description.tracks):
        if any(soundtrack.encryption for soundtrack in reading.container.soundtracks):
            raise EncryptedMedia
        raise undecodable(track.codec for track in description.tracks)
    return description


def undecodable(codecs: Iterable[str]) -> UnsupportedMedia:
    """Return what to raise for soundtracks in these codecs, none of which is decoded here."""
    names = sorted({CODEC_NAMES.get(codec, codec) for codec in codecs} - _UNNAMED)
    what = " or ".join(names) or "an unknown format"
    return UnsupportedMedia(
        f"The sound is in {what}, which cannot be decoded here. "
        "Upload a version with sound in AAC, MP3, Opus or another common format."
    )


def soundtrack_of(track: Track, container: Container) -> Soundtrack | None:
    """Return what the structure of a file says of a soundtrack, if it lists them."""
    listed = container.soundtracks
    return listed[track.number - 1] if track.number <= len(listed) else None


def _why_there_is_no_sound(container: Container) -> ConversionFailed:
    listed = container.soundtracks
    if not listed:
        return NoAudioTrack()
    if any(soundtrack.encryption for soundtrack in listed):
        return EncryptedMedia()
    if all(soundtrack.samples == 0 for soundtrack in listed):
        return TruncatedMedia()
    return undecodable(soundtrack.codec for soundtrack in listed)
