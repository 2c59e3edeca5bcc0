"""Tags of ID3v2, which may stand before sound, and between two files that were joined.

Source: https://id3.org/id3v2.4.0-structure, 3.1.
"""

HEADER_BYTES = 10
_HAS_FOOTER = 0x10


def tag_bytes(header: bytes) -> int:
    """Return how long the tag is that begins with these bytes, or 0 if none does."""
    if len(header) < HEADER_BYTES or header[:3] != b"ID3" or max(header[6:HEADER_BYTES]) > 0x7F:
        return 0
    length = sum(byte << 7 * (3 - number) for number, byte in enumerate(header[6:HEADER_BYTES]))
    return HEADER_BYTES + length + (HEADER_BYTES if header[5] & _HAS_FOOTER else 0)
