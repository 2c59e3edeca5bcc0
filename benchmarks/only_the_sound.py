"""How much memory the page takes to take the sound out of a huge video: python -m benchmarks.only_the_sound [GiB].

The page's code runs in Node here. The files are sparse: of their pictures there are only holes.
"""

import os
import struct
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from rich.console import Console
from rich.table import Table

from tests.extractor import running_extractor
from tests.inputs.making import boxes
from tests.media import ffmpeg

_MIB = 1024 * 1024
_LIMIT_MB = 200.0
_SECONDS = 7200
_CLUSTER = bytes.fromhex("1f43b675")
_SEGMENT = bytes.fromhex("18538067")
_UNKNOWN = bytes.fromhex("01ffffffffffffff")
_SOUND = bytes(range(256)) * 2
_PACKETS_PER_S = 47


def main(gibibytes: float = 10.0) -> int:
    """Return the exit status: 1 if the memory grew by more than it may."""
    console = Console()
    size = int(gibibytes * 1024**3)
    table = Table("file", "bytes", "sent", "seconds", "memory grew by", title="Only the sound")
    is_good = True
    with tempfile.TemporaryDirectory() as folder, running_extractor() as extractor:
        small = Path(folder, "small.mp4")
        ffmpeg("-f", "lavfi", "-i", "testsrc=size=64x64:rate=1", "-f", "lavfi", "-i", "sine", "-t", "1", str(small))
        # The memory of Node itself, and of code that has run once.
        before = extractor.extract(small, Path(folder, "sound"))["peak"]
        makers: list[tuple[str, Callable[[Path, int], None]]] = [("mp4", make_mp4), ("mkv", make_mkv), ("ts", make_ts)]
        for ending, make in makers:
            video, sound = Path(folder, f"video.{ending}"), Path(folder, "sound")
            make(video, size)
            began = time.monotonic()
            answer = extractor.extract(video, sound)
            assert answer["extracted"], (ending, answer)
            grown_mb = (answer["peak"] - before) / _MIB
            is_good &= grown_mb <= _LIMIT_MB
            sent = sound.stat().st_size
            seconds = f"{time.monotonic() - began:.1f}"
            table.add_row(ending, f"{video.stat().st_size:,}", f"{sent:,}", seconds, f"{grown_mb:.0f} MB")
            video.unlink()
    console.print(table)
    return 0 if is_good else 1


def make_mkv(path: Path, size: int) -> None:
    """Write two hours of AAC with a picture of megabytes each second."""
    head = path.with_name("head.mkv")
    _make_small(head, "1")
    start = head.read_bytes()
    start = start[: start.index(_CLUSTER)]
    segment = start.index(_SEGMENT) + 4
    hole = size // _SECONDS - _PACKETS_PER_S * len(_SOUND)
    with path.open("wb") as file:
        file.write(start[:segment] + _UNKNOWN + start[segment + 8 :])
        for second in range(_SECONDS):
            blocks = [
                _element(b"\xa3", b"\x82" + struct.pack(">hB", 21 * at, 0x80) + _SOUND) for at in range(_PACKETS_PER_S)
            ]
            sound = b"".join(blocks)
            picture = b"\xa3" + _length(hole) + b"\x81\0\0\x80"
            time_stamp = _element(b"\xe7", struct.pack(">I", 1000 * second))
            file.write(_CLUSTER + _length(len(time_stamp + picture + sound) + hole - 4) + time_stamp + picture)
            file.seek(hole - 4, os.SEEK_CUR)
            file.write(sound)


def make_mp4(path: Path, size: int) -> None:
    """Write two hours of AAC, with megabytes between its chunks where pictures were."""
    dense = path.with_name("dense.mp4")
    _make_small(path.with_name("piece.mp4"), "10")
    ffmpeg("-stream_loop", str(_SECONDS // 10 - 1), "-i", str(path.with_name("piece.mp4")), "-c", "copy", str(dense))
    data = dense.read_bytes()
    found = {kind: (start, end) for kind, start, end in boxes(data)}
    index, media = data[slice(*found["moov"])], found["mdat"]
    offsets = sorted(set(_chunk_offsets(index)))
    hole = (size - len(data)) // len(offsets)
    moved = {offset: offset + 8 + hole * number for number, offset in enumerate(offsets)}
    with path.open("wb") as file:
        file.write(data[: media[0]])
        end = moved[offsets[-1]] + media[1] - offsets[-1]
        file.write(struct.pack(">I4sQ", 1, b"mdat", end - media[0]))
        for offset, behind in zip(offsets, [*offsets[1:], media[1]], strict=True):
            file.seek(moved[offset])
            file.write(data[offset:behind])
        file.seek(end)
        file.write(_with_long_offsets(index, moved))


def make_ts(path: Path, size: int) -> None:
    """Write 200 s of a broadcast, of which most is filling. It has a tenth of the size, since it cannot be sparse."""
    piece = path.with_name("piece.mp4")
    _make_small(piece, "10")
    rate = ["-muxrate", str(size * 8 // 10 // 200)]
    ffmpeg("-stream_loop", "19", "-i", str(piece), "-c", "copy", *rate, "-f", "mpegts", str(path))


def _make_small(path: Path, seconds: str, *arguments: str) -> None:
    inputs = ["-f", "lavfi", "-i", "testsrc=size=64x64:rate=25", "-f", "lavfi", "-i", "sine=sample_rate=48000"]
    ffmpeg(*inputs, "-t", seconds, "-c:a", "aac", *arguments, str(path))


def _element(name: bytes, content: bytes) -> bytes:
    return name + _length(len(content)) + content


def _length(count: int) -> bytes:
    return struct.pack(">Q", count | 1 << 56)


def _chunk_offsets(index: bytes) -> Iterator[int]:
    at = -1
    while (at := index.find(b"stco", at + 1)) > 0:
        count = struct.unpack_from(">I", index, at + 8)[0]
        yield from struct.unpack_from(f">{count}I", index, at + 12)


def _with_long_offsets(content: bytes, moved: dict[int, int]) -> bytes:
    """Return boxes with 64 bits for each offset."""
    written = b""
    for found, start, end in boxes(content):
        kind, body = found, content[start + 8 : end]
        if kind in {"moov", "trak", "mdia", "minf", "stbl"}:
            body = _with_long_offsets(body, moved)
        elif kind == "stco":
            offsets = [moved[offset] for offset in _chunk_offsets(content[start:end])]
            kind, body = "co64", struct.pack(f">II{len(offsets)}Q", 0, len(offsets), *offsets)
        written += struct.pack(">I4s", len(body) + 8, kind.encode()) + body
    return written


if __name__ == "__main__":
    sys.exit(main(*map(float, sys.argv[1:])))
