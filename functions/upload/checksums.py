"""The checksum of a request's body.

https://tus.io/protocols/resumable-upload#checksum
"""

import base64
import functools
import hashlib
import zlib
from collections.abc import Callable, Iterable, Mapping
from typing import NamedTuple, Protocol

from functions.shared.problems import BadRequest, Problem


class WrongChecksum(Problem):
    """Raised when bytes are not those of the checksum that came with them. They were thrown away."""

    code = "wrong-checksum"

    def __init__(self) -> None:
        super().__init__("The bytes changed on their way, so none of them were stored. Send them again.")


class _Digest(Protocol):
    def update(self, data: bytes, /) -> None: ...
    def digest(self) -> bytes: ...


class _Crc32:
    """CRC-32 as zlib has it, four bytes, the most significant first. It has the methods of a hashlib object."""

    def __init__(self) -> None:
        self._value = 0

    def update(self, data: bytes, /) -> None:
        self._value = zlib.crc32(data, self._value)

    def digest(self) -> bytes:
        return self._value.to_bytes(4, "big")


# They find accidents, so a weak one will do. Clients know sha1 best.
ALGORITHMS: Mapping[str, Callable[[], _Digest]] = {
    "sha1": functools.partial(hashlib.sha1, usedforsecurity=False),
    "sha256": hashlib.sha256,
    "md5": functools.partial(hashlib.md5, usedforsecurity=False),
    "crc32": _Crc32,
}


class Checksum(NamedTuple):
    """The digest of a body, by one of ALGORITHMS."""

    algorithm: str
    digest: bytes

    def check(self, parts: Iterable[bytes]) -> None:
        """Compare it with the parts of a body, which are all read. Raises WrongChecksum."""
        digest = ALGORITHMS[self.algorithm]()
        for part in parts:
            digest.update(part)
        if digest.digest() != self.digest:
            raise WrongChecksum


def read_checksum(header: str) -> Checksum:
    """Return what an Upload-Checksum header says. Raises BadRequest."""
    algorithm, _, encoded = header.partition(" ")
    if algorithm not in ALGORITHMS:
        raise BadRequest(f"Upload-Checksum can be made with one of: {', '.join(ALGORITHMS)}.")
    try:
        digest = base64.b64decode(encoded, validate=True)
    except ValueError as error:
        raise BadRequest("The checksum in Upload-Checksum is not base64.") from error
    if not digest:
        raise BadRequest("Upload-Checksum lacks the checksum.")
    return Checksum(algorithm, digest)
