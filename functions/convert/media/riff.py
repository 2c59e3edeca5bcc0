"""Reads WAV, RF64 and W64, whose sound is one chunk of bytes.

Sources: Microsoft's "Multimedia Programming Interface and Data Specifications 1.0", EBU Tech 3306 (RF64), and Sony's
W64, which has GUIDs in place of names and lengths of 64 bits.
"""

import struct
from dataclasses import dataclass

from functions.convert.media.findings import Container, Soundtrack
from functions.convert.media.source import Source

RIFF_KINDS = (b"RIFF", b"RIFX", b"RF64", b"BW64")
W64_HEAD = b"riff\x2e\x91\xcf\x11\xa5\xd6\x28\xdb\x04\xc1\x00\x00"

_W64_TAIL = bytes.fromhex("f3acd3118cd100c04f8edb8a")
_MOST_CHUNKS = 1000

_PCM, _ADPCM_MS, _FLOAT, _ALAW, _MULAW, _ADPCM_IMA, _EXTENSIBLE = 1, 2, 3, 6, 7, 0x11, 0xFFFE
_UNPACKED = {_PCM, _FLOAT, _ALAW, _MULAW}
# Where the end of a GUID in an extensible format says that its first two bytes are a format's number.
_MEDIA_GUID_TAIL = bytes.fromhex("000000001000800000aa00389b71")
_FIXED_RATE = {0x31, 0x40, 0x45, 0x64, 0x65, 0x28F}  # GSM, G.726, G.722

# What stands behind the sound and is no chunk.
_TAGS = (b"ID3", b"TAG", b"APETAGEX", b"LYRICSBEGIN")
_LOOKED_AT_BYTES = 4096


def is_open_length(length: int) -> bool:
    """Say whether a length of 32 bits is what writers leave that cannot seek back: to a pipe, or when they die."""
    return length == 0 or 0x7FFFF000 <= length <= 0x80000100 or length >= 0xFFFFF000


@dataclass(slots=True)
class _Format:
    """What `fmt ` says. `samples` are those of a block, 0 if unknown."""

    tag: int = 0
    rate_hz: int = 0
    byte_rate: int = 0
    block_bytes: int = 0
    samples: int = 0

    def duration_s(self, length: int) -> float | None:
        """Return how long so many bytes of sound are, or None if the format has no fixed rate."""
        if self.rate_hz and self.block_bytes and self.samples:
            return length // self.block_bytes * self.samples / self.rate_hz
        return length / self.byte_rate if self.byte_rate and self.tag in _FIXED_RATE else None


@dataclass(slots=True)
class _Wave:
    """A file of chunks, as far as it was read. `length` is that of the data, None if it has none of its own."""

    format: _Format | None = None
    fact: int = 0
    data: int | None = None
    length: int | None = None


def read_wav(source: Source) -> Container:
    """Say how long the data chunk is, and whether it ends within the file.

    The length of RIFF itself is often wrong by a few bytes, so it does not count. Sizes that a writer left open promise
    nothing. Neither does a size after which sound goes on: see `understated`.
    """
    order = ">" if source.read(0, 4) == b"RIFX" else "<"
    kind = "wav" if source.read(0, 4) in {b"RIFF", b"RIFX"} else "rf64"
    wave = _Wave()
    long_length: int | None = None
    position = 12
    for _ in range(_MOST_CHUNKS):
        name, length = source.unpack(order + "4sI", position)
        body = position + 8
        if name == b"ds64":
            long_length = source.unpack("<Q", body + 8)[0]
        elif name == b"fmt ":
            wave.format = _read_format(source.read(body, body + min(length, 64)), order)
        elif name == b"fact":
            wave.fact = source.unpack(order + "I", body)[0]
        elif name == b"data":
            wave.data = body
            if kind == "rf64" and length == 0xFFFFFFFF and long_length is not None:
                wave.length = long_length if 0 < long_length < 2**63 else None
            elif not is_open_length(length) or 0 < length <= source.size - body:
                wave.length = length
            break
        position = body + length + length % 2
    return _described(kind, source, wave)


def read_w64(source: Source) -> Container:
    """Say how long the data chunk of a W64 is, and whether it ends within the file."""
    wave = _Wave()
    position = 40
    for _ in range(_MOST_CHUNKS):
        name, tail, length = source.unpack("<4s12sQ", position)
        body = position + 24
        if name == b"fmt " and tail == _W64_TAIL:
            wave.format = _read_format(source.read(body, body + 64), "<")
        elif name == b"fact" and tail == _W64_TAIL:
            wave.fact = source.unpack("<Q", body)[0]
        elif name == b"data" and tail == _W64_TAIL:
            wave.data = body
            wave.length = length - 24 if 24 < length < 2**63 - 1 else None
            break
        position += max(-(-length // 8) * 8, 24)
    return _described("w64", source, wave)


def repaired_wav_header(head: bytes, size: int) -> bytes | None:
    """Return the head of a WAV of `size` bytes with lengths that reach to the end of the file.

    `head` must reach to where the data begins at least; what is behind is returned as it is. None if it does not, or
    if it is not that of a WAV. Data of 4 GiB or more gets the length 0, which ffmpeg reads to the end.
    """
    if head[:4] != b"RIFF" or head[8:12] != b"WAVE":
        return None
    position = 12
    for _ in range(_MOST_CHUNKS):
        if position + 8 > len(head):
            return None
        name, length = struct.unpack_from("<4sI", head, position)
        if name == b"data":
            break
        position += 8 + length + length % 2
    else:
        return None
    repaired = bytearray(head)
    sound = size - position - 8
    struct.pack_into("<I", repaired, 4, min(size - 8, 0xFFFFFFFF) if size >= 8 else 0)
    struct.pack_into("<I", repaired, position + 4, sound if 0 <= sound < 0xFFFFF000 else 0)
    return bytes(repaired)


def _read_format(data: bytes, order: str) -> _Format:
    if len(data) < 16:
        return _Format()
    tag, channels, rate, byte_rate, block, bits = struct.unpack_from(order + "HHIIHH", data)
    if tag == _EXTENSIBLE and data[26:40] == _MEDIA_GUID_TAIL:
        tag = struct.unpack_from(order + "H", data, 24)[0]
    found = _Format(tag, rate, byte_rate, block)
    if tag in _UNPACKED:
        found.block_bytes, found.samples = block or channels * -(-bits // 8), 1
    elif tag in {_ADPCM_IMA, _ADPCM_MS} and len(data) >= 20:
        found.samples = struct.unpack_from(order + "H", data, 18)[0]
    return found


def _described(kind: str, source: Source, wave: _Wave) -> Container:
    if wave.data is None:
        return Container(kind)
    sound = wave.format or _Format()
    there = max(source.size - wave.data, 0)
    if wave.length is None:
        return Container(kind, soundtracks=(Soundtrack(_name(sound), samples=None if there else 0),))
    duration = sound.duration_s(wave.length)
    if kind == "wav" and _sound_goes_on(source, wave.data + wave.length, sound.byte_rate):
        return Container(kind, soundtracks=(Soundtrack(_name(sound)),), understated=there)
    if duration is not None and sound.samples > 1 and wave.fact:
        duration = min(duration, wave.fact / sound.rate_hz)  # the last block may be filled up
    samples = wave.length // sound.block_bytes if sound.samples and sound.block_bytes else None
    soundtrack = Soundtrack(_name(sound), duration, samples)
    return Container(kind, duration, missing_bytes=wave.length > there, soundtracks=(soundtrack,))


def _sound_goes_on(source: Source, end: int, byte_rate: int) -> bool:
    """Say whether what follows the data looks like more of it: it is long, and neither a chunk, a tag nor zeros.

    Lengths of 32 bits begin again at 4 GiB, and some recorders never write the last one.
    """
    left = source.size - end
    if left < max(byte_rate // 10, 64):
        return False
    for start in (end + end % 2, end):  # chunks begin at even positions, but some writers forget
        head = source.read(start, start + 16)
        length = int.from_bytes(head[4:8], "little")
        if head.startswith(_TAGS) or (head[:4].isascii() and head[:4].decode().isprintable() and length <= left):
            return False
    places = (end + left * part // 4 for part in range(4))
    return any(source.read(start, start + _LOOKED_AT_BYTES).strip(b"\0") for start in places)


def _name(found: _Format) -> str:
    return f"0x{found.tag:04x}" if found.tag else ""
