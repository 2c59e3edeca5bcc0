"""Answers that are too large for Lambda: the function lists the pieces of the body, and the gateway streams them.

The function's header is `X-Stored-File`. It lists, with commas between, ranges of stored files, as in
`mp3s/<file_id>;<start>-<end>` with `end` exclusive, and between them numbers of bytes, which are the next ones of the
function's own body. It is the idea of nginx's X-Accel-Redirect. The gateway shows it to no client.
"""

import asyncio
import re
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from typing import NamedTuple, Self

from functions.shared.files import FileDamaged, FileMissing, Files
from functions.shared.problems import InternalProblem
from infra.gateway.problems import StorageCorrupt
from infra.gateway.threads import in_thread, look_at

STORED_FILE_HEADER = "X-Stored-File"

_RANGE = re.compile(r"([\w-]+)/([^/;\s]+);([0-9]{1,18})-([0-9]{1,18})")
_NUMBER = re.compile(r"[0-9]{1,18}")


class StoredRange(NamedTuple):
    """The bytes of a file from `start` up to, not including, `end`."""

    bucket: str
    file_id: str
    start: int
    end: int

    @property
    def length(self) -> int:
        """How many bytes that is."""
        return self.end - self.start

    @classmethod
    def parse(cls, value: str) -> Self | None:
        """Read one range from the header; None if it is not one."""
        found = _RANGE.fullmatch(value)
        if not found or int(found[3]) > int(found[4]):
            return None
        return cls(found[1], found[2], int(found[3]), int(found[4]))


class Pieces(NamedTuple):
    """The pieces of a body, in order: stored bytes, and those that the function gave itself."""

    all: tuple[bytes | StoredRange, ...]

    @property
    def length(self) -> int:
        """How many bytes they are."""
        return sum(len(piece) if isinstance(piece, bytes) else piece.length for piece in self.all)

    @classmethod
    def parse(cls, value: str, body: bytes) -> Self | None:
        """Read the header's value; None if it is not one, or does not go with the body."""
        pieces: list[bytes | StoredRange] = []
        position = 0
        for listed in value.split(","):
            if _NUMBER.fullmatch(listed):
                pieces.append(body[position : position + int(listed)])
                position += int(listed)
            elif stored := StoredRange.parse(listed):
                pieces.append(stored)
            else:
                return None
        return cls(tuple(pieces)) if position == len(body) else None


class StoredFiles:
    """The buckets that functions may name. Their files are opened at the first use."""

    def __init__(self, buckets: Mapping[str, Callable[[], Files]]) -> None:
        self._buckets = buckets

    async def open(self, pieces: Pieces) -> AsyncIterator[bytes]:
        """Return the bytes in parts of about 1 MiB, of which three are in memory: sent, read, on its way.

        Raises:
            StorageCorrupt: the first file is missing, or damaged at its beginning.
            Unavailable: the storage does not answer.
            FileMissing, FileDamaged, Unavailable: from the iterator, in place of a part, when others may have been sent
                already.
        """
        if not {piece.bucket for piece in pieces.all if isinstance(piece, StoredRange)} <= self._buckets.keys():
            raise InternalProblem

        def begin() -> tuple[Iterator[bytes], bytes]:
            parts = self._read(pieces)
            return parts, next(parts, b"")

        try:
            parts, first = await in_thread(begin)
        except (FileMissing, FileDamaged) as error:
            raise StorageCorrupt from error
        return _given_out(first, parts)

    def _read(self, pieces: Pieces) -> Iterator[bytes]:
        """Yield parts, none of them empty. What the function gave goes with the stored bytes behind it."""
        given = b""
        for piece in pieces.all:
            if isinstance(piece, bytes):
                given += piece
                continue
            left = piece.length
            # Without bytes there is nothing to open.
            for part in self._buckets[piece.bucket]().read(piece.file_id, piece.start, piece.end) if left else ():
                left -= len(part)
                yield given + part
                given = b""
            if left:
                raise FileDamaged(f"{piece.file_id} lacks {left} bytes.")
        if given:
            yield given


async def _given_out(part: bytes, parts: Iterator[bytes]) -> AsyncIterator[bytes]:
    while part:
        # The storage and the client work at the same time.
        ahead = asyncio.create_task(in_thread(next, parts, b""))
        ahead.add_done_callback(look_at)
        yield part
        part = await ahead
