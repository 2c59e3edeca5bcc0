"""From a video file to an MP3 file that is proved to be whole."""

import os
from collections.abc import Callable
from typing import BinaryIO, NamedTuple, Protocol

from functions.convert.containers import has_encrypted_sound, is_cut_off
from functions.convert.failures import (
    AttemptFailed,
    ConversionFailed,
    CorruptMedia,
    DurationExceeded,
    EncryptedMedia,
    InvalidMedia,
    NoAudioTrack,
    TooManyStreams,
    TruncatedMedia,
    UnsupportedMedia,
)
from functions.convert.ffmpeg import Finished, run_ffmpeg
from functions.convert.media import DECODERS, DEMUXERS, MAX_STREAMS, Soundtrack, read_description
from functions.convert.mp3 import BrokenMp3, Mp3Facts, make_tag, read_mp3
from functions.shared.conversions import Quality

Progress = Callable[[float], None]

# An encoder may round the end, and containers round their durations; a cut is larger.
_WHOLE = 0.98
_SLACK_S = 0.1
_MP3_MAX_HZ = 48_000
# Nobody hears anything shorter.
_AUDIBLE_S = 0.01


class Encoded(NamedTuple):
    """A whole MP3: the ID3 tag that belongs before its frames, and what its frames say."""

    tag: bytes
    facts: Mp3Facts
    video_duration_s: float


class Encoder(Protocol):
    """Makes MP3s."""

    def encode(self, video: BinaryIO, mp3: BinaryIO, quality: Quality, on_progress: Progress) -> Encoded:
        """Write the first soundtrack of `video` to `mp3`, an empty file, without tags.

        Both are real files with a descriptor; `video` may keep its index at the end. `on_progress` is
        called several times a second with a number from 0 to 1; what it raises ends the encoding.

        Raises:
            ConversionFailed: there is no MP3 to be had from this video.
            AttemptFailed: another attempt may succeed.
        """


class FfmpegEncoder:
    """The bundled ffmpeg with LAME. Implements Encoder.

    A video longer than `max_duration_s` is refused, also one whose header lies about it. An ffmpeg that
    does not get on for `stall_s` is killed.
    """

    def __init__(self, *, max_duration_s: float, stall_s: float = 60) -> None:
        self._max_duration_s = max_duration_s
        self._stall_s = stall_s

    def encode(self, video: BinaryIO, mp3: BinaryIO, quality: Quality, on_progress: Progress) -> Encoded:
        """See Encoder."""
        size = video.seek(0, 2)
        if is_cut_off(video, size):
            raise TruncatedMedia
        soundtrack = self._probe(video, lambda: on_progress(0.0))
        declared_s = soundtrack.duration_s
        if declared_s is not None and declared_s > self._max_duration_s:
            raise DurationExceeded(self._max_duration_s)

        def on_tick(out_time_s: float) -> None:
            if out_time_s > self._max_duration_s:
                raise DurationExceeded(self._max_duration_s)
            on_progress(min(out_time_s / declared_s, 1.0) if declared_s else 0.0)

        finished = run_ffmpeg(
            [*_input(), *_output(soundtrack, quality, mp3.fileno())],
            video,
            mp3=mp3,
            on_tick=on_tick,
            stall_s=self._stall_s,
        )
        if finished.exit_code != 0:
            raise _reason(finished, video, size)
        if not finished.complete:
            raise AttemptFailed("ffmpeg ended without saying that it reached the end")
        facts = self._prove(mp3, finished)
        if _falls_short(finished.out_time_s, declared_s) and self._ends_early(video, declared_s, on_progress):
            raise TruncatedMedia
        return Encoded(make_tag(soundtrack.metadata), facts, declared_s or finished.out_time_s)

    def _probe(self, video: BinaryIO, on_tick: Callable[[], None]) -> Soundtrack:
        finished = run_ffmpeg(
            [*_input(), "-map", "0:a:0?", "-c", "copy", "-t", "0", "-f", "ffmetadata", "pipe:1"],
            video,
            on_tick=lambda _: on_tick(),
            stall_s=self._stall_s,
            wants_output=True,
        )
        if finished.exit_code != 0:
            raise _reason(finished, video, video.seek(0, 2))
        if "max_streams" in finished.messages:  # Matroska's demuxer leaves out the tracks over the limit
            raise TooManyStreams(MAX_STREAMS)
        soundtrack = read_description(finished.log, finished.output.decode(errors="replace"))
        if soundtrack is None:
            raise NoAudioTrack
        return soundtrack

    def _prove(self, mp3: BinaryIO, finished: Finished) -> Mp3Facts:
        if mp3.seek(0, 2) == 0:
            raise NoAudioTrack
        try:
            facts = read_mp3(mp3)
        except BrokenMp3 as error:
            raise AttemptFailed(f"the MP3 is not whole: {error}") from error
        if facts.duration_s < _AUDIBLE_S or finished.out_time_s == 0:
            raise NoAudioTrack
        return facts

    def _ends_early(self, video: BinaryIO, declared_s: float | None, on_progress: Progress) -> bool:
        """Say whether all tracks end before the container says, not the sound alone.

        A soundtrack may rightly be shorter than the pictures. Nothing is decoded for this. (The muxer is
        one that takes tracks whose size only a decoder would know.)
        """
        finished = run_ffmpeg(
            [*_input(), "-map", "0", "-c", "copy", "-f", "framecrc", "-y", os.devnull],
            video,
            on_tick=lambda _: on_progress(1.0),
            stall_s=self._stall_s,
        )
        return finished.exit_code != 0 or _falls_short(finished.out_time_s, declared_s)


def _input() -> list[str]:
    return [
        *("-protocol_whitelist", "fd", "-format_whitelist", DEMUXERS, "-codec_whitelist", DECODERS),
        *("-max_streams", str(MAX_STREAMS), "-fd", "0", "-i", "fd:"),
    ]


def _output(soundtrack: Soundtrack, quality: Quality, descriptor: int) -> list[str]:
    bit_rate = ["-b:a", f"{quality}k"] if quality.isdigit() else ["-q:a", quality.removeprefix("v")]
    rate = ["-ar", str(_MP3_MAX_HZ)] if (soundtrack.sample_rate_hz or 0) > _MP3_MAX_HZ else []
    return [
        *("-map", "0:a:0", "-vn", "-sn", "-dn", "-map_metadata", "-1", "-map_chapters", "-1"),
        *(*_downmix(soundtrack.channels), *rate, "-c:a", "libmp3lame", *bit_rate),
        # The frames are written to a file that can be sought, or the Xing header would be missing.
        *("-f", "mp3", "-id3v2_version", "0", "-write_xing", "1", "-fd", str(descriptor), "fd:"),
        # What the encoder made is decoded at once, on another core: an MP3 that does not decode fails the run. Of
        # what is heard nearly all is thrown away; without the rest ffmpeg would tell no progress.
        *("-dec", "0:0", "-filter_complex", r"[dec:0]aselect=not(mod(n\,40))[heard]"),
        *("-map", "[heard]", "-f", "null", "-"),
    ]


def _downmix(channels: int | None) -> list[str]:
    if channels is None or channels <= 2:
        return []
    # By default the centre, where people speak, goes 3 dB below the front: here it stays level with it.
    return ["-af", "aresample=out_chlayout=stereo:center_mix_level=1.0:surround_mix_level=0.5"]


def _falls_short(reached_s: float, declared_s: float | None) -> bool:
    return declared_s is not None and reached_s < min(declared_s * _WHOLE, declared_s - _SLACK_S)


def _reason(finished: Finished, video: BinaryIO, size: int) -> ConversionFailed | AttemptFailed:
    """Tell why ffmpeg gave up, from its exit code: the low byte of the error that ended it."""
    code, said = finished.exit_code, finished.messages
    if "max_streams" in said:
        return TooManyStreams(MAX_STREAMS)
    if "Format not on whitelist" in said:
        return UnsupportedMedia("Videos of this kind are not converted. MP4, MOV, MKV, WebM, AVI and the like are.")
    if "matches no streams" in said:
        return NoAudioTrack()
    if "Error while opening decoder" in said or "no decoder found" in said:
        return UnsupportedMedia("The soundtrack is in a format that is not converted here. AAC, Opus and the like are.")
    if code == 69:
        return EncryptedMedia() if has_encrypted_sound(video, size) else CorruptMedia()
    if code == 183:
        return InvalidMedia("The file is not a video that can be read. Check that it plays on your device.")
    if "does not contain any stream" in said or code == 234:
        return NoAudioTrack()
    return AttemptFailed(f"ffmpeg ended with {code}: {said[-300:].strip()}")
