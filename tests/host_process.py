"""A host in a process of its own, whose functions are those of a test."""

import contextlib
import os
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx

from infra.local.processes import LeashedProcess, Stopping, free_port, wait_until_ready
from infra.template import Template, load_template

ROOT = Path(__file__).parents[1]
RUN = "import pathlib; from infra.host.__main__ import main; main(pathlib.Path('template.yaml'), ['calls'])"


@dataclass(frozen=True)
class HostProcess:
    """A host that runs."""

    process: LeashedProcess
    url: str
    log: Path

    def invoke_url(self, function: str) -> str:
        return f"{self.url}/2015-03-31/functions/{function}/invocations"


def write_functions(folder: Path, source: str, *names: str, timeout_s: int = 10) -> Template:
    """Write the module `sample.calls`, and template.yaml with these of its functions. Returns the template."""
    (folder / "sample").mkdir(parents=True)
    (folder / "sample" / "__init__.py").touch()
    (folder / "sample" / "calls.py").write_text(source)
    kind = "Type: AWS::Serverless::Function"
    resources = [
        f"  {name}: {{{kind}, Properties: {{Handler: sample.calls.{name}, Timeout: {timeout_s}}}}}" for name in names
    ]
    (folder / "template.yaml").write_text("\n".join(["Resources:", *resources]))
    return load_template(folder / "template.yaml")


@contextlib.contextmanager
def running_host(folder: Path, *, port: int | None = None, **environ: str) -> Iterator[HostProcess]:
    """Run a host of the functions that were written to a folder, and yield it when it serves."""
    port = port or free_port()
    log = folder / "host.log"
    process = LeashedProcess(
        "host",
        [sys.executable, "-c", f"import os; os.chdir({str(folder)!r}); {RUN}"],
        environ=_environ(folder) | {"PORT": str(port), **environ},
        log=log,
        grace_s=20,
    )
    host = HostProcess(process, f"http://127.0.0.1:{port}", log)
    wait_until_ready(process, lambda: _serves(host), timeout_s=30, advice="Look there.", stopping=Stopping())
    try:
        yield host
    finally:
        process.stop()


def _environ(folder: Path) -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), str(folder)]), "PYTHONUNBUFFERED": "1"}


def _serves(host: HostProcess) -> bool:
    try:
        return httpx.get(f"{host.url}/healthz", timeout=2).status_code == 200
    except httpx.TransportError:
        return False
