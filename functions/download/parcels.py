"""What is sent as one file: an MP3, or a ZIP of several, made of stored bytes and what is written around them."""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import NamedTuple

from functions.download.dispositions import mp3_filename, names_in_zip
from functions.download.zips import ZipEntry, lay_out
from functions.shared.conversions import Mp3

ZIP_NAME = "video2mp3.zip"


class StoredMp3(NamedTuple):
    """A finished MP3 and where it is stored. `video_filename` is the name of the video it was made from."""

    conversion_id: str
    file_id: str
    mp3: Mp3
    video_filename: str
    completed_at: datetime


class Part(NamedTuple):
    """The bytes of an MP3 from `start` up to, not including, `end`."""

    stored: StoredMp3
    start: int
    end: int


Piece = bytes | Part


class Parcel(NamedTuple):
    """One file to send. `etag` has its quotes and is strong; `copy_name` is the name of its copy, if one is made."""

    pieces: tuple[Piece, ...]
    etag: str
    last_modified: datetime
    filename: str
    content_type: str
    copy_name: str

    @property
    def length(self) -> int:
        """How many bytes it has."""
        return sum(map(_length, self.pieces))

    @property
    def mp3s(self) -> list[StoredMp3]:
        """The MP3s in it."""
        return [piece.stored for piece in self.pieces if isinstance(piece, Part)]

    def cut(self, start: int, end: int) -> Iterator[Piece]:
        """Yield the pieces from byte `start` up to, not including, `end`. None of them is empty."""
        position = 0
        for piece in self.pieces:
            first, last = max(start - position, 0), min(end - position, _length(piece))
            if first < last:
                yield _cut(piece, first, last)
            position += _length(piece)


def mp3_parcel(stored: StoredMp3) -> Parcel:
    """Return an MP3 as a file to send."""
    return Parcel(
        pieces=(Part(stored, 0, stored.mp3.bytes),),
        etag=f'"{stored.mp3.sha256}"',
        last_modified=stored.completed_at,
        filename=mp3_filename(stored.video_filename),
        content_type="audio/mpeg",
        copy_name=mp3_copy_name(stored.file_id),
    )


def mp3_copy_name(file_id: str) -> str:
    """Return the name of the copy of an MP3."""
    return f"{file_id}.mp3"


def zip_parcel(mp3s: Sequence[StoredMp3], crc32s: Mapping[str, int]) -> Parcel:
    """Return a ZIP of at least one MP3 as a file to send. `crc32s` are by file id."""
    names = names_in_zip(mp3_filename(stored.video_filename) for stored in mp3s)
    layout = lay_out(
        [
            ZipEntry(name, stored.completed_at, stored.mp3.bytes, crc32s[stored.file_id])
            for name, stored in zip(names, mp3s, strict=True)
        ]
    )
    pieces: list[Piece] = []
    for header, stored in zip(layout.headers, mp3s, strict=True):
        pieces += [header, Part(stored, 0, stored.mp3.bytes)]
    pieces.append(layout.directory)
    digest = hashlib.sha256(layout.directory)
    for stored in mp3s:
        digest.update(stored.mp3.sha256.encode())
    return Parcel(
        pieces=tuple(pieces),
        etag=f'"{digest.hexdigest()}"',
        last_modified=max(stored.completed_at for stored in mp3s),
        filename=ZIP_NAME,
        content_type="application/zip",
        copy_name=f"{digest.hexdigest()}.zip",
    )


def _length(piece: Piece) -> int:
    return len(piece) if isinstance(piece, bytes) else piece.end - piece.start


def _cut(piece: Piece, first: int, last: int) -> Piece:
    if isinstance(piece, bytes):
        return piece[first:last]
    return piece._replace(start=piece.start + first, end=piece.start + last)
