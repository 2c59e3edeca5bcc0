"""Reads the first and the last tag of an FLV: Adobe's "Flash Video File Format Specification 10.1", annex E."""

import math
import struct

from functions.convert.media.findings import Container, Soundtrack
from functions.convert.media.source import PastTheEnd, Source

_SOUND, _PICTURES, _SCRIPT = 8, 9, 18
_ENCRYPTED = 0x20
_MOST_TAGS = 200
_METADATA_MAX_BYTES = 1024 * 1024

_CODECS = {
    0: "pcm",
    1: "adpcm",
    2: "mp3",
    3: "pcm_le",
    4: "nellymoser",
    5: "nellymoser",
    6: "nellymoser",
    7: "alaw",
    8: "mulaw",
    10: "aac",
    11: "speex",
    14: "mp3",
}
# Enhanced RTMP puts a name of four letters behind this: https://veovera.org/docs/enhanced/enhanced-rtmp-v2
_ENHANCED = 9


def read_flv(source: Source) -> Container:
    """Say how long the file promises to be, and whether its last tag is whole.

    Each tag tells its own length, so a file that ends within one is unfinished, unless its metadata gives a larger
    size of the file, which only a finished one has.
    """
    metadata = b""
    first_ms: int | None = None
    soundtrack: Soundtrack | None = None
    position = source.unpack(">I", 5)[0] + 4
    for _ in range(_MOST_TAGS):
        try:
            kind, length, stamp = _tag(source, position)
        except PastTheEnd:
            break
        body = position + 11
        if kind & 0x1F == _SCRIPT and not metadata:
            metadata = source.read(body, body + min(length, _METADATA_MAX_BYTES))
        elif kind & 0x1F in {_SOUND, _PICTURES} and length:
            data = source.read(body, body + 5) or b"\0"
            is_sound = kind & 0x1F == _SOUND
            if is_sound and not soundtrack:
                soundtrack = _soundtrack(data, is_encrypted=bool(kind & _ENCRYPTED))
            # What a decoder needs to know comes first, at time 0 wherever the media begin.
            if not _is_setup(data, is_sound=is_sound):
                first_ms = stamp if first_ms is None else min(first_ms, stamp)
                if is_sound:
                    break
        position = body + length + 4
    duration = _number(metadata, b"duration")
    if duration and first_ms and duration > first_ms / 1000:
        duration -= first_ms / 1000
    is_cut = not _last_tag_is_whole(source)
    was_longer = is_cut and (_number(metadata, b"filesize") or 0) > source.size
    return Container(
        "flv", duration, was_longer, is_cut and not was_longer, soundtracks=(soundtrack,) if soundtrack else ()
    )


def _tag(source: Source, position: int) -> tuple[int, int, int]:
    """Return the kind of a tag, its length in bytes, and its time in milliseconds."""
    head = source.unpack(">11B", position)
    return head[0], int.from_bytes(head[1:4], "big"), int.from_bytes([head[7], *head[4:7]], "big")


def _soundtrack(data: bytes, *, is_encrypted: bool) -> Soundtrack:
    number = data[0] >> 4 if data else -1
    codec = data[1:5].decode("latin-1").strip("\0 ") if number == _ENHANCED else _CODECS.get(number, "")
    return Soundtrack(codec, encryption="Encryption" if is_encrypted else "")


def _is_setup(data: bytes, *, is_sound: bool) -> bool:
    """Say whether a tag of AAC, AVC or HEVC holds no media, which its first bytes tell."""
    if not is_sound and data[0] & 0x80:
        return data[0] & 0xF in {0, 4}
    codec = data[0] >> 4 if is_sound else data[0] & 0xF
    if is_sound and codec == _ENHANCED:
        return data[0] & 0xF == 0
    return codec in ({10} if is_sound else {7, 12}) and data[1:2] == b"\0"


def _number(metadata: bytes, name: bytes) -> float | None:
    """Return the value of this name, if it is a positive number: AMF 0 gives it a type of 0 and 8 bytes."""
    key = struct.pack(">H", len(name)) + name + b"\0"
    at = metadata.find(key)
    value = metadata[at + len(key) : at + len(key) + 8]
    if at < 0 or len(value) < 8:
        return None
    number: float = struct.unpack(">d", value)[0]
    return number if math.isfinite(number) and number > 0 else None


def _last_tag_is_whole(source: Source) -> bool:
    """Say whether the file ends with the length of its last tag, 11 bytes of header included."""
    length = int.from_bytes(source.read(source.size - 4, source.size), "big")
    start = source.size - 4 - length
    if start < 9:
        return source.size == 13 and length == 0
    return length == 11 + int.from_bytes(source.read(start + 1, start + 4), "big")
