"""From a video file to an MP3 file that is proved to be whole."""

import os
import tempfile
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import BinaryIO, NamedTuple, Protocol

from functions.convert.containers import has_encrypted_sound, is_cut_off
from functions.convert.failures import (
    AttemptFailed,
    ConversionFailed,
    CorruptMedia,
    DurationExceeded,
    EmptyFile,
    EncryptedMedia,
    InvalidMedia,
    NoAudioTrack,
    TooManyStreams,
    TruncatedMedia,
    UnsupportedMedia,
)
from functions.convert.feed import Feed
from functions.convert.ffmpeg import Finished, run_ffmpeg
from functions.convert.media import DECODERS, DEMUXERS, MAX_STREAMS, Soundtrack, read_description
from functions.convert.mp3 import BrokenMp3, Mp3Facts, make_tag, read_mp3
from functions.convert.streaming import as_stream
from functions.convert.video import Video
from functions.shared import sniffing
from functions.shared.conversions import Quality

Progress = Callable[[float], None]
# Makes what ffmpeg reads the video from, at its beginning.
Source = Callable[[], BinaryIO | Feed]

# An encoder may round the end, and containers round their durations; a cut is larger.
_WHOLE = 0.98
_SLACK_S = 0.1
_MP3_MAX_HZ = 48_000
# Nobody hears anything shorter.
_AUDIBLE_S = 0.01
# What the log says when ffmpeg would have gone back in its input, and could not.
_WENT_BACK = ("Error during demuxing", "Seek to desired resync point failed")
# How much of the progress is fetching a video that cannot be streamed.
_FETCHED = 0.05


class Encoded(NamedTuple):
    """A whole MP3: the ID3 tag that belongs before its frames, and what its frames say."""

    tag: bytes
    facts: Mp3Facts
    video_duration_s: float


class Encoder(Protocol):
    """Makes MP3s."""

    def encode(self, video: Video, mp3: BinaryIO, quality: Quality, on_progress: Progress) -> Encoded:
        """Write the first soundtrack of `video` to `mp3`, an empty file with a descriptor, without tags.

        When this returns, `video` was read to its end. `on_progress` is called several times a second with a number
        from 0 to 1. What it raises, or `video` does, ends the encoding.

        Raises:
            ConversionFailed: there is no MP3 to be had from this video.
            AttemptFailed: another attempt may succeed.
        """


class _Unproved(Exception):
    """Raised when ffmpeg ended by itself, but not with an MP3 of the whole sound."""

    def __init__(self, finished: Finished) -> None:
        super().__init__(finished.exit_code)
        self.finished = finished


class FfmpegEncoder:
    """The bundled ffmpeg with LAME. Implements Encoder.

    A video longer than `max_duration_s` is refused, also one whose header lies about it. An ffmpeg that
    does not get on for `stall_s` is killed.
    """

    def __init__(self, *, max_duration_s: float, stall_s: float = 60) -> None:
        self._max_duration_s = max_duration_s
        self._stall_s = stall_s

    def encode(self, video: Video, mp3: BinaryIO, quality: Quality, on_progress: Progress) -> Encoded:
        """See Encoder. A video that can be streamed needs no room on the disk."""
        if not video.size:
            raise EmptyFile
        try:
            sniffing.refuse_other_than_media(video.read(0, sniffing.SNIFFED_BYTES))
        except sniffing.UnsupportedMedia as refusal:
            raise UnsupportedMedia(refusal.detail) from refusal
        if stream := as_stream(video):
            try:
                return self._encode(lambda: Feed(stream()), mp3, quality, on_progress)
            except _Unproved:
                # Either ffmpeg must seek in it, or something is wrong with it. The file will tell.
                mp3.seek(0)
                mp3.truncate()
        with tempfile.TemporaryFile() as file:  # it has no name: whatever ends this process, nothing stays on the disk
            size = _fetch(video, file, lambda done: on_progress(_FETCHED * done))
            if is_cut_off(file, size):
                raise TruncatedMedia
            try:
                return self._encode(
                    lambda: file, mp3, quality, lambda done: on_progress(_FETCHED + (1 - _FETCHED) * done)
                )
            except _Unproved as unproved:
                raise _reason(unproved.finished, file, size) from None

    def _encode(self, source: Source, mp3: BinaryIO, quality: Quality, on_progress: Progress) -> Encoded:
        soundtrack = self._probe(source(), lambda: on_progress(0.0))
        declared_s = soundtrack.duration_s
        if declared_s is not None and declared_s > self._max_duration_s:
            raise DurationExceeded(self._max_duration_s)

        def on_tick(out_time_s: float) -> None:
            if out_time_s > self._max_duration_s:
                raise DurationExceeded(self._max_duration_s)
            on_progress(min(out_time_s / declared_s, 1.0) if declared_s else 0.0)

        video = source()
        finished = run_ffmpeg(
            [*_input(), *_output(soundtrack, quality, mp3.fileno())],
            video,
            mp3=mp3,
            on_tick=on_tick,
            stall_s=self._stall_s,
        )
        if finished.exit_code != 0 or not finished.complete:
            raise _Unproved(finished)
        if isinstance(video, Feed):
            facts = self._prove_streamed(mp3, finished, declared_s)
            for _ in video.rest:
                on_progress(1.0)
        else:
            facts = self._prove(mp3, finished)
            if _falls_short(finished.out_time_s, declared_s) and self._ends_early(video, declared_s, on_progress):
                raise _Unproved(finished)
        return Encoded(make_tag(soundtrack.metadata), facts, declared_s or finished.out_time_s)

    def _probe(self, video: BinaryIO | Feed, on_tick: Callable[[], None]) -> Soundtrack:
        finished = run_ffmpeg(
            [*_input(), "-map", "0:a:0?", "-c", "copy", "-t", "0", "-f", "ffmetadata", "pipe:1"],
            video,
            on_tick=lambda _: on_tick(),
            stall_s=self._stall_s,
            wants_output=True,
        )
        if finished.exit_code != 0:
            raise _Unproved(finished)
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

    def _prove_streamed(self, mp3: BinaryIO, finished: Finished, declared_s: float | None) -> Mp3Facts:
        """Conclude from a pipe only that all is well.

        To ffmpeg a place in the pipe that it cannot get at is the end, and the end is a success. What it cannot go
        back to it leaves out, or takes it for silence.
        """
        if any(words in finished.messages for words in _WENT_BACK):
            raise _Unproved(finished)
        try:
            facts = self._prove(mp3, finished)
        except (NoAudioTrack, AttemptFailed):
            raise _Unproved(finished) from None
        if _falls_short(finished.out_time_s, declared_s) or _falls_short(facts.duration_s, finished.out_time_s):
            raise _Unproved(finished)
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


def _fetch(video: Video, file: BinaryIO, on_progress: Progress) -> int:
    """Write a video into a file, and return how many bytes it has."""
    fetched = 0
    try:
        # One part is written while the next is on its way.
        with ThreadPoolExecutor(1) as writer:
            writing: list[Future[int]] = []
            for part in video.parts():
                if writing:
                    writing.pop().result()
                writing.append(writer.submit(file.write, part))
                fetched += len(part)
                on_progress(min(fetched / max(video.size, 1), 1.0))
            for last in writing:
                last.result()
        file.flush()
    except OSError as error:
        raise AttemptFailed(f"the video could not be written to disk: {error}", code="resource-limit") from error
    return fetched


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
    """Tell why there is no whole MP3, from ffmpeg's exit code: the low byte of the error that ended it."""
    code, said = finished.exit_code, finished.messages
    if code == 0:
        return TruncatedMedia() if finished.complete else AttemptFailed("ffmpeg ended without reaching the end")
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
