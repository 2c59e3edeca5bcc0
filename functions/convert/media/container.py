"""Is a file whole, how long does it say its sound is, and what of it is encrypted?

ffmpeg reads a file that was cut off to where it ends, and calls that success. So the structure of the file is asked
first: its index, its tables and the lengths in its headers. Formats that have none (MPEG-TS, ADTS) promise nothing.
"""

from collections.abc import Callable

from functions.convert.media.asf import ASF_HEAD, read_asf
from functions.convert.media.avi import read_avi
from functions.convert.media.boxes import is_box
from functions.convert.media.ebml import EBML
from functions.convert.media.findings import Container, Soundtrack
from functions.convert.media.flv import read_flv
from functions.convert.media.iff import read_aiff, read_au, read_caf
from functions.convert.media.lossless import read_flac, read_tta, read_wavpack
from functions.convert.media.matroska import read_matroska
from functions.convert.media.mp4 import read_mp4
from functions.convert.media.mpeg_audio import is_frame, read_mp3
from functions.convert.media.mxf import PARTITION, read_mxf
from functions.convert.media.ogg import read_ogg
from functions.convert.media.riff import RIFF_KINDS, W64_HEAD, read_w64, read_wav
from functions.convert.media.source import PastTheEnd, Source
from functions.convert.media.voc import VOC_HEAD, read_voc
from functions.convert.mp3 import id3v2
from functions.convert.video import Read

__all__ = ["Container", "Soundtrack", "read_container"]

_HEAD_BYTES = 1024

_PLAIN_READERS: dict[str, Callable[[Source], Container]] = {
    "mp4": read_mp4,
    "matroska": read_matroska,
    "ogg": read_ogg,
    "wav": read_wav,
    "rf64": read_wav,
    "w64": read_w64,
    "avi": read_avi,
    "flv": read_flv,
    "asf": read_asf,
    "aiff": read_aiff,
    "au": read_au,
    "caf": read_caf,
    "mxf": read_mxf,
    "voc": read_voc,
}
# Formats before which a tag of ID3 may stand.
_TAGGED_READERS: dict[str, Callable[[Source, int], Container]] = {
    "mp3": read_mp3,
    "flac": read_flac,
    "tta": read_tta,
    "wavpack": read_wavpack,
}
_MAGIC: tuple[tuple[bytes, str], ...] = (
    (EBML, "matroska"),
    (b"OggS", "ogg"),
    (W64_HEAD, "w64"),
    (b"FLV\1", "flv"),
    (ASF_HEAD, "asf"),
    (b".snd", "au"),
    (b"caff", "caf"),
    (b"fLaC", "flac"),
    (VOC_HEAD, "voc"),
    (b"TTA1", "tta"),
    (b"wvpk", "wavpack"),
    (b"\0\0\1\xba", "mpeg-ps"),
    (b"\x0b\x77", "ac3"),
    (b".RMF", "rm"),
    (b"#!AMR", "amr"),
)


def read_container(read: Read, size: int) -> Container:
    """Say what the structure of a file of `size` bytes promises, and whether its sound is in it.

    An ordinary file takes a few reads. Raises InvalidMedia for one whose structure asks for absurdly many.
    """
    source = Source(read, size)
    start = id3v2.end_of_tags(source.read)
    kind = _kind(source.read(start, start + _HEAD_BYTES))
    if not kind and PARTITION in source.read(0, 65_536):
        kind = "mxf"
    try:
        if plain := _PLAIN_READERS.get(kind):
            # A tag before such a file is not part of it, so all its positions count from behind it.
            return plain(source if not start else source.beginning_at(start))
        # What a tagger or an editor leaves before the first frame is skipped.
        if tagged := _TAGGED_READERS.get(kind or ("mp3" if start else "")):
            return tagged(source, start)
    except PastTheEnd:
        return Container(kind, missing_bytes=True)
    return Container(kind)


def _kind(head: bytes) -> str:
    """Return which reader a file with this head needs; empty if there is none and nothing else is known."""
    if is_box(head):
        return "mp4"
    if head[:4] in RIFF_KINDS:
        if head[8:12] == b"WAVE":
            return "wav" if head[:4] in {b"RIFF", b"RIFX"} else "rf64"
        return "avi" if head[8:12] in {b"AVI ", b"AMV "} else ""
    if head[:4] == b"FORM":
        return "aiff" if head[8:12] in {b"AIFF", b"AIFC"} else ""
    for magic, kind in _MAGIC:
        if head.startswith(magic):
            return kind
    if head.startswith(PARTITION):
        return "mxf"
    return _kind_of_frames(head)


def _kind_of_frames(head: bytes) -> str:
    for offset, width in ((0, 188), (4, 192), (0, 204)):
        # A packet of a transport stream begins with this byte.
        if len(head) > offset + 2 * width and all(head[offset + width * number] == 0x47 for number in range(3)):
            return "mpeg-ts"
    if len(head) > 2 and head[0] == 0xFF and head[1] & 0xF6 == 0xF0:
        return "adts"
    return "mp3" if is_frame(head[:4]) else ""
