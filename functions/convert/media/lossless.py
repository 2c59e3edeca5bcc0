"""Reads FLAC, TTA 1 and WavPack 4 and 5, which tell how many samples they have.

Sources: https://www.rfc-editor.org/rfc/rfc9639, "True Audio Codec Format" of http://tausoft.org, and
https://www.wavpack.com/WavPack5FileFormat.pdf.
"""

from functions.convert.media.findings import Container, Soundtrack
from functions.convert.media.limits import MAX_TABLE_BYTES
from functions.convert.media.source import PastTheEnd, Source

_MOST_BLOCKS = 1000
_SEEK_TABLE = 3
_SEEK_POINT_BYTES = 18

_WAVPACK_RATES_HZ = (
    *(6000, 8000, 9600, 11_025, 12_000, 16_000, 22_050, 24_000, 32_000, 44_100, 48_000, 64_000, 88_200, 96_000),
    192_000,
)
_WAVPACK_HEAD = "<4sIHBBIIIII"
_WAVPACK_TAIL_BYTES = 2 * 1024 * 1024
_WAVPACK_BLOCK_MAX_BYTES = 1024 * 1024
_WAVPACK_DSD = 1 << 31
_WAVPACK_CUSTOM_RATE = 0x27


def read_flac(source: Source, start: int) -> Container:
    """Say how many seconds of samples the head promises. It does not tell how many bytes they have.

    Only a table to seek by may prove that the file was cut off.
    """
    rate = total = points_end = 0
    position = start + 4
    for _ in range(_MOST_BLOCKS):
        kind = source.unpack("B", position)[0]
        length = int.from_bytes(source.read(position + 1, position + 4), "big")
        body = position + 4
        if kind & 0x7F == 0:
            packed = source.unpack(">Q", body + 10)[0]
            rate, total = packed >> 44, packed & 0xF_FFFF_FFFF
        elif kind & 0x7F == _SEEK_TABLE:
            table = source.read(body, body + length)
            points = (table[at : at + 16] for at in range(0, len(table) - _SEEK_POINT_BYTES + 1, _SEEK_POINT_BYTES))
            used = (int.from_bytes(point[8:], "big") for point in points if point[:8] != b"\xff" * 8)
            points_end = max(used, default=0)
        position = body + length
        if kind & 0x80:
            break
    duration = total / rate if rate and total else None
    is_cut = position > source.size or (points_end > 0 and position + points_end >= source.size)
    return Container("flac", duration, is_cut, soundtracks=(Soundtrack("flac", duration),))


def read_tta(source: Source, start: int) -> Container:
    """Say how long the sound is, and whether all of its frames are in the file, whose sizes stand in a table."""
    *_, rate, total = source.unpack("<4s3HII", start)
    duration = total / rate if rate else None
    frame_samples = 256 * rate // 245
    frames = -(-total // frame_samples) if frame_samples else 0
    table = start + 22
    if frames * 4 > min(MAX_TABLE_BYTES, source.size):
        return Container("tta", duration, missing_bytes=True)
    sizes = source.unpack(f"<{frames}I", table)
    is_cut = table + 4 * frames + 4 + sum(sizes) > source.size
    return Container("tta", duration, is_cut, soundtracks=(Soundtrack("tta", duration, frames),))


def read_wavpack(source: Source, start: int) -> Container:
    """Say how long the sound is, and whether the last block is the last one of the sound."""
    _, length, version, index_high, total_high, low, *_, flags, _ = source.unpack(_WAVPACK_HEAD, start)
    rate = _wavpack_rate(source, start, length, flags)
    total = low + (total_high << 32) - total_high if version >= 0x410 else low
    if low == 0xFFFFFFFF or index_high:  # a recorder did not come back to write it, or the start is missing
        return Container("wavpack", soundtracks=(Soundtrack("wavpack"),))
    duration = total / rate if rate else None
    soundtrack = Soundtrack("wavpack", duration)
    return Container("wavpack", duration, _wavpack_is_cut(source, start, total), soundtracks=(soundtrack,))


def _wavpack_rate(source: Source, start: int, length: int, flags: int) -> int:
    """Return the sampling rate in Hz; 0 if it is not known, as that of one-bit sound."""
    if flags & _WAVPACK_DSD:
        return 0
    number = flags >> 23 & 0xF
    if number < len(_WAVPACK_RATES_HZ):
        return _WAVPACK_RATES_HZ[number]
    data = source.read(start + 32, start + 8 + min(length, _WAVPACK_BLOCK_MAX_BYTES))
    at = 0
    while at + 2 <= len(data):
        # The lengths of these parts count words of 2 bytes; the highest bit of a name adds 2 bytes to its length.
        is_long = data[at] & 0x80
        words = int.from_bytes(data[at + 1 : at + (4 if is_long else 2)], "little")
        body = at + (4 if is_long else 2)
        if data[at] & 0x3F == _WAVPACK_CUSTOM_RATE:
            return int.from_bytes(data[body : body + 3], "little")
        at = body + 2 * words
    return 0


def _wavpack_is_cut(source: Source, start: int, total: int) -> bool:
    begin = max(source.size - _WAVPACK_TAIL_BYTES, start)
    tail = source.read(begin, source.size)
    at = tail.rfind(b"wvpk")
    while at >= 0:
        try:
            _, length, version, high, _, _, index, samples, _, _ = source.unpack(_WAVPACK_HEAD, begin + at)
        except PastTheEnd:
            return True
        if 24 <= length <= _WAVPACK_BLOCK_MAX_BYTES and 0x402 <= version <= 0x410:
            is_last = not samples or (high << 32) + index + samples >= total
            return not is_last or begin + at + 8 + length > source.size
        at = tail.rfind(b"wvpk", 0, at)
    return begin > start
