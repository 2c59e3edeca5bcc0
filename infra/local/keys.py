"""The secrets of a stack on this machine: made once, then kept, so that tokens and links outlive a restart."""

import json
import os
import secrets
from pathlib import Path

from infra.local.processes import ServerFailed


def kept_keys(file: Path) -> dict[str, str]:
    """Return the environment variables that hold secrets. `file` is made if there is none. Raises ServerFailed."""
    try:
        keys: dict[str, str] = json.loads(file.read_text())
    except FileNotFoundError:
        keys = {"JWT_KEYS": f"local={secrets.token_urlsafe(32)}", "LINK_KEYS": secrets.token_urlsafe(32)}
        write_private(file, json.dumps(keys, indent=2))
    except (OSError, ValueError) as error:
        raise ServerFailed(
            f"The secrets in {file} cannot be read: {error}", "Delete it; everybody then has to log in again."
        ) from error
    return keys


def write_private(file: Path, text: str) -> None:
    """Write a file that is there whole or not at all, and that only its owner may read."""
    unfinished = file.with_name(f".{file.name}.part")
    unfinished.unlink(missing_ok=True)
    with os.fdopen(os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as output:
        output.write(text)
    unfinished.replace(file)
