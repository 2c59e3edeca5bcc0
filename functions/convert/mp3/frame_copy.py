"""An MP3 made of the frames that a file already holds, not one bit changed, behind an Info frame of its own."""

import io
import struct
from array import array
from collections.abc import Callable
from typing import BinaryIO

from functions.convert.mp3.frames import (
    HEADER_BYTES,
    LONGEST_FRAME_BYTES,
    BrokenMp3,
    Frame,
    Info,
    Mp3Facts,
    count_facts,
    frame_of,
    read_info,
    walk,
)
from functions.convert.mp3.id3v2 import end_of_tags
from functions.convert.mp3.info import DETAILS_BYTES, Gapless, Stream, info_frame, music_crc

_CHUNK_BYTES = 1 << 20
_MOST_POSITIONS = 1 << 14
_LARGEST_BYTES = (1 << 32) - 1
_ID3V1_BYTES, _APE_BYTES = 128, 32
_MOST_TAGS = 16
# How far the first frame may be from the end of the tags, as in ffmpeg.
_SEARCHED_BYTES = 1 << 16


class NotCopyable(Exception):
    """Raised when the sound cannot become an MP3 as it is, and has to be encoded again."""


class _Positions:
    """The positions of every nth frame: n doubles when they become too many, so memory does not grow with length."""

    def __init__(self) -> None:
        self._kept = array("Q")
        self._stride = 1
        self._count = 0

    def add(self, position: int) -> None:
        if self._count % self._stride == 0:
            if len(self._kept) == _MOST_POSITIONS:
                del self._kept[1::2]
                self._stride *= 2
            self._kept.append(position)
        self._count += 1

    def hundredths(self) -> tuple[int, ...]:
        """Return where to begin to read for 0 %, 1 % and so on to 99 % of the time."""
        return tuple(self._kept[hundredth * self._count // 100 // self._stride] for hundredth in range(100))


def copy_frames(source: BinaryIO, target: BinaryIO, gapless: Gapless | None) -> Mp3Facts:
    """Write an Info frame and then the frames of `source` to `target`, and return the facts of what was written.

    `source` is seekable and holds the packets of one soundtrack, one after the other. Tags at its end (ID3v1, APE) are
    left out. Some frames are copied because dropping them would move the sound that follows: a first frame that refers
    to bytes before it, as after a cut, which players mute as in the source, and an Info frame of the source, which
    decodes to silence. `target` need not be seekable. Without `gapless` the MP3 has no LAME part, and players play
    every sample of it, as they do in a container without such facts.

    Raises:
        NotCopyable: something is no frame of layer III, or of free format, or the sample rate or the number of
            channels changes, or the MP3 would have more than 4 GiB, which no Info frame can tell. Nothing was written.
    """
    stream = _survey(source)
    if gapless and gapless.frames not in (None, stream.frames):
        gapless = gapless._replace(padding=0)
    checksum = music_crc(source, stream.size) if gapless else 0
    target.write(info_frame(stream, gapless, checksum))
    source.seek(0)
    lengths = (min(_CHUNK_BYTES, stream.size - position) for position in range(0, stream.size, _CHUNK_BYTES))
    target.writelines(map(source.read, lengths))
    gaps = (gapless.delay, gapless.padding) if gapless else None
    return count_facts(stream.first, stream.frames, stream.samples, stream.size, gaps)


def find_gapless(read: Callable[[int, int], bytes], size: int) -> Gapless | None:
    """Return what LAME's part of an MP3's own Xing or Info frame says, or None if the MP3 has none.

    `read` gives so many bytes from a position, or fewer at the end; the file has `size` bytes.
    """
    start = end_of_tags(read)
    data = read(start, min(_SEARCHED_BYTES, max(size - start, 0)))
    info = _first_info(data)
    gaps = info.gaps if info else None
    if info is None or gaps is None:
        return None
    delay, padding = gaps
    # ffmpeg plays the padding if it is not told how many frames there are.
    return Gapless(delay, padding if info.frames else 0, info.frames, info.lame[:DETAILS_BYTES], info.quality)


def _survey(source: BinaryIO) -> Stream:
    positions, bit_rates = _Positions(), set[int]()
    first: Frame | None = None
    last: Frame | None = None
    frames = samples = end = 0
    try:
        for position, frame in walk(source):
            if frame is not last:
                first, last = first or frame, frame
                bit_rates.add(frame.bit_rate_bps)
                if (frame.sample_rate_hz, frame.channels) != (first.sample_rate_hz, first.channels):
                    raise NotCopyable(f"The sample rate or the number of channels changes at byte {position}.")
            positions.add(position)
            frames += 1
            samples += frame.samples
            end = position + frame.bytes
    except BrokenMp3 as error:
        if end != _start_of_tags(source):
            raise NotCopyable(str(error)) from error
    if first is None:
        raise NotCopyable("There is no frame.")
    if end > _LARGEST_BYTES - LONGEST_FRAME_BYTES:
        raise NotCopyable("The MP3 would have more than 4 GiB.")
    source.seek(0)
    header = source.read(HEADER_BYTES)
    return Stream(header, first, frames, samples, end, len(bit_rates) == 1, positions.hundredths())


def _first_info(data: bytes) -> Info | None:
    """Return what the first frame says, if it is an Info frame. A frame is one that another follows."""
    position = data.find(b"\xff")
    while position >= 0:
        frame = frame_of(data[position : position + HEADER_BYTES])
        if frame:
            after = position + frame.bytes
            following = frame_of(data[after : after + HEADER_BYTES])
            if following and following.sample_rate_hz == frame.sample_rate_hz:
                return read_info(data[position:after], frame)
        position = data.find(b"\xff", position + 1)
    return None


def _start_of_tags(source: BinaryIO) -> int:
    """Return where the ID3v1 and APE tags at the end begin, or the end if there are none.

    APE tags: https://wiki.hydrogenaud.io/index.php?title=APE_Tags_Header
    """
    end = source.seek(0, io.SEEK_END)
    for _ in range(_MOST_TAGS):
        source.seek(max(end - _ID3V1_BYTES, 0))
        tail = source.read(min(end, _ID3V1_BYTES))
        footer = tail[-_APE_BYTES:]
        if len(tail) == _ID3V1_BYTES and tail[:3] == b"TAG":
            end -= _ID3V1_BYTES
        elif len(footer) == _APE_BYTES and footer[:8] == b"APETAGEX":
            length, flags = struct.unpack_from("<I4xI", footer, 12)
            has_header = flags >> 31
            end = max(end - length - (_APE_BYTES if has_header else 0), 0)
        else:
            break
    return end
