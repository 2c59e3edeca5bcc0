"""compose.yaml, held against the code. No container runs here, so what can drift apart is compared."""

import re
import subprocess
import sys
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import jsonschema
import pytest
import yaml

import infra.gateway.__main__
import infra.host.__main__
import infra.prepare
import infra.triggers.__main__
from functions.auth.tokens import parse_keys
from functions.notify.settings import Settings as NotifySettings
from functions.shared.links import link_keys
from functions.shared.metrics import Sink
from functions.shared.settings import InvalidSettings, from_env
from infra.local.supervisor import DEFAULT_PORT
from infra.metrics import ServerSettings
from infra.settings import check_settings
from infra.template import load_template
from tests.deployment import (
    HOSTED,
    OURS,
    ROOT,
    TRIGGERED,
    checked_of,
    endpoints,
    image_of,
    settings_of,
    variables_of,
)

TEXT = (ROOT / "compose.yaml").read_text()
COMPOSE: dict[str, Any] = yaml.safe_load(TEXT)
SERVICES: dict[str, Any] = COMPOSE["services"]
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
    given = {name: interpolate(value, environ) for name, value in SERVICES[service].get("environment", {}).items()}
    return {**(image_of(service).env if service in OURS else {}), **given}


def container_ports(service: str) -> dict[int, str]:
    """Return the published ports of a container, with where they are on the host: address and port."""
    published = [interpolate(port, {}).rpartition(":") for port in SERVICES[service].get("ports", [])]
    return {int(container): host for host, _, container in published}


def seconds(duration: str) -> int:
    """Read 25s."""
    match = re.fullmatch(r"(\d+)s", duration)
    assert match, duration
    return int(match[1])


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
        "volumes": {"type": "object", "additionalProperties": {"type": "null"}},
        "networks": {
            "type": "object",
            "additionalProperties": {
                "type": ["object", "null"],
                "additionalProperties": False,
                "properties": {"internal": {"const": True}},
            },
        },
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
                        "required": ["context", "dockerfile", "target"],
                        "properties": {key: {"type": "string"} for key in ("context", "dockerfile", "target")},
                    },
                    "pull_policy": {"enum": ["build"]},
                    "command": TEXTS,
                    "environment": {"type": "object", "additionalProperties": {"type": ["string", "number"]}},
                    "ports": TEXTS,
                    "volumes": TEXTS,
                    "networks": TEXTS,
                    "tmpfs": TEXTS,
                    "mem_limit": {"type": "string", "pattern": r"^\d+[mg]$"},
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
    assert all(SERVICES[service]["image"] == f"video2mp3-{service}:local" for service in OURS)


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

    assert {on for _, on, _ in waits} == {"setup", *HOSTED, "postgres", "mongo", "rabbitmq", "mailpit"}
    for _, on, condition in waits:
        if condition == "service_healthy":
            assert "healthcheck" in SERVICES[on] or image_of(on).health_check
        else:
            assert SERVICES[on]["restart"] == "no"


def test_nothing_of_ours_starts_before_setup_has_succeeded():
    """Functions that run on yesterday's tables fail in ways that nobody foresaw."""
    for service in set(OURS) - {"setup"}:
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
def test_a_process_is_told_only_what_it_reads(service: str):
    """A variable that is misspelt does nothing; a secret that is not needed can only be lost."""
    assert set(SERVICES[service]["environment"]) <= variables_of(service)


@pytest.mark.parametrize("service", OURS)
def test_a_process_is_told_all_that_it_and_its_functions_need(service: str, dotenv: dict[str, str]):
    """What is missing would be seen at the first call of the function that needs it."""
    given = environment(service, dotenv)

    for struct in settings_of(service):
        from_env(struct, given)


def test_the_converter_holds_no_key_to_anybodys_account():
    """What ffmpeg reads, strangers send. Whoever gets out of it must find neither keys nor passwords of people."""
    assert {"JWT_KEYS", "LINK_KEYS", "POSTGRES_URL", "SMTP_URL"}.isdisjoint(SERVICES["convert"]["environment"])


def test_the_converter_reaches_its_two_servers_and_nothing_else():
    """Nor is there a way out, to where it could send what it was given."""
    assert SERVICES["convert"]["networks"] == ["data"]
    assert COMPOSE["networks"]["data"] == {"internal": True}
    assert {"mongo", "rabbitmq"} == {name for name in IMAGES if "data" in networks(name)}


def networks(service: str) -> set[str]:
    """Return the networks that a service is in."""
    return set(SERVICES[service].get("networks", ["default"]))


def test_every_network_is_declared_and_used():
    """Compose refuses one that is not declared."""
    assert set().union(*map(networks, SERVICES)) == set(COMPOSE["networks"])


@pytest.mark.parametrize("service", [name for name, service in SERVICES.items() if "ports" in service])
def test_a_published_port_has_a_network_that_leads_to_it(service: str):
    """Docker publishes no port of a container whose networks are all internal, and does not say so."""
    assert [name for name in networks(service) if not COMPOSE["networks"][name]]


@pytest.mark.parametrize("service", sorted({*HOSTED, *TRIGGERED, "setup"}))
def test_only_the_gateway_can_be_called_from_outside(service: str):
    """A host believes whoever calls it about who is calling."""
    assert "ports" not in SERVICES[service]


def test_the_gateway_calls_each_function_at_its_host():
    """A function that is not named would run in the gateway, which has neither its packages nor its secrets."""
    given = dict(endpoint.split("=", 1) for endpoint in environment("gateway", {})["FUNCTION_ENDPOINTS"].split(","))

    assert given == endpoints()
    assert set(SERVICES["gateway"]["depends_on"]) >= HOSTED
    for package in HOSTED:
        assert networks(package) & networks("gateway")


@pytest.mark.parametrize("service", sorted(HOSTED))
def test_a_host_listens_where_it_is_called(service: str):
    """Docker's other containers do not reach a process that listens to its own container only."""
    host = from_env(infra.host.__main__.Settings, environment(service, {}))

    assert (host.host, f"http://{service}:{host.port}") == ("0.0.0.0", endpoints()[f"{service.title()}Function"])


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
    urls = [url for name, url in environment(service, {}).items() if name.endswith("_URL") and name != "PUBLIC_URL"]

    # All but the page need one.
    assert bool(urls) is (service != "page")
    for url in urls:
        parts = urlsplit(url)
        assert parts.hostname is not None
        assert SERVICES[service]["depends_on"][parts.hostname] == {"condition": "service_healthy"}
        assert parts.port in container_ports(parts.hostname)
        assert networks(service) & networks(parts.hostname)


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

    assert container_ports("gateway") == {gateway.port: f"127.0.0.1:{DEFAULT_PORT}"}
    # Docker's ports do not reach a process that listens to its own container only.
    assert gateway.host == "0.0.0.0"


@pytest.mark.parametrize("service", sorted({"gateway", *HOSTED, *TRIGGERED}))
def test_metrics_are_told_inside_of_the_networks_alone(service: str):
    """They say how much is going on, and to whom that is of interest."""
    given = from_env(ServerSettings, environment(service, {}))

    assert (given.metrics, given.metrics_host, given.metrics_port) == (Sink.PROMETHEUS, "0.0.0.0", 9100)
    assert given.metrics_port not in container_ports(service)


@pytest.mark.parametrize("service", ["download", "notify"])
def test_links_lead_to_the_api(service: str):
    """They are in e-mails, where nobody can correct them."""
    assert environment(service, {})["PUBLIC_URL"] == "http://127.0.0.1:8080"
    assert environment(service, {"PORT": "9000"})["PUBLIC_URL"] == "http://127.0.0.1:9000"
    assert environment(service, {"PUBLIC_URL": "https://example.org"})["PUBLIC_URL"] == "https://example.org"


def test_e_mails_go_to_mailpit_unless_told_otherwise(dotenv: dict[str, str]):
    """What is tried on one machine must not write to strangers."""
    notify = from_env(NotifySettings, environment("notify", dotenv))

    assert notify.mail_transport == "smtp"
    assert (notify.smtp_server.host, notify.smtp_server.port) == ("mailpit", 1025)
    assert notify.sender.domain == "localhost"


@pytest.mark.parametrize("service", sorted(set(OURS) - {"setup"}))
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


@pytest.mark.parametrize("service", [*OURS, "mongo"])
def test_a_process_cannot_take_all_memory(service: str):
    """With one that does, Linux ends another. MongoDB's cache takes half of all that it may have."""
    assert "mem_limit" in SERVICES[service]


def test_videos_are_not_kept_in_memory():
    """A tmpfs is memory, and a video can be larger than that."""
    assert [mount.partition(":")[2] for mount in SERVICES["convert"]["volumes"]] == ["/tmp"]
    assert "tmpfs" not in SERVICES["convert"]


# The images


@pytest.mark.parametrize("service", OURS)
def test_compose_builds_an_image_from_our_dockerfile(service: str):
    """One for each process, with what it needs and no more."""
    build = SERVICES[service]["build"]

    assert (ROOT / build["context"] / build["dockerfile"]).is_file()
    assert build["target"] == service
    # Otherwise a change of the code is not seen until somebody remembers --build.
    assert SERVICES[service]["pull_policy"] == "build"
    # What it runs, the image says.
    assert "command" not in SERVICES[service]


@pytest.mark.parametrize("service", sorted({*HOSTED, *TRIGGERED}))
def test_setup_checks_what_functions_are_told(service: str):
    """One that cannot be used stops setup, and what it says is seen; a function would end again and again."""
    told = set(SERVICES[service]["environment"]) & checked_of(service)

    assert told - {"PUBLIC_URL"} <= set(SERVICES["setup"]["environment"])


def test_setup_names_the_function_that_cannot_run(dotenv: dict[str, str]):
    """Two functions read the same variable; whoever set it for one looks there first."""
    with pytest.raises(InvalidSettings, match=r"^AuthFunction cannot run\. .* JWT_KEYS is not set"):
        check_settings(load_template().functions.values(), environment("setup", {**dotenv, "JWT_KEYS": ""}))
