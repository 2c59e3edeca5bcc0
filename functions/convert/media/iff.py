"""Reads AIFF, AU and CAF, whose sound is one chunk of bytes.

Sources: Apple's "Audio Interchange File Format AIFF-C" (1991) and "Apple Core Audio Format Specification 1.0", and
the manual page au(4) of Solaris.
"""

import math

from functions.convert.media.findings import Container, Soundtrack
from functions.convert.media.riff import is_open_length
from functions.convert.media.source import Source

_MOST_CHUNKS = 1000

# Samples of a packet, for the kinds of AIFF-C that count packets in place of samples.
_PACKETS = {b"ima4": 64, b"MAC3": 6, b"MAC6": 6, b"GSM ": 160, b"agsm": 160}
_UNPACKED = {b"NONE", b"twos", b"sowt", b"raw ", b"in24", b"in32", b"fl32", b"FL32", b"fl64", b"FL64", b"ulaw", b"alaw"}
_UNPACKED |= {b"ULAW", b"ALAW", b"23ni", b"42ni"}

# Bits of a sample, by the number of the encoding in an AU.
_AU_BITS = {1: 8, 2: 8, 3: 16, 4: 24, 5: 32, 6: 32, 7: 64, 23: 4, 24: 4, 25: 3, 26: 5, 27: 8}


def read_aiff(source: Source) -> Container:
    """Say how long the sound is: as its frames and its bytes promise, whichever is less."""
    codec, frames, frame_bytes, rate = b"NONE", 0, 0, 0.0
    sound: tuple[int, int] | None = None
    position = 12
    for _ in range(_MOST_CHUNKS):
        if source.size - position < 8:
            break
        name, length = source.unpack(">4sI", position)
        body = position + 8
        if name == b"COMM":
            channels, frames, bits = source.unpack(">HIH", body)
            rate = _extended(source.read(body + 8, body + 18))
            if length >= 22:
                codec = source.read(body + 18, body + 22)
            frame_bytes = channels * -(-bits // 8) if codec in _UNPACKED else 0
            frames *= _PACKETS.get(codec, 1 if codec in _UNPACKED else 0)
        elif name == b"SSND":
            sound = (body, length)
            if is_open_length(length) and not 0 < length <= source.size - body:
                break
        position = body + length + length % 2
    if sound is None:
        # An empty AIFF has no chunk of sound. One that was cut has none, either.
        return Container("aiff", missing_bytes=bool(frames) or position > source.size)
    start, length = sound
    is_open = is_open_length(length) and not 0 < length <= source.size - start
    if not is_open and frame_bytes:
        frames = min(frames or length, max(length - 8, 0) // frame_bytes)
    duration = frames / rate if rate > 0 and frames and not is_open else None
    soundtrack = Soundtrack(codec.decode("latin-1").strip(), duration)
    is_cut = not is_open and start + length > source.size
    return Container("aiff", duration, missing_bytes=is_cut, soundtracks=(soundtrack,))


def read_au(source: Source) -> Container:
    """Say how long the sound is. A size of 32 ones means until the end."""
    start, length, encoding, rate, channels = source.unpack(">5I", 4)
    there = source.size - start
    is_open = is_open_length(length) and not 0 < length <= there
    bits = _AU_BITS.get(encoding, 0) * channels
    duration = length * 8 / bits / rate if bits and rate and not is_open else None
    soundtrack = Soundtrack(str(encoding), duration)
    return Container("au", duration, missing_bytes=not is_open and length > there, soundtracks=(soundtrack,))


def read_caf(source: Source) -> Container:
    """Say how long the sound is. A recorder leaves the size -1 until it ends; then the sound has no promise."""
    rate, codec, packet_bytes, packet_frames = 0.0, b"", 0, 0
    valid_frames: int | None = None
    sound: tuple[int, int] | None = None
    position = 8
    for _ in range(_MOST_CHUNKS):
        if source.size - position < 12:
            break
        name, length = source.unpack(">4sq", position)
        body = position + 12
        if name == b"desc":
            rate, codec, _, packet_bytes, packet_frames = source.unpack(">d4s3I", body)
        elif name == b"pakt":
            valid_frames = source.unpack(">q", body + 8)[0]
        elif name == b"data":
            sound = (body, length)
        if length < 0:
            break
        position = body + length
    if sound is None:
        return Container("caf", missing_bytes=position > source.size)
    start, length = sound
    duration = None
    if math.isfinite(rate) and rate > 0 and length > 4:
        frames = (length - 4) // packet_bytes * packet_frames if packet_bytes else 0
        if valid_frames is not None and valid_frames > 0:
            frames = min(frames, valid_frames) or valid_frames
        duration = frames / rate if frames else None
    soundtrack = Soundtrack(codec.decode("latin-1").strip("\0 "), duration)
    is_cut = length > 0 and start + length > source.size
    return Container("caf", duration, missing_bytes=is_cut, soundtracks=(soundtrack,))


def _extended(data: bytes) -> float:
    """Return the value of a floating-point number of 80 bits; 0 if it is none that a rate could have."""
    exponent = int.from_bytes(data[:2], "big")
    if not 16383 <= exponent < 16383 + 63 or len(data) < 10:
        return 0.0
    return int.from_bytes(data[2:], "big") / 2.0 ** (63 - (exponent - 16383))
