"""The environment that settings are read from, with secrets as AWS Secrets Manager gives them."""

import contextlib
import importlib
import json
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import TYPE_CHECKING

import boto3
import pytest
from moto import mock_aws
from pymongo.database import Database

import functions.download.app
from functions.shared import environment as module
from functions.shared.environment import environment
from functions.shared.mongo import Document, connect_mongo
from functions.shared.once import once
from functions.shared.problems import Unavailable
from functions.shared.settings import InvalidSettings
from infra.gateway.__main__ import main as gateway_main
from infra.host.__main__ import main as host_main
from infra.template import load_template
from tests.events import http_event, json_of

if TYPE_CHECKING:
    from mypy_boto3_secretsmanager import SecretsManagerClient

REGION = "eu-central-1"
CONTENT = "mongodb://app:pa55word@db.internal/v"


@pytest.fixture
def secrets(monkeypatch: pytest.MonkeyPatch) -> Iterator["SecretsManagerClient"]:
    for name, value in {
        "AWS_ACCESS_KEY_ID": "testing",
        "AWS_SECRET_ACCESS_KEY": "testing",
        "AWS_DEFAULT_REGION": REGION,
    }.items():
        monkeypatch.setenv(name, value)
    for name in ("SECRETS", "MONGODB_URL", "AMQP_URL", "AWS_ENDPOINT_URL", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    with mock_aws():
        yield boto3.client("secretsmanager", region_name=REGION)


def test_without_secrets_it_is_the_environment_and_boto3_stays_out():
    """On a laptop there is no AWS to ask, and importing boto3 would slow every start."""
    program = (
        "import sys; from functions.shared.environment import environment; import os;"
        "assert environment() is os.environ; assert 'boto3' not in sys.modules, 'boto3 was imported'"
    )

    subprocess.run([sys.executable, "-c", program], check=True, timeout=60, env={"SECRETS": ""})


def test_what_the_secrets_hold_is_added(secrets: "SecretsManagerClient", monkeypatch: pytest.MonkeyPatch):
    """They are named by id or by ARN, and an empty place in the list is a secret that this stage does without."""
    secrets.create_secret(Name="video2mp3/dev/mongodb", SecretString=json.dumps({"MONGODB_URL": CONTENT}))
    broker = {"AMQP_URL": "amqps://b", "username": "u", "password": "p"}
    arn = secrets.create_secret(Name="video2mp3/dev/broker", SecretString=json.dumps(broker))["ARN"]
    monkeypatch.setenv("SECRETS", f"video2mp3/dev/mongodb, {arn},,")
    monkeypatch.setenv("LEASE_S", "7")

    found = environment()

    assert (found["MONGODB_URL"], found["AMQP_URL"], found["LEASE_S"]) == (CONTENT, "amqps://b", "7")


@pytest.mark.parametrize(("variable", "used"), [("mongodb://other", "mongodb://other"), ("", CONTENT)])
def test_a_variable_wins_over_a_secret_unless_it_is_empty(
    secrets: "SecretsManagerClient", monkeypatch: pytest.MonkeyPatch, variable: str, used: str
):
    """So one function can be tried with another database; and an empty variable is none, here as everywhere."""
    secrets.create_secret(Name="mongodb", SecretString=json.dumps({"MONGODB_URL": CONTENT}))
    monkeypatch.setenv("SECRETS", "mongodb")
    monkeypatch.setenv("MONGODB_URL", variable)

    assert environment()["MONGODB_URL"] == used


@pytest.mark.parametrize(
    "content", [CONTENT, json.dumps([CONTENT]), json.dumps({"MONGODB_URL": {"url": CONTENT}}), json.dumps({CONTENT: 1})]
)
def test_a_secret_that_is_something_else_is_named_and_its_content_is_not(
    secrets: "SecretsManagerClient", monkeypatch: pytest.MonkeyPatch, content: str
):
    """The error goes to the log with its causes, and the log is read by more people than the secret."""
    secrets.create_secret(Name="video2mp3/dev/mongodb", SecretString=content)
    monkeypatch.setenv("SECRETS", "video2mp3/dev/mongodb")

    with pytest.raises(InvalidSettings, match=r"^The secret video2mp3/dev/mongodb is not a JSON object") as refused:
        environment()

    assert "pa55word" not in str(refused.value)
    assert refused.value.__suppress_context__


def test_a_secret_of_bytes_is_named(secrets: "SecretsManagerClient", monkeypatch: pytest.MonkeyPatch):
    """It has no text at all."""
    secrets.create_secret(Name="bytes", SecretBinary=b"\x00")
    monkeypatch.setenv("SECRETS", "bytes")

    with pytest.raises(InvalidSettings, match=r"^The secret bytes is not a JSON object of strings\.$"):
        environment()


def test_a_secret_that_cannot_be_read_is_named(secrets: "SecretsManagerClient", monkeypatch: pytest.MonkeyPatch):
    """It is missing, or the function's role may not read it: AWS says which."""
    monkeypatch.setenv("SECRETS", "nowhere")

    with pytest.raises(InvalidSettings, match=r"^The secret nowhere cannot be read: .*ResourceNotFoundException"):
        environment()


@pytest.mark.parametrize("variable", ["AWS_DEFAULT_REGION", "AWS_ACCESS_KEY_ID"])
def test_without_a_region_or_credentials_it_is_said(
    secrets: "SecretsManagerClient", monkeypatch: pytest.MonkeyPatch, variable: str
):
    """Whoever sets SECRETS where there is no AWS must see a sentence."""
    monkeypatch.setenv("SECRETS", "mongodb")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_CONFIG_FILE", "/dev/null")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", "/dev/null")
    monkeypatch.delenv("AWS_REGION", raising=False)
    monkeypatch.delenv(variable)
    monkeypatch.setattr(boto3, "DEFAULT_SESSION", None)

    with pytest.raises(InvalidSettings, match=r"^(SECRETS|The secret mongodb) cannot be "):
        environment()


@contextlib.contextmanager
def answering(status: int, body: bytes) -> Iterator[str]:
    """Run what answers this to every request, in the place of Secrets Manager."""

    class Answer(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Answer) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


@contextlib.contextmanager
def out_of_order(how: str) -> Iterator[str]:
    """Yield the address of a Secrets Manager that cannot be used now."""
    if how == "refuses connections":
        with socket.create_server(("127.0.0.1", 0)) as server:
            port = server.getsockname()[1]
        yield f"http://127.0.0.1:{port}"
    elif how == "says nothing":
        with socket.create_server(("127.0.0.1", 0)) as server:
            yield f"http://127.0.0.1:{server.getsockname()[1]}"
    else:
        status, body = {
            "is broken": (500, b'{"__type": "InternalServiceError"}'),
            "is behind a broken proxy": (502, b"<html>Bad Gateway</html>"),
            "is busy": (400, b'{"__type": "ThrottlingException", "message": "Rate exceeded"}'),
        }[how]
        with answering(status, body) as url:
            yield url


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> None:
    """A process on AWS with one secret, that does not wait for long."""
    settings = {
        "SECRETS": "mongodb",
        "AWS_ACCESS_KEY_ID": "testing",
        "AWS_SECRET_ACCESS_KEY": "testing",
        "AWS_DEFAULT_REGION": REGION,
    }
    for name, value in settings.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(module, "READ_TIMEOUT_S", 0.2)


@pytest.mark.parametrize(
    "how", ["refuses connections", "says nothing", "is broken", "is behind a broken proxy", "is busy"]
)
@pytest.mark.usefixtures("asked")
def test_an_outage_of_secrets_manager_is_no_fault_of_the_settings(monkeypatch: pytest.MonkeyPatch, how: str):
    """Requests are to be sent again, and messages to come again, until it is over."""
    with out_of_order(how) as url:
        monkeypatch.setenv("AWS_ENDPOINT_URL", url)

        with pytest.raises(Unavailable, match="secrets"):
            environment()


@pytest.mark.usefixtures("asked")
def test_a_secret_that_may_not_be_read_is_named(monkeypatch: pytest.MonkeyPatch):
    """The function's role lacks it; to try again changes nothing."""
    with answering(400, b'{"__type": "AccessDeniedException", "message": "not authorized"}') as url:
        monkeypatch.setenv("AWS_ENDPOINT_URL", url)

        with pytest.raises(InvalidSettings, match=r"^The secret mongodb cannot be read: .*AccessDenied"):
            environment()


@pytest.mark.usefixtures("asked")
def test_a_function_whose_first_request_comes_in_an_outage_works_after_it(monkeypatch: pytest.MonkeyPatch):
    """A cold start is bad luck: 503 tells the client to come again, and by then nothing has to be started anew."""
    databases: list[Database[Document]] = []

    def connect_and_note(url: str) -> Database[Document]:
        databases.append(connect_mongo(url))
        return databases[-1]

    monkeypatch.setattr(functions.download.app, "connect_mongo", connect_and_note)
    app = functions.download.app.create_app(once(functions.download.app.connect))
    settings = {"MONGODB_URL": CONTENT, "AMQP_URL": "amqp://x", "LINK_KEYS": "k" * 32}
    with out_of_order("refuses connections") as url:
        monkeypatch.setenv("AWS_ENDPOINT_URL", url)
        during = app(http_event("GET", "/v1/downloads/{token}", {"token": "a.b.c"}), None)
    with answering(200, json.dumps({"SecretString": json.dumps(settings)}).encode()) as url:
        monkeypatch.setenv("AWS_ENDPOINT_URL", url)
        after = app(http_event("GET", "/v1/downloads/{token}", {"token": "a.b.c"}), None)

    databases[0].client.close()
    assert (during["statusCode"], json_of(during)["type"]) == (503, "/problems/unavailable")
    assert during["headers"]["Retry-After"] == "5"
    assert (after["statusCode"], json_of(after)["type"]) == (403, "/problems/invalid-link")


@pytest.mark.parametrize("main", [gateway_main, lambda: host_main(arguments=["download"])], ids=["gateway", "host"])
@pytest.mark.usefixtures("asked")
def test_a_process_that_starts_in_an_outage_says_so_and_ends(monkeypatch: pytest.MonkeyPatch, main):
    """Whoever started it starts it again; and whoever looks into its log finds a sentence instead of a traceback."""
    monkeypatch.setattr("infra.gateway.__main__.end_well_on_signals", lambda: None)
    monkeypatch.setattr("infra.host.__main__.end_well_on_signals", lambda: None)
    with out_of_order("refuses connections") as url:
        monkeypatch.setenv("AWS_ENDPOINT_URL", url)

        with pytest.raises(SystemExit, match=r"^The (gateway|host) cannot start: The store of secrets does not answer"):
            main()


@pytest.mark.parametrize("name", load_template().functions)
def test_every_function_reads_its_secrets(secrets: "SecretsManagerClient", monkeypatch: pytest.MonkeyPatch, name: str):
    """One that read the variables alone would work everywhere but on AWS."""
    function = importlib.import_module(load_template().functions[name].handler.rpartition(".")[0])
    monkeypatch.setenv("SECRETS", "nowhere")

    with pytest.raises(InvalidSettings, match=r"^The secret nowhere cannot be read"):
        function.connect()
