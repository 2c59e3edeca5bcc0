"""Reads what stands in the first frame of an MP3 about all of them: the headers that Xing, LAME and Fraunhofer write.

Sources: ISO/IEC 11172-3, 2.4.1.3 (frames), and the description of the VBR headers at
https://www.codeproject.com/Articles/8295/MPEG-Audio-Frame-Header.
"""

from functions.convert.media.findings import Container, Soundtrack
from functions.convert.media.source import Source
from functions.convert.mp3.frames import HEADER_BYTES, Frame, mpeg_frame_of, read_info

_SOUGHT_BYTES = 64 * 1024
_ID3V1_BYTES = 128
# So much sound behind the last counted frame is another file that was appended.
_APPENDED_BYTES = 16 * 1024


def read_mp3(source: Source, start: int) -> Container:
    """Say how long the first frame promises the sound to be, and whether there are as many bytes.

    What ID3 puts before the sound ends at `start`.
    """
    head = source.read(start, start + _SOUGHT_BYTES)
    found = _first_frame(head)
    if found is None:
        return Container()
    at, frame = found
    kind = f"mp{frame.layer}"
    position = start + at
    frames, length, trimmed = _counts(head[at : at + frame.bytes], frame)
    sound_end = position + length
    # Some encoders count the tags before and behind the sound, which other programs remove.
    is_cut = sound_end > source.size and sound_end - source.size != _ID3V1_BYTES and length != source.size
    duration = None
    if frames and not _is_appended(source, sound_end if length else None):
        duration = max(frames * frame.samples - trimmed, 0) / frame.sample_rate_hz
    return Container(kind, duration, is_cut, soundtracks=(Soundtrack(kind, duration, frames or None),))


def is_frame(data: bytes) -> bool:
    """Say whether a frame of MPEG audio begins here, as far as 4 bytes tell."""
    return mpeg_frame_of(data) is not None


def _first_frame(data: bytes) -> tuple[int, Frame] | None:
    """Return the first frame that another one of the same rate follows, or the end, and where it is."""
    at = data.find(b"\xff")
    while at >= 0:
        frame = mpeg_frame_of(data[at : at + HEADER_BYTES])
        if frame:
            end = at + frame.bytes
            after = mpeg_frame_of(data[end : end + HEADER_BYTES])
            if end + HEADER_BYTES > len(data) or (after and after.sample_rate_hz == frame.sample_rate_hz):
                return at, frame
        at = data.find(b"\xff", at + 1)
    return None


def _counts(data: bytes, frame: Frame) -> tuple[int, int, int]:
    """Return how many frames and bytes there are, and how many samples are not to be heard; 0 where it is not known.

    The bytes count from the start of this frame.
    """
    if frame.layer != 3:
        return 0, 0, 0
    if data[36:40] == b"VBRI":
        return _number(data, 50), _number(data, 46), 0
    info = read_info(data, frame)
    return (info.frames or 0, info.size or 0, sum(info.gaps or ())) if info else (0, 0, 0)


def _is_appended(source: Source, end: int | None) -> bool:
    """Say whether after the counted sound comes so much more that someone joined two files."""
    if end is None or source.size - end <= _APPENDED_BYTES:
        return False
    head = source.read(end, end + 4)
    return is_frame(head) or head.startswith(b"ID3")


def _number(data: bytes, at: int) -> int:
    return int.from_bytes(data[at : at + 4], "big")
