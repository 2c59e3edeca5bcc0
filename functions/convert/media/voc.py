"""Reads Creative Voice files: blocks of sound, of which one without a type ends the file.

Source: http://www.shikadi.net/moddingwiki/VOC_Format.
"""

from functions.convert.media.findings import Container, Soundtrack
from functions.convert.media.source import Source

VOC_HEAD = b"Creative Voice File\x1a"
_HEADER_LENGTH_AT = 20
_BLOCK_HEAD_BYTES = 4
_MOST_BLOCKS = 1_000_000
_END, _SOUND, _MORE_SOUND, _NEW_SOUND = 0, 1, 2, 9
_BYTES_PER_SAMPLE = {0: 1, 4: 2}


def read_voc(source: Source) -> Container:
    """Say how long the sound is if it is plain samples. What lies behind the block that ends the file was sound, too.

    Nothing is stored behind that block, so if there is something, the block is what damage has left of another.
    """
    position = source.unpack("<H", _HEADER_LENGTH_AT)[0]
    rate = sound_bytes = 0
    is_plain = True
    for _ in range(_MOST_BLOCKS):
        if position >= source.size:
            break
        kind = source.unpack("B", position)[0]
        if kind == _END:
            sound_bytes += source.size - position - 1
            break
        body = position + _BLOCK_HEAD_BYTES
        length = int.from_bytes(source.read(position + 1, body), "little")
        if body + length > source.size:
            return Container("voc", missing_bytes=True, soundtracks=(Soundtrack(is_cut=True),))
        if kind == _SOUND:
            divisor, codec = source.unpack("BB", body)
            rate, is_plain = 1_000_000 // (256 - divisor), is_plain and codec in _BYTES_PER_SAMPLE
            rate *= _BYTES_PER_SAMPLE.get(codec, 1)
            sound_bytes += length - 2
        elif kind == _NEW_SOUND:
            hertz, bits, channels, codec = source.unpack("<IBBH", body)
            rate, is_plain = hertz * channels * bits // 8, is_plain and codec in _BYTES_PER_SAMPLE
            sound_bytes += length - 12
        elif kind == _MORE_SOUND:
            sound_bytes += length
        else:
            # Pauses and loops make it longer or shorter than its bytes.
            is_plain = False
        position = body + length
    duration = sound_bytes / rate if rate and is_plain else None
    return Container("voc", duration, soundtracks=(Soundtrack(duration_s=duration),))
