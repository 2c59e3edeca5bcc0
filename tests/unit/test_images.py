"""The Dockerfile, held against the code. No container runs here, so what each image would hold is worked out."""

import json
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from fnmatch import fnmatchcase
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from socket import create_connection

import pytest

import infra.gateway.__main__
import infra.host.__main__
from infra.healthcheck import check_broker, check_http
from infra.template import TEMPLATE, load_template
from tests.imports import ROOT, locked, reached

TEXT = (ROOT / "infra/docker/Dockerfile").read_text()
PACKAGES = {function.package for function in load_template().functions.values()}
SERVERS = ("gateway", "auth", "upload", "download", "page")
CONSUMERS = ("convert", "notify")
IMAGES = (*SERVERS, *CONSUMERS, "sweep", "setup")


def _stages() -> dict[str, list[tuple[str, str]]]:
    """Return the instructions of each stage, those of the stages of ours that it begins with included."""
    stages: dict[str, list[tuple[str, str]]] = {}
    for line in re.sub(r"\\\n\s*", "", TEXT).splitlines():
        instruction, _, argument = line.partition(" ")
        if instruction == "FROM":
            base, _, name = argument.split()
            stages[name] = list(stages.get(base, [("FROM", base)]))
        elif line and instruction != "#":
            stages[name].append((instruction, argument))
    return stages


STAGES = _stages()


def arguments(stage: str, instruction: str) -> list[str]:
    return [argument for each, argument in STAGES[stage] if each == instruction]


def environment(stage: str) -> dict[str, str]:
    """Return the variables that a stage sets; of several values the last counts."""
    return dict(pair.split("=", 1) for argument in arguments(stage, "ENV") for pair in argument.split())


def command(image: str) -> list[str]:
    """Return what an image runs: a module, and its arguments."""
    words: list[str] = json.loads(arguments(image, "CMD")[-1])
    python, option, *module = words
    assert (python, option) == ("python", "-m")
    return module


def lock_files(image: str) -> list[str]:
    """Return the lock files from which an image's packages are installed, as in "functions/auth"."""
    (copied,) = arguments(f"{image}-packages", "COPY")
    return [source.removeprefix("requirements/").removesuffix(".txt") for source in copied.split()[:-1]]


def code(image: str) -> list[str]:
    """Return the files and folders of ours that are in an image."""
    copied = [argument.split()[1] for argument in arguments(image, "COPY") if argument.startswith("--from=code ")]
    return [source.removeprefix("/srv/video2mp3/") for source in copied]


def called(image: str) -> set[str]:
    """Return the modules of the functions that a process calls by itself."""
    here = PACKAGES if image == "setup" else {"health"} if image == "gateway" else {image}
    handlers = [function.handler for function in load_template().functions.values() if function.package in here]
    return {handler.rpartition(".")[0] for handler in handlers}


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


# What is in them


def test_there_is_an_image_for_each_process():
    """A function that is added needs one, or has to be called by a process that has it."""
    assert set(IMAGES) - {"gateway", "setup"} == PACKAGES - {"health"}
    assert [name for name in STAGES if arguments(name, "CMD")] == list(IMAGES)


@pytest.mark.parametrize("image", IMAGES)
def test_an_image_holds_all_the_code_that_its_process_reaches(image: str):
    """A module that is missing would be seen when the container starts, or later."""
    module, *_ = command(image)
    dynamic = ["infra.postgres.env", "infra.postgres.versions"] if image == "setup" else []
    program = module if (ROOT / f"{module.replace('.', '/')}.py").is_file() else f"{module}.__main__"
    files, others = reached([program, *called(image), "infra.healthcheck", *dynamic])

    held = [ROOT / path for path in code(image)]
    packages = {name for file in lock_files(image) for name in locked(file)}
    assert len(files) > 15
    assert {file for file in files if not any(file.is_relative_to(path) for path in held)} == set()
    assert {file for file in files if ignored(file.relative_to(ROOT).as_posix())} == set()
    assert others - packages == set()


def test_an_image_runs_the_process_that_it_is_named_for():
    """One that is asked for a function that it does not hold ends at once."""
    runs = {image: command(image) for image in IMAGES}

    assert runs == {
        "gateway": ["infra.gateway"],
        **{image: ["infra.host", image] for image in SERVERS if image != "gateway"},
        **{image: ["infra.triggers", image] for image in (*CONSUMERS, "sweep")},
        "setup": ["infra.prepare"],
    }


@pytest.mark.parametrize("image", IMAGES)
def test_an_image_holds_one_function_and_its_packages(image: str):
    """What is not there has no holes, and need not be sent when it changes. Setup asks all for their settings."""
    folders = {Path(path).name for path in code(image) if path.startswith("functions/")} - {"__init__.py", "shared"}

    if image == "setup":
        assert "functions" in code(image)
        assert lock_files(image) == ["infra/setup"]
    else:
        function = "health" if image == "gateway" else image
        process = {"gateway": "gateway", **dict.fromkeys(SERVERS[1:], "host")}.get(image, "triggers")
        assert folders == {function}
        assert lock_files(image) == [f"functions/{function}", f"infra/{process}"]


@pytest.mark.parametrize("image", IMAGES)
def test_packages_are_checked_against_their_hashes(image: str):
    """A package that is not the one we tested is not let in."""
    stage = f"{image}-packages"
    files = [f"-r {Path(file).name}.txt" for file in lock_files(image)]

    assert arguments(stage, "RUN") == ["python -m venv --without-pip /opt/venv", f"pip install {' '.join(files)}"]
    assert environment(stage) == {
        "PIP_PYTHON": "/opt/venv/bin/python",
        "PIP_ONLY_BINARY": ":all:",
        "PIP_NO_DEPS": "1",
        "PIP_REQUIRE_HASHES": "1",
        "PIP_NO_CACHE_DIR": "1",
        "PIP_NO_INPUT": "1",
        "PIP_DISABLE_PIP_VERSION_CHECK": "1",
    }
    assert f"--from={stage} /opt/venv /opt/venv" in arguments(image, "COPY")


@pytest.mark.parametrize("image", IMAGES)
def test_lock_files_of_one_image_agree(image: str):
    """Otherwise pip would refuse both."""
    one, *more = [locked(file) for file in lock_files(image)]

    for other in more:
        assert {name: other[name] for name in one.keys() & other.keys()}.items() <= one.items()


def test_images_have_the_python_of_lambda():
    """What works in a container works there."""
    runtime = re.search(r"Runtime: python(\d+\.\d+)", TEMPLATE.read_text())
    assert runtime

    assert {argument for stage in STAGES for argument in arguments(stage, "FROM")} == {
        f"python:{runtime[1]}-slim-bookworm"
    }


def test_all_that_is_copied_is_there():
    """A moved file would be seen only when an image is built."""
    copied = [
        source
        for stage in STAGES
        for argument in arguments(stage, "COPY")
        if not argument.startswith("--from=")
        for source in argument.split()[:-1]
    ]

    assert {"template.yaml", "functions", "infra"} < set(copied)
    assert [source for source in copied if not (ROOT / source).exists() or ignored(source)] == []


@pytest.mark.parametrize(
    "path",
    [".env", ".git/config", ".local/secrets.json", ".venv/bin/python", "functions/auth/__pycache__/app.pyc", "build/x"],
)
def test_secrets_and_leftovers_do_not_reach_the_builder(path: str):
    """What is sent to it can end up in a layer, and stays there."""
    assert ignored(path)


# How they run


@pytest.mark.parametrize("image", IMAGES)
def test_an_image_runs_as_nobody_and_holds_nothing_that_builds(image: str):
    """Kubernetes can check a number, not a name. Packages come from another stage, and pip's traces stay there."""
    runs = arguments(image, "RUN")

    assert arguments(image, "USER") == ["10001:10001"]
    assert runs[0].startswith("groupadd --gid 10001 ")
    assert not re.search(r"\b(pip|apt|apt-get|gcc|make|curl|wget)\b", " ".join(runs))


def test_the_image_of_convert_tries_ffmpeg_as_its_own_user():
    """Permissions and libraries are seen when it is built, not with the first video."""
    instructions = [instruction for instruction, _ in STAGES["convert"]]
    tries = next(number for number, (_, argument) in enumerate(STAGES["convert"]) if "get_ffmpeg_exe" in argument)

    assert instructions[tries] == "RUN"
    assert tries > instructions.index("USER")


@pytest.mark.parametrize("image", IMAGES)
def test_a_process_keeps_little_memory_and_looks_for_no_aws(image: str):
    """Where there is no AWS, a client would wait some seconds for its roles."""
    variables = environment(image)

    assert (variables["MALLOC_ARENA_MAX"], variables["AWS_EC2_METADATA_DISABLED"]) == ("2", "true")
    assert variables["PATH"].startswith("/opt/venv/bin:")


@pytest.mark.parametrize("image", SERVERS)
def test_a_server_listens_where_it_says_and_is_asked_there(image: str):
    """Published ports do not reach a process that listens to its own container only."""
    variables = environment(image)
    port = 8080 if image == "gateway" else infra.host.__main__.Settings().port

    assert (variables["HOST"], variables["PORT"]) == ("0.0.0.0", str(port))
    assert arguments(image, "EXPOSE") == [str(port)]
    assert arguments(image, "HEALTHCHECK")[-1].endswith('CMD ["python", "-m", "infra.healthcheck", "http"]')


@pytest.mark.parametrize("image", CONSUMERS)
def test_a_consumer_is_asked_for_its_connection(image: str):
    """It has no port to ask at."""
    assert arguments(image, "HEALTHCHECK")[-1].endswith('CMD ["python", "-m", "infra.healthcheck", "broker"]')


@pytest.mark.parametrize("image", ["sweep", "setup"])
def test_what_cannot_be_asked_is_not(image: str):
    """A check that cannot fail says nothing, and `docker compose up --wait` fails on an explicit NONE.

    For a check that is configured but does not run, Compose finds no health:
    https://github.com/docker/compose/blob/v2.24.0/pkg/compose/convergence.go
    """
    assert arguments(image, "HEALTHCHECK") == []


# The health checks


@pytest.fixture
def server() -> Iterator[HTTPServer]:
    """A server on a free port that answers /healthz with its attribute `status`."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(running.status if self.path == "/healthz" else 404)  # type: ignore[attr-defined]
            self.end_headers()

        def log_message(self, *args: object) -> None:
            pass

    running = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield running
    running.shutdown()
    thread.join()
    running.server_close()


def test_a_server_is_well_if_it_says_so(server: HTTPServer):
    """A check that cannot fail is none."""
    environ = {"PORT": str(server.server_port)}

    server.status = 200  # type: ignore[attr-defined]
    assert check_http(environ) is None
    server.status = 503  # type: ignore[attr-defined]
    assert check_http(environ) == "/healthz answers 503."
    assert "Nobody answers on port 1: " in (check_http({"PORT": "1"}) or "")


def test_a_consumer_is_well_while_it_is_connected(server: HTTPServer):
    """Without a connection it converts nothing, and its process is alive all the same."""
    environ = {"AMQP_URL": f"amqp://somebody:secret@127.0.0.1:{server.server_port}/%2F"}
    wrong = f"There is no connection to port {server.server_port}, which AMQP_URL names."

    assert check_broker(environ) == wrong
    with create_connection(("127.0.0.1", server.server_port)):
        assert check_broker(environ) is None
    assert check_broker({"AMQP_URL": "amqps://broker.example"}) == wrong.replace(str(server.server_port), "5671")


@pytest.mark.parametrize("port", [None, "", "http", "-1", "99999"])
def test_a_port_that_is_none_is_told(port: str | None):
    """Docker keeps the words of a check; a traceback hides them."""
    environ = {} if port is None else {"PORT": port}

    assert re.match(r"PORT is not set to a number\.|Nobody answers on port 99999: ", check_http(environ) or "")


@pytest.mark.parametrize(
    "url", [None, "", "broker.example", "http://broker.example", "amqp://user:se/cret@broker:5672"]
)
def test_a_url_that_is_none_is_told_without_what_is_in_it(url: str | None):
    """It holds a password, and whoever may look at containers may read what a check says."""
    environ = {} if url is None else {"AMQP_URL": url}

    assert check_broker(environ) == "AMQP_URL is not set to the URL of a broker."


@pytest.mark.parametrize(("check", "exit_code"), [("http", 0), ("nothing", 1)])
def test_the_check_can_be_run_as_the_images_run_it(check: str, exit_code: int, server: HTTPServer):
    """Docker looks at the exit code and keeps what was written."""
    server.status = 200  # type: ignore[attr-defined]

    asked = subprocess.run(
        [sys.executable, "-m", "infra.healthcheck", check],
        cwd=ROOT,
        env={"PORT": str(server.server_port)},
        timeout=30,
        capture_output=True,
        text=True,
        check=False,
    )

    assert asked.returncode == exit_code
    assert bool(asked.stderr) is bool(exit_code)
