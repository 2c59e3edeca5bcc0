"""Zip files that are the same, byte for byte, whenever and wherever they are made from the same files."""

import shutil
import stat
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Final

# The first moment that a zip can name.
_TIME: Final = (1980, 1, 1, 0, 0, 0)
_UNIX: Final = 3


@dataclass(frozen=True)
class File:
    """What becomes a file in a zip. Of its mode only whether it may be run is kept."""

    open: Callable[[], IO[bytes]]
    size: int
    executable: bool = False


def pack(files: Mapping[str, File], archive: Path) -> None:
    """Write files to a new zip, by their names in it."""
    with zipfile.ZipFile(archive, "x", zipfile.ZIP_DEFLATED) as packed:
        for name, file in sorted(files.items()):
            info = zipfile.ZipInfo(name, _TIME)
            info.create_system = _UNIX
            info.compress_type = zipfile.ZIP_DEFLATED
            info.external_attr = (stat.S_IFREG | (0o755 if file.executable else 0o644)) << 16
            info.file_size = file.size
            with file.open() as source, packed.open(info, "w") as target:
                shutil.copyfileobj(source, target, 1024 * 1024)


def unpack(archive: Path, folder: Path) -> None:
    """Unpack a zip of ours as Lambda does, modes included."""
    with zipfile.ZipFile(archive) as packed:
        for info in packed.infolist():
            Path(packed.extract(info, folder)).chmod(info.external_attr >> 16 & 0o777)
