"""Tags of ID3v2, which may stand before sound, and between two files that were joined.

Source: https://id3.org/id3v2.4.0-structure, 3.1.
"""

from collections.abc import Callable

HEADER_BYTES = 10
_MOST_TAGS = 8
_HAS_FOOTER = 0x10


def tag_bytes(header: bytes) -> int:
    """Return how long the tag is that begins with these bytes, or 0 if none does."""
    if len(header) < HEADER_BYTES or header[:3] != b"ID3" or max(header[6:HEADER_BYTES]) > 0x7F:
        return 0
    length = sum(byte << 7 * (3 - number) for number, byte in enumerate(header[6:HEADER_BYTES]))
    return HEADER_BYTES + length + (HEADER_BYTES if header[5] & _HAS_FOOTER else 0)


def end_of_tags(read: Callable[[int, int], bytes]) -> int:
    """Return where the last tag at the start of a file ends: 0 if there is none. `read` fits Read."""
    position = 0
    for _ in range(_MOST_TAGS):
        length = tag_bytes(read(position, position + HEADER_BYTES))
        if not length:
            break
        position += length
    return position
