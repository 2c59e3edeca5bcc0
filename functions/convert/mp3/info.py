"""The Info frame of an MP3, written: how many frames follow, where to seek, and what players leave out.

The layout of the frame and of LAME's part of it: http://gabriel.mp3-tech.org/mp3infotag.html
"""

import struct
from typing import BinaryIO, NamedTuple

from functions.convert.mp3.frames import (
    DECODER_DELAY,
    HEADER_BYTES,
    LAME_BYTES,
    LONGEST_FRAME_BYTES,
    BrokenMp3,
    Frame,
    frame_of,
    read_info,
)

# The word Xing, flags, frames, bytes, 100 entries of contents, quality.
_INFO = struct.Struct(">4s3I100sI")
_HAS_ALL = 0x0F
_LARGEST_FIELD = (1 << 12) - 1
# LAME's part has details, the delay and the padding among them, then lengths and checksums, its own last.
DETAILS_BYTES = 28
_GAPS_AT, _CRC_AT = 21, 34


class Gapless(NamedTuple):
    """How many samples an encoder put before (`delay`) and after (`padding`) the sound, each at most 4095.

    A player skips the delay and the 529 samples of its decoder, and as much of the padding as the decoder has not
    already kept back. `frames` is how many frames this is true of, if that is known: the padding of a file that was
    cut is gone. `details` is the start of LAME's part as an encoder wrote it, which holds the encoder's name and the
    replay gain too, and `quality` the number before it.
    """

    delay: int
    padding: int
    frames: int | None = None
    # Players know this part by the name at its start.
    details: bytes = b"LAME".ljust(DETAILS_BYTES, b"\0")
    quality: int = 0

    @classmethod
    def skipping(cls, at_start: int, at_end: int) -> "Gapless | None":
        """Return what makes a player leave out so many decoded samples, or None if LAME's part has no room for it.

        This is how containers put it: an MP4 in its edit list, a Matroska file as CodecDelay and DiscardPadding.
        """
        delay, padding = at_start - DECODER_DELAY, at_end + DECODER_DELAY
        if delay not in range(_LARGEST_FIELD + 1) or padding not in range(DECODER_DELAY, _LARGEST_FIELD + 1):
            return None
        return cls(delay, padding)


class Stream(NamedTuple):
    """What a walk through all frames of a soundtrack found.

    `first` and its `header` are the first frame's. `contents` has the positions of the hundredths of the time.
    """

    header: bytes
    first: Frame
    frames: int
    samples: int
    size: int
    is_constant: bool
    contents: tuple[int, ...]


def info_frame(stream: Stream, gapless: Gapless | None, music_crc: int) -> bytes:
    """Return the Info frame, or the Xing frame if the bit rate varies, that goes before the frames of `stream`."""
    header, frame = _info_header(stream)
    size = frame.bytes + stream.size
    contents = bytes((frame.bytes + position) * 256 // size for position in stream.contents)
    word = b"Info" if stream.is_constant else b"Xing"
    quality = gapless.quality if gapless else 0
    start = header + bytes(frame.side_info_bytes)
    start += _INFO.pack(word, _HAS_ALL, stream.frames, size, contents, quality)
    if gapless:
        start += gapless.details[:_GAPS_AT] + _gaps(gapless.delay, gapless.padding) + gapless.details[_GAPS_AT + 3 :]
        start += struct.pack(">IH", size, music_crc)
        start += _crc(start).to_bytes(2, "big")
    return start.ljust(frame.bytes, b"\0")


def _info_header(stream: Stream) -> tuple[bytes, Frame]:
    """Return a header like that of the first frame, without a CRC, with a bit rate whose frames have enough room.

    That is the bit rate of the stream if it is constant, as some programs read it from the first frame alone.
    """
    needed = HEADER_BYTES + stream.first.side_info_bytes + _INFO.size + LAME_BYTES
    one, two, three, four = stream.header
    headers = [bytes((one, two | 1, index << 4 | three & 0x0C, four)) for index in range(1, 15)]
    roomy = [(header, frame) for header in headers if (frame := frame_of(header)) and frame.bytes >= needed]
    alike = [each for each in roomy if stream.is_constant and each[1].bit_rate_bps == stream.first.bit_rate_bps]
    return (alike or roomy)[0]


def set_padding(mp3: BinaryIO, samples: int) -> None:
    """Correct the padding in LAME's part of an MP3 without tags, so that players play this many samples.

    ffmpeg writes at most one frame and 529 samples, so that of two in fifty MP3s (one in twelve below 32 kHz) up to
    46 samples of padding are played.

    Raises:
        BrokenMp3: there is no such part, or the frames hold fewer samples, or more than a padding can be.
    """
    mp3.seek(0)
    head = mp3.read(LONGEST_FRAME_BYTES)
    frame = frame_of(head[:HEADER_BYTES])
    info = read_info(head, frame) if frame else None
    if frame is None or info is None or info.frames is None or info.gaps is None:
        raise BrokenMp3("There is no LAME tag.")
    delay, _ = info.gaps
    padding = info.frames * frame.samples - delay - samples
    if not DECODER_DELAY <= padding <= _LARGEST_FIELD:
        raise BrokenMp3(f"{info.frames} frames cannot hold {samples} samples and padding.")
    start = head.index(info.lame)
    changed = head[: start + _GAPS_AT] + _gaps(delay, padding) + head[start + _GAPS_AT + 3 : start + _CRC_AT]
    mp3.seek(0)
    mp3.write(changed + _crc(changed).to_bytes(2, "big"))


def _gaps(delay: int, padding: int) -> bytes:
    return (delay << 12 | padding).to_bytes(3, "big")


def _crc_table() -> tuple[int, ...]:
    table = []
    for byte in range(256):
        crc = byte
        for _ in range(8):
            crc = crc >> 1 ^ (0xA001 if crc & 1 else 0)
        table.append(crc)
    return tuple(table)


_CRC_TABLE = _crc_table()
# x has the order 32767 modulo the polynomial x^16 + x^15 + x^2 + 1, so bytes at this distance weigh the same.
_CRC_PERIOD_BYTES = 32_767


def _crc(data: bytes) -> int:
    """Return LAME's checksum: CRC-16 with the polynomial 0x8005, lowest bit first, from 0."""
    crc = 0
    for byte in data:
        crc = crc >> 8 ^ _CRC_TABLE[(crc ^ byte) & 0xFF]
    return crc


def music_crc(source: BinaryIO, size: int) -> int:
    """Return the checksum of the first `size` bytes.

    Whole periods are added up first, as integers, which takes a hundredth of the time that the table takes.
    """
    source.seek(0)
    added = 0
    for _ in range(size // _CRC_PERIOD_BYTES):
        added ^= int.from_bytes(source.read(_CRC_PERIOD_BYTES), "little")
    return _crc(added.to_bytes(_CRC_PERIOD_BYTES, "little") + source.read(size % _CRC_PERIOD_BYTES))
