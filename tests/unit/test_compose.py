"""compose.yaml and the image, held against the code. No container runs here, so what can drift apart is compared."""

import ast
import importlib
import importlib.metadata
import importlib.util
import inspect
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from fnmatch import fnmatchcase
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import jsonschema
import msgspec
import pytest
import yaml

import infra.gateway.__main__
import infra.prepare
import infra.triggers.__main__
from functions.auth.tokens import parse_keys
from functions.notify.settings import Settings as NotifySettings
from functions.shared import logs
from functions.shared.links import link_keys
from functions.shared.settings import InvalidSettings, from_env
from infra.local.supervisor import DEFAULT_PORT
from infra.settings import check_settings
from infra.template import TEMPLATE, QueueTrigger, ScheduleTrigger, load_template

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "compose.yaml").read_text()
COMPOSE: dict[str, Any] = yaml.safe_load(TEXT)
SERVICES: dict[str, Any] = COMPOSE["services"]
OURS = ("setup", "gateway", "triggers")
EXAMPLE = (ROOT / ".env.example").read_text()

_VARIABLE = re.compile(r"\$\{(\w+)(?::-([^${}]*))?\}")


def interpolate(text: object, environ: dict[str, str]) -> str:
    """Put values in place of ${NAME} and ${NAME:-default}, from the inside to the outside, as Compose does."""
    done = str(text)
    while match := _VARIABLE.search(done):
        value = environ.get(match[1]) or match[2] or ""
        done = done[: match.start()] + value + done[match.end() :]
    return done


def environment(service: str, environ: dict[str, str]) -> dict[str, str]:
    """Return what the processes of a service find in their environment."""
    return {name: interpolate(value, environ) for name, value in SERVICES[service].get("environment", {}).items()}


def container_ports(service: str) -> dict[int, str]:
    """Return the published ports of a container, with where they are on the host: address and port."""
    published = [interpolate(port, {}).rpartition(":") for port in SERVICES[service].get("ports", [])]
    return {int(container): host for host, _, container in published}


def seconds(duration: str) -> int:
    """Read 25s."""
    match = re.fullmatch(r"(\d+)s", duration)
    assert match, duration
    return int(match[1])


def settings_of(service: str) -> list[type[msgspec.Struct]]:
    """Return every Struct of settings that a process of ours reads, its functions' included."""
    template = load_template()
    called: list[QueueTrigger | ScheduleTrigger] = [*template.queue_triggers, *template.schedule_triggers]
    process, functions = {
        "setup": (infra.prepare.Settings, set(template.functions)),
        "gateway": (infra.gateway.__main__.Settings, {route.function for route in template.routes}),
        "triggers": (infra.triggers.__main__.Settings, {trigger.function for trigger in called}),
    }[service]
    if service == "gateway" and template.authorizer:
        functions.add(template.authorizer)
    handlers = [template.functions[name].handler for name in functions]
    return [process, *(importlib.import_module(handler.rpartition(".")[0]).Settings for handler in handlers)]


@pytest.fixture(scope="module")
def dotenv(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """What is in .env after the command that .env.example gives was run."""
    command = next(line for line in EXAMPLE.splitlines() if line.endswith("> .env")).removeprefix("#").strip()
    folder = tmp_path_factory.mktemp("dotenv")
    path = f"{Path(sys.executable).parent}:/usr/bin:/bin"
    subprocess.run(command, shell=True, cwd=folder, env={"PATH": path}, check=True, timeout=60)
    lines = (folder / ".env").read_text().splitlines()
    return {name: value for name, _, value in (line.partition("=") for line in lines)}


# The file itself

DURATION = {"type": "string", "pattern": r"^\d+s$"}
TEXTS = {"type": "array", "items": {"type": "string"}, "minItems": 1}
SCHEMA = {
    "type": "object",
    "additionalProperties": False,
    "patternProperties": {"^x-": {}},
    "required": ["name", "services", "volumes"],
    "properties": {
        "name": {"type": "string", "pattern": "^[a-z0-9][a-z0-9_-]*$"},
        "volumes": {"type": "object", "additionalProperties": {"type": ["object", "null"]}},
        "services": {
            "type": "object",
            "additionalProperties": {
                "type": "object",
                "additionalProperties": False,
                "required": ["image"],
                "properties": {
                    "image": {"type": "string"},
                    "build": {
                        "type": "object",
                        "additionalProperties": False,
                        "required": ["context", "dockerfile"],
                        "properties": {"context": {"type": "string"}, "dockerfile": {"type": "string"}},
                    },
                    "pull_policy": {"enum": ["build"]},
                    "command": TEXTS,
                    "environment": {"type": "object", "additionalProperties": {"type": ["string", "number"]}},
                    "ports": TEXTS,
                    "volumes": TEXTS,
                    "tmpfs": TEXTS,
                    "profiles": TEXTS,
                    "cap_drop": TEXTS,
                    "security_opt": TEXTS,
                    "hostname": {"type": "string"},
                    "init": {"type": "boolean"},
                    "read_only": {"type": "boolean"},
                    "restart": {"enum": ["no", "always", "on-failure", "unless-stopped"]},
                    "stop_grace_period": DURATION,
                    "depends_on": {
                        "type": "object",
                        "additionalProperties": {
                            "type": "object",
                            "additionalProperties": False,
                            "required": ["condition"],
                            "properties": {
                                "condition": {"enum": ["service_healthy", "service_completed_successfully"]}
                            },
                        },
                    },
                    "healthcheck": {
                        "type": "object",
                        "additionalProperties": False,
                        "required": ["test", "interval", "timeout", "start_period", "retries"],
                        "properties": {
                            "test": {**TEXTS, "prefixItems": [{"const": "CMD"}]},
                            "interval": DURATION,
                            "timeout": DURATION,
                            "start_period": DURATION,
                            "retries": {"type": "integer"},
                        },
                    },
                },
            },
        },
    },
}


def test_the_file_has_the_form_that_compose_reads():
    """Compose refuses the whole file for one key that it does not know."""
    jsonschema.validate(COMPOSE, SCHEMA)


IMAGES = {
    "postgres": r"postgres:18\.\d+-bookworm",
    "mongo": r"mongo:8\.\d+\.\d+-noble",
    "rabbitmq": r"rabbitmq:4\.\d+\.\d+-management",
    "mailpit": r"axllent/mailpit:v1\.\d+\.\d+",
    # The last that needs no account.
    "localstack": r"localstack/localstack:4\.14\.0",
}


@pytest.mark.parametrize("service", IMAGES)
def test_a_server_has_one_version_and_it_is_the_one_we_build_for(service: str):
    """A tag that moves brings a new server overnight, to some of us."""
    assert re.fullmatch(IMAGES[service], SERVICES[service]["image"])


def test_no_other_image_is_used():
    """A service that is added is pinned as well."""
    assert set(SERVICES) == {*OURS, *IMAGES}
    assert {SERVICES[service]["image"] for service in OURS} == {"video2mp3:local"}


def test_every_port_is_open_to_this_machine_only():
    """The passwords are written in the file, and Docker's ports go past the host's firewall."""
    published = [host for service in SERVICES for host in container_ports(service).values()]

    assert len(published) == len(set(published)) >= 7
    assert all(host.startswith("127.0.0.1:") for host in published)


def test_every_volume_is_declared_and_used():
    """Compose refuses one that is not declared; one that is not used hides where the data went."""
    mounts = [mount.split(":") for service in SERVICES.values() for mount in service.get("volumes", [])]

    assert {source for source, *_ in mounts if not source.startswith("/")} == set(COMPOSE["volumes"])


@pytest.mark.parametrize(
    ("service", "folder"),
    [
        # https://github.com/docker-library/postgres/pull/1259
        ("postgres", "/var/lib/postgresql"),
        ("mongo", "/data/db"),
        ("rabbitmq", "/var/lib/rabbitmq"),
    ],
)
def test_a_server_keeps_its_data_in_a_named_volume(service: str, folder: str):
    """Data in the container itself, or in a volume without a name, is gone with `docker compose down`."""
    assert folder in [mount.partition(":")[2] for mount in SERVICES[service]["volumes"]]


def test_rabbitmq_finds_its_data_again():
    """Its data belongs to rabbit@hostname, and Docker makes a new host's name for each container."""
    assert SERVICES["rabbitmq"]["hostname"] == "rabbitmq"


def test_what_others_wait_for_can_be_waited_for():
    """Without a health check a wait for health is refused; a service that runs on never completes."""
    waits = [
        (name, on, wait["condition"])
        for name, service in SERVICES.items()
        for on, wait in service.get("depends_on", {}).items()
    ]

    assert {on for _, on, _ in waits} == {"setup", "postgres", "mongo", "rabbitmq", "mailpit"}
    for _, on, condition in waits:
        if condition == "service_healthy":
            assert "healthcheck" in SERVICES[on]
        else:
            assert SERVICES[on]["restart"] == "no"


def test_nothing_of_ours_starts_before_setup_has_succeeded():
    """Functions that run on yesterday's tables fail in ways that nobody foresaw."""
    for service in ("gateway", "triggers"):
        assert SERVICES[service]["depends_on"]["setup"] == {"condition": "service_completed_successfully"}


def test_only_the_emulator_has_to_be_asked_for():
    """`docker compose up` starts the service, and nothing with power over Docker."""
    assert {name: service["profiles"] for name, service in SERVICES.items() if "profiles" in service} == {
        "localstack": ["aws"]
    }
    sockets = [name for name, service in SERVICES.items() if "docker.sock" in str(service)]
    assert sockets == ["localstack"]


# Against the code


@pytest.mark.parametrize("service", OURS)
def test_a_command_is_a_module_that_can_be_run(service: str):
    """A renamed module would be seen only when a container starts."""
    python, option, module = SERVICES[service]["command"]

    assert (python, option) == ("python", "-m")
    spec = importlib.util.find_spec(module)
    assert spec is not None
    assert spec.submodule_search_locations is None or importlib.util.find_spec(f"{module}.__main__") is not None


@pytest.mark.parametrize("service", OURS)
def test_a_process_is_told_only_what_it_reads(service: str):
    """A variable that is misspelt does nothing; a secret that is not needed can only be lost."""
    read = {field.name.upper() for struct in settings_of(service) for field in msgspec.structs.fields(struct)}
    read |= set(re.findall(r'environ\.get\("(\w+)"', inspect.getsource(logs)))

    assert set(SERVICES[service]["environment"]) <= read


@pytest.mark.parametrize("service", OURS)
def test_a_process_is_told_all_that_it_and_its_functions_need(service: str, dotenv: dict[str, str]):
    """What is missing would be seen at the first call of the function that needs it."""
    given = environment(service, dotenv)

    for struct in settings_of(service):
        from_env(struct, given)


def test_the_converter_holds_no_key_to_anybodys_account():
    """What ffmpeg reads, strangers send. Whoever gets out of it must find neither token keys nor passwords."""
    assert {"JWT_KEYS", "POSTGRES_URL"}.isdisjoint(SERVICES["triggers"]["environment"])


def test_the_secrets_of_the_example_are_good_ones(dotenv: dict[str, str]):
    """The command in .env.example is what people will run."""
    assert set(dotenv) == {"JWT_KEYS", "LINK_KEYS"}
    assert list(parse_keys(dotenv["JWT_KEYS"])) == ["k1"]
    assert [len(key) >= 32 for key in link_keys(dotenv["LINK_KEYS"])] == [True]
    assert dotenv["LINK_KEYS"] not in dotenv["JWT_KEYS"]


@pytest.mark.parametrize("missing", ["JWT_KEYS", "LINK_KEYS"])
def test_without_a_secret_setup_refuses_before_it_touches_anything(
    missing: str, dotenv: dict[str, str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    """A service with an empty key would sign for everybody; nothing may start without."""
    monkeypatch.setattr(infra.prepare, "prepare", lambda _: pytest.fail("a server was touched"))
    for name, value in environment("setup", {**dotenv, missing: ""}).items():
        monkeypatch.setenv(name, value)

    assert infra.prepare.main() == 1
    assert f"The environment variable {missing} is not set." in capsys.readouterr().err


def test_no_variable_is_required_to_read_the_file():
    """Compose fills in the whole file whatever it is asked for: `up postgres` and `down` must work without secrets.

    https://github.com/docker/compose/issues/6978
    """
    assert set(re.findall(r"\$\{\w+(.{2})", str(COMPOSE))) == {":-"}


def test_the_example_explains_every_variable_and_no_other():
    """It is the only list of what can be set."""
    explained = set(re.findall(r"^#?([A-Z_]+)=", EXAMPLE, re.MULTILINE))

    assert explained == set(re.findall(r"\$\{(\w+)", str(COMPOSE)))


@pytest.mark.parametrize("service", OURS)
def test_a_url_leads_to_a_server_that_is_waited_for(service: str):
    """Host, port, and that it is up."""
    urls = {name: url for name, url in environment(service, {}).items() if "://" in url and name != "PUBLIC_URL"}

    assert urls
    for url in urls.values():
        parts = urlsplit(url)
        assert parts.hostname is not None
        assert SERVICES[service]["depends_on"][parts.hostname] == {"condition": "service_healthy"}
        assert parts.port in container_ports(parts.hostname)


def test_the_urls_have_the_passwords_of_the_servers():
    """They are written in two places."""
    ours = environment("setup", {})
    postgres, rabbitmq = urlsplit(ours["POSTGRES_URL"]), urlsplit(ours["AMQP_URL"])
    servers = {**environment("postgres", {}), **environment("rabbitmq", {})}

    assert (postgres.username, postgres.password) == (servers["POSTGRES_USER"], servers["POSTGRES_PASSWORD"])
    assert postgres.path == f"/{servers['POSTGRES_DB']}"
    assert (rabbitmq.username, rabbitmq.password) == (
        servers["RABBITMQ_DEFAULT_USER"],
        servers["RABBITMQ_DEFAULT_PASS"],
    )


@pytest.mark.parametrize("name", ["POSTGRES_URL", "MONGODB_URL", "AMQP_URL"])
def test_the_urls_for_the_servers_alone_lead_to_them(name: str):
    """Where there is no apt, these three and `make run` are the way."""
    told = re.findall(rf"^#   {name}=(\S+)$", TEXT, re.MULTILINE)
    parts = urlsplit(environment("setup", {})[name])
    assert parts.hostname is not None
    assert parts.port is not None

    on_the_host = container_ports(parts.hostname)[parts.port]
    assert told == [parts.geturl().replace(f"{parts.hostname}:{parts.port}", on_the_host)]


def test_the_api_is_where_the_code_expects_it():
    """The same address as with `make run`, so that whatever is written about one holds for the other."""
    gateway = from_env(infra.gateway.__main__.Settings, environment("gateway", {}))
    exposed = [argument for instruction, argument in DOCKERFILE if instruction == "EXPOSE"]

    assert exposed == [str(gateway.port)]
    assert container_ports("gateway") == {gateway.port: f"127.0.0.1:{DEFAULT_PORT}"}
    # Docker's ports do not reach a process that listens to its own container only.
    assert gateway.host == "0.0.0.0"


@pytest.mark.parametrize("service", ["gateway", "triggers"])
def test_links_lead_to_the_api(service: str):
    """They are in e-mails, where nobody can correct them."""
    assert environment(service, {})["PUBLIC_URL"] == "http://127.0.0.1:8080"
    assert environment(service, {"PORT": "9000"})["PUBLIC_URL"] == "http://127.0.0.1:9000"
    assert environment(service, {"PUBLIC_URL": "https://example.org"})["PUBLIC_URL"] == "https://example.org"


def test_e_mails_go_to_mailpit_unless_told_otherwise(dotenv: dict[str, str]):
    """What is tried on one machine must not write to strangers."""
    notify = from_env(NotifySettings, environment("triggers", dotenv))

    assert notify.mail_transport == "smtp"
    assert (notify.smtp_server.host, notify.smtp_server.port) == ("mailpit", 1025)
    assert notify.sender.domain == "localhost"


@pytest.mark.parametrize("service", ["gateway", "triggers"])
def test_a_container_may_take_as_long_to_stop_as_its_process_needs(service: str):
    """Docker kills what is not gone by then, in the middle of its work."""
    drain_s = float(environment(service, {})["DRAIN_S"])

    assert seconds(SERVICES[service]["stop_grace_period"]) >= drain_s + infra.triggers.__main__._GRACE_S + 5


@pytest.mark.parametrize("service", OURS)
def test_a_process_has_no_more_rights_than_it_needs(service: str):
    """A hole in ffmpeg should not become one in the machine."""
    ours = SERVICES[service]

    assert (ours["read_only"], ours["cap_drop"], ours["security_opt"]) == (True, ["ALL"], ["no-new-privileges:true"])
    assert "privileged" not in ours


def test_videos_are_not_kept_in_memory():
    """A tmpfs is memory, and a video can be larger than that."""
    assert [mount.partition(":")[2] for mount in SERVICES["triggers"]["volumes"]] == ["/tmp"]
    assert "tmpfs" not in SERVICES["triggers"]


@pytest.fixture
def readyz() -> Iterator[HTTPServer]:
    """A server on a free port that answers /readyz with its attribute `status`."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(server.status if self.path == "/readyz" else 404)  # type: ignore[attr-defined]
            self.end_headers()

        def log_message(self, *args: object) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.mark.parametrize(("status", "exit_code"), [(200, 0), (503, 1)])
def test_the_health_check_says_what_readyz_says(status: int, exit_code: int, readyz: HTTPServer):
    """A check that cannot fail is none."""
    readyz.status = status  # type: ignore[attr-defined]
    cmd, python, option, program = SERVICES["gateway"]["healthcheck"]["test"]
    assert (cmd, python, option, program.count("8080")) == ("CMD", "python", "-c", 1)

    checked = subprocess.run(
        [sys.executable, option, program.replace("8080", str(readyz.server_port))], timeout=30, check=False
    )

    assert checked.returncode == exit_code


def test_the_health_check_fails_when_nobody_answers(readyz: HTTPServer):
    """The usual way of not being well."""
    program = SERVICES["gateway"]["healthcheck"]["test"][3]
    refused = subprocess.run(
        [sys.executable, "-c", program.replace("8080", "1")], capture_output=True, timeout=30, check=False
    )

    assert refused.returncode == 1


# The image


def _instructions(text: str) -> list[tuple[str, str]]:
    lines = re.sub(r"\\\n\s*", "", text).splitlines()
    return [(line.split()[0], line.partition(" ")[2]) for line in lines if line and not line.startswith("#")]


DOCKERFILE = _instructions((ROOT / "infra/docker/Dockerfile").read_text())
STAGES = [number for number, (instruction, _) in enumerate(DOCKERFILE) if instruction == "FROM"]
IMAGE = DOCKERFILE[STAGES[-1] :]
COPIED = [
    argument.split()[:-1]
    for instruction, argument in DOCKERFILE
    if instruction == "COPY" and not argument.startswith("--from=")
]


def test_compose_builds_the_image_from_our_dockerfile():
    """There is one image, and the command says what it does."""
    for service in OURS:
        build = SERVICES[service]["build"]
        assert (ROOT / build["context"] / build["dockerfile"]).is_file()
        # Otherwise a change of the code is not seen until somebody remembers --build.
        assert SERVICES[service]["pull_policy"] == "build"


def test_the_image_has_the_python_of_lambda():
    """What works in a container works there."""
    runtime = re.search(r"Runtime: python(\d+\.\d+)", TEMPLATE.read_text())
    assert runtime

    bases = {argument.split()[0] for instruction, argument in DOCKERFILE if instruction == "FROM"}
    assert bases == {f"python:{runtime[1]}-slim-bookworm"}


def test_the_image_installs_the_locked_packages_and_checks_them():
    """A package that is not the one we tested is not let in."""
    (install,) = [argument for instruction, argument in DOCKERFILE if instruction == "RUN" and "pip " in argument]

    assert {"--require-hashes", "--no-deps", "--only-binary", "service.txt"} <= set(install.split())
    assert ["requirements/service.txt"] in COPIED


def test_the_image_holds_nothing_that_installs_or_builds():
    """The packages come from the stage before, and pip's traces stay there."""
    runs = " ".join(argument for instruction, argument in IMAGE if instruction == "RUN")

    assert STAGES[-1] > 0
    assert not re.search(r"\b(pip|apt|apt-get|gcc|make|curl|wget)\b", runs)


def test_the_image_does_not_run_as_root():
    """Kubernetes can check a number, not a name."""
    users = [argument for instruction, argument in IMAGE if instruction == "USER"]

    assert len(users) == 1
    assert re.fullmatch(r"[1-9]\d*:[1-9]\d*", users[0])


def test_the_image_tries_the_bundled_ffmpeg_as_its_own_user():
    """Permissions and libraries are seen when it is built, not with the first video."""
    user = next(number for number, (instruction, _) in enumerate(IMAGE) if instruction == "USER")

    assert any(instruction == "RUN" and "get_ffmpeg_exe" in argument for instruction, argument in IMAGE[user:])


def test_the_image_is_a_gateway_unless_told_otherwise():
    """Both name the same command."""
    (command,) = [argument for instruction, argument in IMAGE if instruction == "CMD"]

    assert yaml.safe_load(command) == SERVICES["gateway"]["command"]


def ignored(path: str) -> bool:
    """Say whether .dockerignore keeps a path from the builder: the last pattern that fits decides."""
    parts = path.split("/")
    beginnings = ["/".join(parts[:length]) for length in range(1, len(parts) + 1)]
    answer = False
    for line in (ROOT / ".dockerignore").read_text().splitlines():
        if line and not line.startswith("#"):
            pattern = line.removeprefix("!")
            if any(_fits(beginning, pattern) for beginning in beginnings):
                answer = not line.startswith("!")
    return answer


def _fits(path: str, pattern: str) -> bool:
    if pattern.startswith("**/"):
        return any(fnmatchcase(part, pattern.removeprefix("**/")) for part in path.split("/"))
    pieces, parts = pattern.split("/"), path.split("/")
    return len(pieces) == len(parts) and all(map(fnmatchcase, parts, pieces))


def test_all_that_the_image_copies_is_there():
    """A moved file would be seen only when an image is built."""
    sources = [source for copied in COPIED for source in copied]

    assert sources == ["requirements/service.txt", "template.yaml", "functions", "infra"]
    for source in sources:
        assert (ROOT / source).exists()
        assert not ignored(source)


@pytest.mark.parametrize(
    "path", [".env", ".git/config", ".local/secrets.json", ".venv/bin/python", "functions/auth/__pycache__/app.pyc"]
)
def test_secrets_and_leftovers_do_not_reach_the_builder(path: str):
    """What is sent to it can end up in a layer, and stays there."""
    assert ignored(path)


def _imports(tree: ast.AST) -> Iterator[str]:
    """Yield the modules that a file imports, without those for the type checker alone."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            continue
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
        yield from _imports(node)


def test_the_image_holds_all_that_its_code_imports():
    """A package that only the tests or `make run` have would be missed when the container starts."""
    files = [
        file
        for folder in ("functions", "infra")
        for file in (ROOT / folder).rglob("*.py")
        if not ignored(file.relative_to(ROOT).as_posix())
    ]
    modules = {module for file in files for module in _imports(ast.parse(file.read_text()))}
    ours = {module for module in modules if module.split(".")[0] in {"functions", "infra"}}
    others = {module.split(".")[0] for module in modules - ours} - sys.stdlib_module_names
    distributions = importlib.metadata.packages_distributions()
    locked = set(re.findall(r"^([a-z0-9-]+)==", (ROOT / "requirements/service.txt").read_text(), re.MULTILINE))

    assert len(files) > 50
    assert {"chalice", "pymongo", "uvicorn", "yaml"} <= others
    assert {name for name in others if locked.isdisjoint(map(_normal, distributions.get(name, [name])))} == set()
    assert {module for module in ours if ignored(module.replace(".", "/"))} == set()


def _normal(distribution: str) -> str:
    return re.sub(r"[-_.]+", "-", distribution).lower()


def test_setup_names_the_function_that_cannot_run(dotenv: dict[str, str]):
    """Two functions read the same variable; whoever set it for one looks there first."""
    with pytest.raises(InvalidSettings, match=r"^AuthFunction cannot run\. .* JWT_KEYS is not set"):
        check_settings(load_template().functions.values(), environment("setup", {**dotenv, "JWT_KEYS": ""}))
