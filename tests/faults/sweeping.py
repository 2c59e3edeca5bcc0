"""sweep, called by a test instead of by its schedule."""

import os
import subprocess
import sys

from infra.local.servers import ServerUrls

_SWEEP = """
from infra.invoke import InProcessFunctions
from infra.template import load_template

InProcessFunctions(load_template().functions).invoke("SweepFunction", {})
"""


class Sweeper:
    """Runs the function sweep once, in a process of its own."""

    def __init__(self, urls: ServerUrls) -> None:
        self._urls = urls

    def sweep(self) -> None:
        """Sweep once, and return when it is done. Raises CalledProcessError if it failed."""
        environ = {**os.environ, **self._urls.to_environ()}
        subprocess.run([sys.executable, "-c", _SWEEP], env=environ, check=True, timeout=60, capture_output=True)
