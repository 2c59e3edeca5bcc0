"""The files of the built page, kept in memory with their compressed versions."""

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

# Best first: https://www.iana.org/assignments/http-parameters/http-parameters.xhtml#content-coding
CODINGS: Mapping[str, str] = {"br": ".br", "gzip": ".gz"}
IDENTITY = "identity"

# Python's own table depends on the machine.
_TYPES: Mapping[str, str] = {
    ".css": "text/css; charset=utf-8",
    ".html": "text/html; charset=utf-8",
    ".ico": "image/x-icon",
    ".js": "text/javascript; charset=utf-8",
    ".json": "application/json",
    ".png": "image/png",
    ".svg": "image/svg+xml",
    ".txt": "text/plain; charset=utf-8",
    ".webmanifest": "application/manifest+json",
    ".woff2": "font/woff2",
}


class SiteMissing(Exception):
    """Raised when there is no built page. The message names the folder."""


@dataclass(frozen=True)
class Representation:
    """One version of a file: its bytes, and an ETag that no other bytes have."""

    body: bytes
    etag: str

    @classmethod
    def of(cls, path: Path) -> "Representation":
        """Read a file."""
        body = path.read_bytes()
        return cls(body, f'"{hashlib.sha256(body).hexdigest()[:32]}"')


@dataclass(frozen=True)
class File:
    """A file of the page, in all its versions by content coding. `identity` is always one of them."""

    content_type: str
    representations: Mapping[str, Representation]


Site = Mapping[str, File]


def load_site(folder: Path) -> Site:
    """Read the built page. Files are named by their path in `folder`, such as `assets/index-4f0c.js`.

    Raises:
        SiteMissing: there is none.
    """
    if not (folder / "index.html").is_file():
        raise SiteMissing(f"There is no built page in {folder}.")
    compressed = tuple(CODINGS.values())
    return {
        path.relative_to(folder).as_posix(): File(
            _TYPES.get(path.suffix, "application/octet-stream"), dict(_representations(path))
        )
        for path in folder.rglob("*")
        if path.is_file() and path.suffix not in compressed and not path.name.startswith(".")
    }


def _representations(path: Path) -> Iterator[tuple[str, Representation]]:
    yield IDENTITY, Representation.of(path)
    for coding, ending in CODINGS.items():
        compressed = path.with_name(path.name + ending)
        if compressed.is_file():
            yield coding, Representation.of(compressed)
