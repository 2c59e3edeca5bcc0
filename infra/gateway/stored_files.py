"""Answers that are too large for Lambda: the function names a part of a stored file, and the gateway streams it.

The function's header is `X-Stored-File: mp3s/<file_id>;<start>-<end>`, `end` exclusive. It is the idea of nginx's
X-Accel-Redirect. No client can send or see it.
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
        """Read the header's value; None if it is not one."""
        found = _RANGE.fullmatch(value)
        if not found or int(found[3]) > int(found[4]):
            return None
        return cls(found[1], found[2], int(found[3]), int(found[4]))


class StoredFiles:
    """The buckets that functions may name. Their files are opened at the first use."""

    def __init__(self, buckets: Mapping[str, Callable[[], Files]]) -> None:
        self._buckets = buckets

    async def open(self, stored: StoredRange) -> AsyncIterator[bytes]:
        """Return the bytes in parts of at most 1 MiB, of which three are in memory: sent, read, on its way.

        Raises:
            StorageCorrupt: the file is missing, or damaged at its beginning.
            Unavailable: the storage does not answer.
            FileDamaged, Unavailable: from the iterator, in place of a part, when others may have been sent already.
        """
        if stored.bucket not in self._buckets:
            raise InternalProblem
        if not stored.length:
            return _given_out(b"", iter(()), 0)

        def begin() -> tuple[Iterator[bytes], bytes]:
            parts = self._buckets[stored.bucket]().read(stored.file_id, stored.start, stored.end)
            return parts, next(parts, b"")

        try:
            parts, first = await in_thread(begin)
        except (FileMissing, FileDamaged) as error:
            raise StorageCorrupt from error
        return _given_out(first, parts, stored.length)


async def _given_out(part: bytes, parts: Iterator[bytes], length: int) -> AsyncIterator[bytes]:
    while part:
        # The storage and the client work at the same time.
        ahead = asyncio.create_task(in_thread(next, parts, b""))
        ahead.add_done_callback(look_at)
        length -= len(part)
        yield part
        part = await ahead
    if length:
        raise FileDamaged(f"The file lacks {length} bytes.")
