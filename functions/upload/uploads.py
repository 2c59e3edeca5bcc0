"""Uploads that come in slices: what is known of each, and the ports that keep them and their bytes."""

from collections.abc import Iterator, Mapping
from datetime import datetime
from enum import StrEnum
from typing import NamedTuple, Protocol

import msgspec

from functions.shared.conversions import Owner

# For so long after its last sign of life nobody can take an upload away from the request that holds it.
HOLD_S = 6


class Kind(StrEnum):
    """What an upload is for: a video, a part of one, or a video that is made of such parts."""

    WHOLE = "whole"
    PARTIAL = "partial"
    FINAL = "final"


class Upload(msgspec.Struct, frozen=True):
    """One upload. Its id is the id that its conversion will have.

    `offset` is how many bytes are stored for good, `length` how many there will be (None while that is deferred).
    `metadata` and `concat` are the headers as they were sent, `parts` the ids of the partial uploads that a final one
    is made of, in order.
    """

    id: str
    owner: Owner
    kind: Kind
    parts: tuple[str, ...]
    concat: str
    metadata: str
    length: int | None
    offset: int
    created_at: datetime
    expires_at: datetime

    @property
    def is_whole(self) -> bool:
        """Whether all bytes are there. Of a video it is said only once its conversion was accepted."""
        return self.offset == self.length


class Held(NamedTuple):
    """An upload that one request holds, under its `token`.

    `fence` grows with every call of `hold`, also by the same request: its first try may be stalled, and write later.
    `staged` bytes behind the offset are written but do not count yet. `tail_sha256` is the digest of the last chunk if
    that is not full, and empty if it is.
    """

    upload: Upload
    token: str
    fence: int
    staged: int
    tail_sha256: bytes


class Progress(NamedTuple):
    """How far an upload got: the new offset, the length if it is known, and the digests of chunks by their numbers."""

    offset: int
    length: int | None
    expires_at: datetime
    digests: Mapping[int, bytes]


class UploadMissing(Exception):
    """Raised when there is no upload with this id."""


class UploadExists(Exception):
    """Raised when there is, or not long ago was, an upload with this id."""


class UploadLocked(Exception):
    """Raised when another request holds the upload."""


class HoldLost(Exception):
    """Raised when another request took the upload over, or deleted it, because this one was silent for too long."""


class Uploads(Protocol):
    """All uploads. Each method is one atomic write or one read."""

    def add(self, upload: Upload) -> None:
        """Keep a new upload. Raises UploadExists."""

    def watch(self, upload_id: str) -> None:
        """Have sweep delete the bytes that come under this id without an upload, unless a conversion comes of them."""

    def get(self, upload_id: str) -> Upload:
        """Return an upload, be it expired. Raises UploadMissing."""

    def hold(self, upload_id: str, token: str) -> Held:
        """Take an upload for one request, or go on holding it: for HOLD_S from now nobody else can.

        Who takes it anew finds nothing staged. A hold that ran out is good until somebody else takes the upload. What
        earlier calls returned is lost.

        Raises:
            UploadMissing: there is none.
            UploadLocked: somebody else holds it.
        """

    def stage(self, held: Held, staged: int) -> None:
        """Write down how many bytes behind the offset are written, and go on holding. Raises HoldLost."""

    def advance(self, held: Held, progress: Progress, *, keep: bool) -> None:
        """Commit bytes that were written. Nothing is staged then. Raises HoldLost.

        The upload is let go or, with `keep`, held for HOLD_S from now. The offset never goes back: a late repetition
        of an earlier step raises HoldLost.
        """

    def release(self, held: Held) -> None:
        """Let an upload go; what was staged is forgotten. Does nothing if the hold is lost."""

    def digests(self, upload_id: str) -> bytes:
        """Return the digests of all chunks up to the offset: 32 bytes each, in order. Raises UploadMissing."""

    def delete(self, upload_id: str) -> None:
        """Forget an upload; its id remains taken. Does nothing if there is none."""


class Slices(Protocol):
    """The bytes of videos that are still growing.

    They are the chunks of a file that does not exist yet: a reader of files does not see them.
    """

    def write(self, held: Held, data: bytes) -> dict[int, bytes]:
        """Store bytes behind the offset and what is staged; return the digests of the chunks that they touch.

        Writing the same again, after a lost answer, changes nothing.

        Raises:
            HoldLost: somebody who took the upload over later has written here.
            FileDamaged: the last chunk, to be filled up, is not what was stored.
        """

    def read(self, upload_id: str, start: int, end: int, digests: bytes = b"") -> Iterator[bytes]:
        """Yield bytes in parts of at most CHUNK_BYTES; each chunk that `digests` covers is checked.

        The last chunk may hold more than counts, if what was staged there was given up. It is then right only for
        whoever reads up to the offset.

        Raises FileDamaged in place of a part that is missing or not what was stored.
        """

    def finish(self, held: Held, length: int, digests: bytes) -> None:
        """Make the chunks a file like any other. Done again, it changes nothing.

        What is written behind `length` goes, and a late writer cannot fill the last chunk up any more.

        Raises:
            HoldLost: somebody who took the upload over later has written to the last chunk.
            FileDamaged: `digests` are not those of so many bytes, or the last chunk is not what was stored.
        """

    def delete(self, upload_id: str) -> None:
        """Delete the bytes, and the file if they had become one. Does nothing if there are none."""


class Used(NamedTuple):
    """How much of the storage one person uses.

    `stored_bytes` are those of the videos and MP3s. `open_uploads` are under way: those that are not whole, and partial
    ones, but none that has expired. `upload_bytes` are what they have or will have: the length of each or, while that
    is not known, the offset.
    """

    stored_bytes: int
    open_uploads: int
    upload_bytes: int

    @property
    def bytes(self) -> int:
        """What counts towards the quota."""
        return self.stored_bytes + self.upload_bytes


class Usage(Protocol):
    """How much of the storage people use."""

    def used_by(self, owner_id: str) -> Used:
        """Return how much a person uses."""
