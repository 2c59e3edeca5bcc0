"""From a video to an MP3 that is proved to be its sound, and all of it."""

import errno
import tempfile
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import BinaryIO, NamedTuple, Protocol

from functions.convert.failures import (
    AttemptFailed,
    EmptyFile,
    InvalidMedia,
    NoAudioTrack,
    TruncatedMedia,
    UnsupportedMedia,
)
from functions.convert.feed import Feed
from functions.convert.look import look
from functions.convert.media.boxes import all_boxes
from functions.convert.media.container import read_container
from functions.convert.media.findings import Container
from functions.convert.media.riff import repaired_wav_header
from functions.convert.media.tracks import Choice
from functions.convert.mp3.extras import make_extras
from functions.convert.mp3.frames import Mp3Facts
from functions.convert.reading import Limits, OnTracks, Reading, Unproved
from functions.convert.sound.lame import Loudness
from functions.convert.sound.making import Maker
from functions.convert.sound.whole import CUT_OFF
from functions.convert.streaming import as_stream
from functions.convert.video import Video
from functions.shared import sniffing
from functions.shared.conversions import Method, Note, Track
from functions.shared.options import Damaged, Options

Progress = Callable[[float], None]

# How much of the progress is fetching a video that cannot be streamed.
_FETCHED = 0.05
_HEAD_BYTES = 64 * 1024
_NO_ROOM = {errno.ENOSPC, errno.EFBIG, errno.EDQUOT}


class Encoded(NamedTuple):
    """A whole MP3, and what there is to say of it. `tag` is the ID3 tag that belongs before its frames."""

    tag: bytes
    facts: Mp3Facts
    loudness: Loudness
    method: Method
    video_duration_s: float
    tracks: tuple[Track, ...]
    choice: Choice
    chapters: int
    has_cover: bool
    notes: tuple[Note, ...]


class Encoder(Protocol):
    """Makes MP3s."""

    def encode(
        self,
        video: Video,
        mp3: BinaryIO,
        options: Options,
        on_progress: Progress,
        on_tracks: OnTracks = lambda _: None,
    ) -> Encoded:
        """Write the sound of `video` that `options` ask for to `mp3`, an empty file with a descriptor, without tags.

        When this returns, `video` was read to its end. `on_progress` is called several times a second with a number
        from 0 to 1. What it raises, or `video` does, ends the encoding. `on_tracks` is told what soundtracks there are
        once they are known, even if there is then no MP3 to be had; the last call counts.

        Raises:
            ConversionFailed: there is no MP3 to be had from this video.
            AttemptFailed: another attempt may succeed.
        """


class FfmpegEncoder:
    """The bundled ffmpeg with LAME. Implements Encoder.

    A video longer than `max_duration_s` is refused, even one whose header lies about it. An ffmpeg that makes no
    progress for `stall_s` is killed.
    """

    def __init__(self, *, max_duration_s: float, stall_s: float = 60) -> None:
        self._limits = Limits(max_duration_s, stall_s)

    def encode(
        self,
        video: Video,
        mp3: BinaryIO,
        options: Options,
        on_progress: Progress,
        on_tracks: OnTracks = lambda _: None,
    ) -> Encoded:
        """See Encoder. A video that can be streamed needs no room on the disk."""
        try:
            return self._encode(video, mp3, options, on_progress, on_tracks=on_tracks)
        except OSError as error:
            if error.errno not in _NO_ROOM:
                raise
            raise AttemptFailed(f"the disk is full: {error}", code="resource-limit") from error

    def _encode(
        self, video: Video, mp3: BinaryIO, options: Options, on_progress: Progress, *, on_tracks: OnTracks
    ) -> Encoded:
        if not video.size:
            raise EmptyFile
        try:
            sniffing.refuse_other_than_media(video.read(0, sniffing.SNIFFED_BYTES))
        except sniffing.UnsupportedMedia as refusal:
            raise UnsupportedMedia(refusal.detail) from refusal
        if stream := as_stream(video):
            try:
                return self._encode_streamed(video, stream, mp3, options, on_progress, on_tracks=on_tracks)
            except Unproved:
                # Either ffmpeg must seek in it, or something is wrong with it. The file will tell.
                pass
        with tempfile.TemporaryFile() as file:  # it has no name: whatever ends this process, nothing stays on the disk
            _fetch(video, file, lambda done: on_progress(_FETCHED * done))
            container = read_container(_reader(file), video.size)
            size = _repair(container, file, video.size)

            def on_rest(done: float) -> None:
                on_progress(_FETCHED + (1 - _FETCHED) * done)

            reading = Reading(lambda: file, container, size, on_rest, self._limits, on_tracks=on_tracks)
            return _encode(reading, mp3, options)

    def _encode_streamed(
        self,
        video: Video,
        stream: Callable[[], Iterator[bytes]],
        mp3: BinaryIO,
        options: Options,
        on_progress: Progress,
        *,
        on_tracks: OnTracks,
    ) -> Encoded:
        container = read_container(video.read, video.size)
        feeds: list[Feed] = []

        def source() -> Feed:
            feeds.append(Feed(stream()))
            return feeds[-1]

        reading = Reading(source, container, video.size, on_progress, self._limits, on_tracks=on_tracks)
        encoded = _encode(reading, mp3, options)
        # What ffmpeg did not read is read anyway: a conversion also finds out whether the stored video is damaged.
        for _ in feeds[reading.last_proof].rest:
            on_progress(1.0)
        return encoded


def _encode(reading: Reading, mp3: BinaryIO, options: Options) -> Encoded:
    container = reading.container
    if container.missing_bytes and options.damaged is Damaged.REFUSE:
        raise TruncatedMedia
    try:
        description = look(reading)
    except (InvalidMedia, NoAudioTrack) as failed:
        if container.missing_bytes:
            raise TruncatedMedia from failed
        raise
    made = Maker(reading, description, options, mp3).make()
    extras = make_extras(reading, description, made, options)
    return Encoded(
        tag=extras.tag,
        facts=made.facts,
        loudness=made.loudness,
        method=made.method,
        video_duration_s=max(container.duration_s or 0.0, made.sound_s),
        tracks=description.tracks,
        choice=made.choice,
        chapters=extras.chapters,
        has_cover=extras.has_cover,
        notes=(*_about_the_file(container), *made.notes, *extras.notes),
    )


def _about_the_file(container: Container) -> Iterator[Note]:
    if container.is_unfinished:
        yield Note(
            "unfinished-recording",
            "The recorder stopped in the middle of this recording. It was converted as far as it goes.",
        )
    if container.missing_bytes:
        yield CUT_OFF


def _fetch(video: Video, file: BinaryIO, on_progress: Progress) -> None:
    """Write a video into a file."""
    fetched = 0
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


def _reader(file: BinaryIO) -> Callable[[int, int], bytes]:
    def read(start: int, end: int) -> bytes:
        file.seek(max(start, 0))
        return file.read(max(end - start, 0))

    return read


def _repair(container: Container, file: BinaryIO, size: int) -> int:
    """Change a file so that ffmpeg finds all that is there. Returns its size."""
    if container.understated is not None:
        # A header that admits to less sound than there is: its sizes may have wrapped at 4 GiB.
        file.seek(0)
        if head := repaired_wav_header(file.read(_HEAD_BYTES), size):
            file.seek(0)
            file.write(head)
            file.flush()
    if container.kind == "mp4-fragmented" and container.is_unfinished:
        # Half an index of a fragment keeps ffmpeg from opening the file.
        last = max(all_boxes(_reader(file), size), key=lambda box: box.start)
        if last.kind == b"moof" and last.end > size:
            file.truncate(last.start)
            return last.start
    return size
