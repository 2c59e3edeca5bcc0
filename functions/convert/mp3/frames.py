"""The frames of an MP3, one after the other, and the Info frame before them, which tells players the length.

The layout of frames is that of ISO/IEC 11172-3, 2.4.1.3, and 13818-3; MPEG 2.5 extends it to lower sample rates.
"""

import functools
import io
from collections.abc import Iterator
from typing import BinaryIO, NamedTuple

HEADER_BYTES = 4
# 320 kbit/s at 32 kHz or 160 kbit/s at 8 kHz, with padding.
LONGEST_FRAME_BYTES = 1441
LAME_BYTES = 36
# A decoder needs this many samples before its output begins, which the delay in LAME's part leaves out.
DECODER_DELAY = 529

# By MPEG-1 or a later one, and layer: ISO/IEC 11172-3, 2.4.2.3, and 13818-3, 2.4.2.3. The first is free format.
_BIT_RATES_KBPS = {
    (True, 1): (0, 32, 64, 96, 128, 160, 192, 224, 256, 288, 320, 352, 384, 416, 448),
    (True, 2): (0, 32, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384),
    (True, 3): (0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320),
    (False, 1): (0, 32, 48, 56, 64, 80, 96, 112, 128, 144, 160, 176, 192, 224, 256),
    (False, 2): (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
    (False, 3): (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
}
_SAMPLE_RATES_HZ = {3: (44_100, 48_000, 32_000), 2: (22_050, 24_000, 16_000), 0: (11_025, 12_000, 8_000)}
_CHUNK_BYTES = 1 << 20
_HAS_FRAMES, _HAS_BYTES, _HAS_CONTENTS, _HAS_QUALITY = 1, 2, 4, 8


class BrokenMp3(Exception):
    """Raised when a file is not MP3 frames, one after the other, to its last byte."""


class Mp3Facts(NamedTuple):
    """What the frames say.

    `bit_rate_bps` is the average. `frames` does not count the Info frame. `delay` and `padding` are the numbers of
    samples that LAME's part of the Info frame gives, 0 where it has none. `samples`, for each channel, and
    `duration_s` are what a player that heeds them plays.
    """

    duration_s: float
    bit_rate_bps: int
    sample_rate_hz: int
    channels: int
    frames: int
    delay: int
    padding: int
    samples: int


class Frame(NamedTuple):
    """What a frame's header says: its length with the header, and how many samples it gives for each channel."""

    bytes: int
    samples: int
    bit_rate_bps: int
    sample_rate_hz: int
    channels: int
    side_info_bytes: int
    layer: int


class Info(NamedTuple):
    """What a Xing or Info frame says about the frames that follow. `size`, in bytes, counts from its own start.

    `is_complete` says that it has all that players look for: the numbers of frames and bytes, a table of contents and
    a quality. `lame` is LAME's part as it stands in the file, or empty.
    """

    frames: int | None
    size: int | None
    quality: int
    is_complete: bool
    lame: bytes

    @property
    def gaps(self) -> tuple[int, int] | None:
        """How many samples the encoder put before and after the sound, or None if it does not say."""
        if not self.lame:
            return None
        both = int.from_bytes(self.lame[21:24], "big")
        return both >> 12, both & 0xFFF


def frame_of(header: bytes) -> Frame | None:
    """Return what these four bytes say, or None if they do not begin a frame of an MP3: layer III."""
    frame = mpeg_frame_of(header)
    return frame if frame and frame.layer == 3 else None


# A stream has a few dozen different headers, so each is looked at once.
@functools.lru_cache(maxsize=4096)
def mpeg_frame_of(header: bytes) -> Frame | None:
    """Return what these four bytes say, or None if they do not begin a frame of MPEG audio of any layer.

    A frame in free format, whose header does not give its length, is None too.
    """
    if len(header) < HEADER_BYTES or header[0] != 0xFF or header[1] & 0xE0 != 0xE0:
        return None
    version, layer = header[1] >> 3 & 3, 4 - (header[1] >> 1 & 3)
    bit_rate, sample_rate, padding = header[2] >> 4, header[2] >> 2 & 3, header[2] >> 1 & 1
    if version == 1 or layer == 4 or bit_rate in (0, 15) or sample_rate == 3:
        return None
    mpeg1 = version == 3
    mono = header[3] >> 6 == 3
    bps = _BIT_RATES_KBPS[mpeg1, layer][bit_rate] * 1000
    hertz = _SAMPLE_RATES_HZ[version][sample_rate]
    samples = 384 if layer == 1 else 576 if layer == 3 and not mpeg1 else 1152
    slot = 4 if layer == 1 else 1
    length = (samples // 8 // slot * bps // hertz + padding) * slot
    side_info = 0 if layer < 3 else (17 if mono else 32) if mpeg1 else (9 if mono else 17)
    return Frame(length, samples, bps, hertz, 1 if mono else 2, side_info, layer)


def walk(mp3: BinaryIO) -> Iterator[tuple[int, Frame]]:
    """Give the position of each frame from the first byte on, and what its header says.

    Raises:
        BrokenMp3: something between the frames or at the end is no frame. All before it have been given; of a
            frame that is cut off, the header has been given too.
    """
    mp3.seek(0)
    data, start, position = b"", 0, 0
    while True:
        chunk = mp3.read(_CHUNK_BYTES)
        data, start, position = data[position:] + chunk, start + position, 0
        end = len(data) - LONGEST_FRAME_BYTES if chunk else len(data)
        while position < end:
            frame = frame_of(data[position : position + HEADER_BYTES])
            if frame is None:
                raise BrokenMp3(f"There is no frame of an MP3 at byte {start + position}.")
            yield start + position, frame
            position += frame.bytes
        if position > len(data):
            raise BrokenMp3("The last frame is cut off.")
        if not chunk:
            return


def read_info(data: bytes, frame: Frame) -> Info | None:
    """Return what the Xing or Info frame at the start of `data` says, or None if the frame is an ordinary one.

    The layout: http://gabriel.mp3-tech.org/mp3infotag.html
    """
    rest = io.BytesIO(data[HEADER_BYTES + frame.side_info_bytes : frame.bytes])
    if rest.read(4) not in (b"Xing", b"Info"):
        return None
    flags = int.from_bytes(rest.read(4), "big")
    lengths = {_HAS_FRAMES: 4, _HAS_BYTES: 4, _HAS_CONTENTS: 100, _HAS_QUALITY: 4}
    fields = {flag: rest.read(length) for flag, length in lengths.items() if flags & flag}
    lame = rest.read(LAME_BYTES)
    # It begins with the encoder's name. Encoders that know nothing of this part leave zeros or noise there.
    has_name = len(lame) == LAME_BYTES and all(0x20 < character < 0x7F for character in lame[:4])
    return Info(
        frames=int.from_bytes(fields[_HAS_FRAMES], "big") if _HAS_FRAMES in fields else None,
        size=int.from_bytes(fields[_HAS_BYTES], "big") if _HAS_BYTES in fields else None,
        quality=int.from_bytes(fields.get(_HAS_QUALITY, b""), "big"),
        is_complete=all(len(fields.get(flag, b"")) == length for flag, length in lengths.items()),
        lame=lame if has_name else b"",
    )


def count_facts(first: Frame, frames: int, samples: int, size: int, gaps: tuple[int, int] | None) -> Mp3Facts:
    """Return the facts of `frames` frames with `samples` samples in `size` bytes, the Info frame not counted."""
    delay, padding = gaps or (0, 0)
    heard = samples
    if gaps:
        heard = max(samples - delay - max(padding, DECODER_DELAY), 0)
    bit_rate = round(size * 8 * first.sample_rate_hz / samples) if samples else 0
    return Mp3Facts(
        duration_s=heard / first.sample_rate_hz,
        bit_rate_bps=bit_rate,
        sample_rate_hz=first.sample_rate_hz,
        channels=first.channels,
        frames=frames,
        delay=delay,
        padding=padding,
        samples=heard,
    )


def read_mp3(mp3: BinaryIO) -> Mp3Facts:
    """Walk through all frames of an MP3 without tags.

    Raises:
        BrokenMp3: something between the frames or at the end is no frame, or the Info frame, with which
            players tell the length, is missing or counts other frames.
    """
    mp3.seek(0)
    head = mp3.read(LONGEST_FRAME_BYTES)
    first = frame_of(head[:HEADER_BYTES])
    if first is None:
        raise BrokenMp3("The file does not begin with a frame of an MP3." if head else "The file is empty.")
    info = read_info(head, first)
    if info is None or not info.is_complete:
        raise BrokenMp3("There is no Xing header.")
    frames = samples = end = 0
    for position, frame in walk(mp3):
        frames += 1
        samples += frame.samples
        end = position + frame.bytes
    frames -= 1
    if frames != info.frames:
        raise BrokenMp3(f"The Xing header counts {info.frames} frames, there are {frames}.")
    return count_facts(first, frames, samples - first.samples, end - first.bytes, info.gaps)
