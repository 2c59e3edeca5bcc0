"""sweep, called by a test instead of by its schedule."""

import os
import subprocess
import sys
from collections.abc import Mapping

from infra.local.servers import ServerUrls

_SWEEP = """
from infra.invoke import InProcessFunctions
from infra.template import load_template

InProcessFunctions(load_template().functions).invoke("SweepFunction", {})
"""


class Sweeper:
    """Runs the function sweep once, in a process of its own. `settings` are environment variables beside the URLs."""

    def __init__(self, urls: ServerUrls, settings: Mapping[str, str] | None = None) -> None:
        self._urls = urls
        self._settings = settings or {}

    def sweep(self) -> None:
        """Sweep once, and return when it is done. Raises CalledProcessError, with what was logged, if it failed."""
        environ = {**os.environ, **self._urls.to_environ(), **self._settings}
        done = subprocess.run([sys.executable, "-c", _SWEEP], env=environ, check=False, timeout=60, capture_output=True)
        if done.returncode:
            error = subprocess.CalledProcessError(done.returncode, "sweep")
            error.add_note(done.stderr.decode(errors="replace"))
            raise error
