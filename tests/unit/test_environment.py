"""The environment that settings are read from, with secrets as AWS Secrets Manager gives them."""

import importlib
import json
import subprocess
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING

import boto3
import pytest
from moto import mock_aws

from functions.shared.environment import environment
from functions.shared.settings import InvalidSettings
from infra.template import load_template

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


@pytest.mark.parametrize("name", load_template().functions)
def test_every_function_reads_its_secrets(secrets: "SecretsManagerClient", monkeypatch: pytest.MonkeyPatch, name: str):
    """One that read the variables alone would work everywhere but on AWS."""
    module = importlib.import_module(load_template().functions[name].handler.rpartition(".")[0])
    monkeypatch.setenv("SECRETS", "nowhere")

    with pytest.raises(InvalidSettings, match=r"^The secret nowhere cannot be read"):
        module.connect()
