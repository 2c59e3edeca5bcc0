"""What ffmpeg may open, and what it says about a video before anything is converted."""

import re
from collections.abc import Mapping
from typing import NamedTuple

# Containers that hold their own data. Playlists and descriptions that name other files or addresses (HLS,
# DASH, SDP, IMF, concat) are left out on purpose.
DEMUXERS = (
    "mov,matroska,webm,avi,asf,flv,live_flv,mpegts,mpeg,mpegvideo,ogg,mxf,nut,dv,rm,wtv,gxf,"
    "wav,w64,aiff,au,caf,mp3,aac,loas,ac3,eac3,dts,flac,amr,amrnb,amrwb,ape,tta,wv"
)

# Decoders of sound alone, so that no video decoder is ever opened.
DECODERS = (
    "aac,aac_latm,ac3,eac3,alac,amrnb,amrwb,ape,atrac1,atrac3,atrac3plus,cook,dca,dvaudio,flac,"
    "adpcm_ima_qt,adpcm_ima_wav,adpcm_ms,adpcm_swf,adpcm_yamaha,g722,g723_1,g726,gsm,gsm_ms,ilbc,"
    "mace3,mace6,mlp,mp1,mp1float,mp2,mp2float,mp3,mp3float,nellymoser,opus,libopus,"
    "pcm_alaw,pcm_bluray,pcm_dvd,pcm_f32be,pcm_f32le,pcm_f64be,pcm_f64le,pcm_mulaw,pcm_s16be,pcm_s16be_planar,"
    "pcm_s16le,pcm_s16le_planar,pcm_s24be,pcm_s24le,pcm_s24le_planar,pcm_s32be,pcm_s32le,pcm_s32le_planar,"
    "pcm_s8,pcm_s8_planar,pcm_u16be,pcm_u16le,pcm_u8,qcelp,qdm2,qdmc,real_144,real_288,ralf,s302m,sipr,speex,"
    "truehd,truespeech,tta,vorbis,libvorbis,wavpack,wmalossless,wmapro,wmav1,wmav2,wmavoice"
)

# More tracks than any camera, player or download has.
MAX_STREAMS = 64

_DURATION = re.compile(r"^  Duration: (\d+):(\d\d):(\d\d(?:\.\d+)?), ", re.MULTILINE)
_GUESSED = re.compile(r"^(?! ).*Estimating duration from bitrate", re.MULTILINE)
_AUDIO = re.compile(r"^  Stream #0:\d+.*?: Audio: (\S+).*?, (\d+) Hz, ([^,\n]+)", re.MULTILINE)
_ANY_AUDIO = re.compile(r"^  Stream #0:\d+.*?: Audio: ", re.MULTILINE)
_CHANNELS = {"mono": 1, "stereo": 2, "downmix": 2}


class Soundtrack(NamedTuple):
    """The first soundtrack of a video.

    `duration_s` is the length that the container declares, which video and sound share, or None if it
    declares none. `sample_rate_hz` and `channels` are None if ffmpeg could not tell. `metadata` holds the
    container's tags, and under them those of the soundtrack.
    """

    duration_s: float | None
    sample_rate_hz: int | None
    channels: int | None
    metadata: Mapping[str, str]


def read_description(log: str, ffmetadata: str) -> Soundtrack | None:
    """Return what ffmpeg logged about its input, or None if there is no soundtrack in it.

    There is no ffprobe beside the bundled ffmpeg, so its human-readable lines are read; the version is
    pinned. `ffmetadata` is the output of its muxer of that name, https://ffmpeg.org/ffmpeg-formats.html#Metadata-2.
    """
    if not _ANY_AUDIO.search(log):
        return None
    duration = _DURATION.search(log)
    duration_s = None
    if duration and not _GUESSED.search(log):
        duration_s = int(duration[1]) * 3600 + int(duration[2]) * 60 + float(duration[3])
    audio = _AUDIO.search(log)
    return Soundtrack(
        duration_s=duration_s,
        sample_rate_hz=int(audio[2]) if audio else None,
        channels=_channels(audio[3]) if audio else None,
        metadata=_metadata(ffmetadata),
    )


def _channels(layout: str) -> int | None:
    """Return how many channels a layout such as `stereo`, `5.1(side)` or `7 channels` has."""
    name = layout.split("(", maxsplit=1)[0].strip()
    if name in _CHANNELS:
        return _CHANNELS[name]
    if found := re.fullmatch(r"(\d+) channels.*", name):
        return int(found[1])
    if found := re.fullmatch(r"(\d+)\.(\d+)(?:\.(\d+))?", name):
        return sum(int(part) for part in found.groups() if part)
    return None


def _metadata(ffmetadata: str) -> dict[str, str]:
    found: dict[str, str] = {}
    # A line that ends in a backslash goes on; any character may be escaped by one.
    for line in re.split(r"(?<!\\)\n", ffmetadata):
        key, separator, value = _split(line)
        if separator and key:
            found.setdefault(key.lower(), value)
    return found


def _split(line: str) -> tuple[str, str, str]:
    parts = re.split(r"(?<!\\)=", line, maxsplit=1)
    key, value = (re.sub(r"\\(.)", r"\1", part, flags=re.DOTALL) for part in (parts[0], parts[-1]))
    return key, "=" if len(parts) == 2 else "", value
