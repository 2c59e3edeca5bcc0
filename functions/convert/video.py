"""The video of a conversion, as the encoder reads it."""

import hashlib
from collections.abc import Callable, Iterator
from typing import Protocol

from functions.shared.conversions import Conversion
from functions.shared.files import FileDamaged, Files

# Returns the bytes from a position up to, not including, another; fewer at the end.
Read = Callable[[int, int], bytes]


class Video(Protocol):
    """The bytes of a video, wherever they are. What is read is right; what cannot be read raises."""

    @property
    def size(self) -> int:
        """How many bytes there are."""

    def read(self, start: int, end: int) -> bytes:
        """Return the bytes from `start` up to, not including, `end`; fewer where the video ends."""

    def parts(self) -> Iterator[bytes]:
        """Yield all bytes, from the first on. Each call starts again."""


class StoredVideo:
    """The video of a conversion in Files. Implements Video.

    Its methods raise FileMissing, FileDamaged and Unavailable. `sha256`, in hexadecimal digits, is None as long as it
    is not known: once `parts` has come to its end, it is. `on_read` is called for each chunk that `read` fetched, for
    which a slow storage may take long; what it raises ends the reading.
    """

    def __init__(self, videos: Files, conversion: Conversion, on_read: Callable[[], None] = lambda: None) -> None:
        self._videos = videos
        self._on_read = on_read
        self._file_id = conversion.id
        self.size = conversion.video.bytes
        self.sha256 = conversion.video.sha256

    def read(self, start: int, end: int) -> bytes:
        """See Video."""
        parts = []
        for part in self._videos.read(self._file_id, start, min(end, self.size)):
            parts.append(part)
            self._on_read()
        return b"".join(parts)

    def parts(self) -> Iterator[bytes]:
        """See Video. Each part was checked; whether there are as many bytes as there should be shows at the end."""
        digest = None if self.sha256 else hashlib.sha256()
        position = 0
        for part in self._videos.read(self._file_id):
            if digest:
                digest.update(part)
            position += len(part)
            yield part
        if position != self.size:
            raise FileDamaged(f"{self._file_id} has {position} bytes, not {self.size}.")
        if digest:
            self.sha256 = digest.hexdigest()
