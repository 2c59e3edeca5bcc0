"""RabbitMQ: the system's package, started with settings, data and an Erlang cookie of our own."""

import contextlib
import os
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path

import pika.exceptions

from functions.shared.rabbit import connect_rabbit
from infra.local.processes import ServerFailed, Stopping, free_port
from infra.local.server import LocalServer
from infra.rabbitmq.topology import CONSUMER_TIMEOUT_MS

# Where packages put the program itself. What they put on the PATH may be a wrapper that insists on another user.
_PROGRAMS = (
    Path("/usr/lib/rabbitmq/bin/rabbitmq-server"),
    Path("/usr/lib64/rabbitmq/bin/rabbitmq-server"),
    Path("/opt/rabbitmq/sbin/rabbitmq-server"),
    Path("/opt/homebrew/opt/rabbitmq/sbin/rabbitmq-server"),
    Path("/usr/local/opt/rabbitmq/sbin/rabbitmq-server"),
)
_ELSEWHERE = "Or set AMQP_URL to a RabbitMQ of your own (3.10 or newer), or use `docker compose up`, which brings one."
# In Erlang: delete the queues that nobody leads, as an election takes no second on one node.
_DELETE_DEAD_QUEUES = (
    '[rabbit_amqqueue:delete(Queue, false, false, <<"local">>) '
    "|| Queue <- rabbit_amqqueue:list_by_type(rabbit_quorum_queue), "
    "element(1, ra:members(amqqueue:get_pid(Queue), 5000)) =/= ok]."
)
_CONTROL_S = 60
_SETTINGS = """\
loopback_users.guest = true
num_acceptors.tcp = 2
vm_memory_high_watermark.absolute = 512MB
disk_free_limit.absolute = 100MB
raft.wal_max_size_bytes = 33554432
consumer_timeout = {consumer_timeout_ms}
log.console = true
log.console.level = info
log.file = false
"""


class RabbitMQ(LocalServer):
    """A single RabbitMQ node. All its ports, Erlang's too, are on the loopback interface and its own."""

    name = "RabbitMQ"

    def __init__(self, state_dir: Path) -> None:
        super().__init__(state_dir)
        self._environ: Mapping[str, str] = {}

    @property
    def url(self) -> str:
        """See LocalServer."""
        return f"amqp://guest:guest@127.0.0.1:{self.port}/%2F"

    @property
    def advice(self) -> str:
        """See LocalServer."""
        return f"Look into the log. {_ELSEWHERE}"

    def prepare(self, stopping: Stopping) -> None:  # noqa: ARG002
        """See LocalServer."""
        home = self.folder / "home"
        home.mkdir(mode=0o700, exist_ok=True)
        (self.folder / "enabled_plugins").write_text("[].\n")
        (self.folder / "rabbitmq.conf").write_text(_SETTINGS.format(consumer_timeout_ms=CONSUMER_TIMEOUT_MS))

    def command(self) -> list[str]:
        """See LocalServer."""
        on_path = shutil.which("rabbitmq-server")
        for program in (*_PROGRAMS, *([] if on_path is None else [Path(on_path)])):
            if program.exists():
                return [str(program)]
        how = (
            "Run `make setup`, which installs it with apt."
            if shutil.which("apt-get")
            else "Install it with your package manager (https://www.rabbitmq.com/docs/download)."
        )
        raise ServerFailed("RabbitMQ is not installed.", f"{how} {_ELSEWHERE}")

    def environ(self) -> Mapping[str, str]:
        """See LocalServer."""
        inherited = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(("RABBITMQ_", "ERL_")) and name != "NOTIFY_SOCKET"
        }
        self._environ = {
            **inherited,
            # Erlang keeps its cookie here.
            "HOME": str(self.folder / "home"),
            # The data belongs to the node's name, so that never changes. It need not be unique: two nodes
            # meet only through epmd, the daemon that knows Erlang's ports, and each node has an epmd of its own.
            "RABBITMQ_NODENAME": "video2mp3@localhost",
            "RABBITMQ_NODE_IP_ADDRESS": "127.0.0.1",
            "RABBITMQ_NODE_PORT": str(self.port),
            "RABBITMQ_DIST_PORT": str(free_port()),
            "ERL_EPMD_PORT": str(free_port()),
            "ERL_EPMD_ADDRESS": "127.0.0.1",
            # It would be in the working directory of whoever started us.
            "ERL_CRASH_DUMP": str(self.log.parent / "erl_crash.dump"),
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "+S 2:2 -kernel inet_dist_use_interface {127,0,0,1}",
            "RABBITMQ_MNESIA_BASE": str(self.data),
            "RABBITMQ_LOG_BASE": str(self.log.parent),
            "RABBITMQ_PID_FILE": str(self.folder / "pid"),
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(self.folder / "enabled_plugins"),
            "RABBITMQ_CONFIG_FILE": str(self.folder / "rabbitmq.conf"),
            "RABBITMQ_CONF_ENV_FILE": str(self.folder / "rabbitmq-env.conf"),
            "RABBITMQ_ADVANCED_CONFIG_FILE": str(self.folder / "advanced.config"),
            "RABBITMQ_GENERATED_CONFIG_DIR": str(self.folder / "generated"),
            # The script then becomes Erlang instead of starting it, so that Erlang gets our signals.
            "RUNNING_UNDER_SYSTEMD": "true",
        }
        return self._environ

    def start(self, stopping: Stopping) -> None:
        """See LocalServer. A queue that did not survive is deleted: whoever uses it declares it again.

        A node that is killed within seconds after it made a queue knows of that queue, but not of its data. It would
        never take a message again. What was in it is announced again, since messages are only hints.
        """
        has_data = self._whole.exists()
        super().start(stopping)
        if has_data:
            self._delete_dead_queues()

    def _delete_dead_queues(self) -> None:
        control = Path(self.command()[0]).with_name("rabbitmqctl")
        # It is no node that others find.
        environ = {name: value for name, value in self._environ.items() if name != "RABBITMQ_DIST_PORT"}
        command = [str(control), "eval", _DELETE_DEAD_QUEUES]
        with self.log.open("ab") as log, contextlib.suppress(OSError, subprocess.TimeoutExpired):
            subprocess.run(command, env=environ, stdout=log, stderr=log, timeout=_CONTROL_S, check=False)

    def ready(self) -> bool:
        """See LocalServer."""
        try:
            connect_rabbit(self.url, timeout_s=2).close()
        except (pika.exceptions.AMQPError, OSError):
            return False
        return True
