"""`make deploy` against an AWS on this machine: the whole template, with small functions in place of the real ones."""

import hashlib
import io
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import boto3
import httpx
import pytest

from infra.package.deploy.__main__ import main
from infra.package.deploy.deploy import Deployment
from infra.package.deploy.stages import FOLDER
from infra.package.failures import CannotPackage
from infra.package.packages import Package, names
from infra.template import load_template
from tests.ministack import running_ministack, use_aws

ENVIRON = {
    "POSTGRES_URL": "postgresql://ann:secret@127.0.0.1:1/x",
    "MONGODB_URL": "mongodb://127.0.0.1:1/x",
    "AMQP_URL": "amqp://ann:s%40cret@127.0.0.1:1/%2F",
}
# Says what it was called with.
ECHO = '''
"""{note}"""

import json


def answer(event, context):
    keys = ("path", "body", "isBase64Encoded")
    said = {{key: event.get(key) for key in keys}} | {{"stage_path": event["requestContext"]["path"]}}
    return {{"statusCode": 200, "headers": {{"Content-Type": "application/json"}}, "body": json.dumps(said)}}


app = handler = answer
'''


@dataclass
class Packager:
    """Makes packages that only answer. `notes` are comments in their code, by package."""

    notes: dict[str, str] = field(default_factory=dict)
    made: list[str] = field(default_factory=list)

    def __call__(self, name: str, *, runtime: str, output: Path, say: Callable[[str], None]) -> Package:
        handlers = {each.handler for each in load_template().functions.values() if each.package == name}
        content = io.BytesIO()
        with zipfile.ZipFile(content, "w") as file:
            for module in sorted(handler.rpartition(".")[0] for handler in handlers):
                info = zipfile.ZipInfo(module.replace(".", "/") + ".py")
                info.external_attr = 0o644 << 16
                file.writestr(info, ECHO.format(note=f"{name} {self.notes.get(name, '')}"))
        output.mkdir(parents=True, exist_ok=True)
        path = output / f"{name}.zip"
        path.write_bytes(content.getvalue())
        self.made.append(name)
        size = path.stat().st_size
        return Package(name, path, size, size, hashlib.sha256(content.getvalue()).hexdigest(), "not tried")


@dataclass
class Place:
    """An emulator, and what was said while something was deployed there."""

    folder: Path
    packager: Packager = field(default_factory=Packager)
    said: list[str] = field(default_factory=list)
    environ: dict[str, str] = field(default_factory=dict)

    def deployment(self) -> Deployment:
        self.said.clear()
        return Deployment(
            "local", say=self.said.append, environ=self.environ, make_package=self.packager, output=self.folder
        )


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    folder = tmp_path_factory.mktemp("deploy")
    with running_ministack(folder) as environ, pytest.MonkeyPatch.context() as monkeypatch:
        use_aws(environ, monkeypatch)
        yield Place(folder, environ=ENVIRON | environ)


def test_everything_is_deployed_once(place: Place) -> None:
    """And a second deployment of the same finds nothing to do, so it can be repeated whenever one is in doubt."""
    first = place.deployment().all()
    told = list(place.said)
    second = place.deployment().all()

    assert first is not None
    assert second is not None
    assert (first.before, second.before) == ({}, first.after)
    assert second.after == first.after
    assert first.after.keys() == load_template().functions.keys()
    assert first.after["AuthFunction"] == first.after["AuthorizerFunction"]
    assert len(set(first.after.values())) == len(names())
    assert any("ConvertFunction" in line and "AWS::Lambda::Function" in line for line in told)
    assert "video2mp3-local: nothing to change" in place.said
    assert not any("Secret" in line or "uploading" in line or "COMPLETE" in line for line in place.said)
    assert httpx.get(f"{second.url}/healthz").status_code == 200


def test_bytes_and_paths_reach_a_function_as_on_aws(place: Place) -> None:
    """A video is no text. And the stage in front of a path is what a Location begins with."""
    deployed = place.deployment().all()
    assert deployed is not None

    answer = httpx.post(
        f"{deployed.url}/v1/auth/register", content=b"\xff\x00\xfe", headers={"Content-Type": "video/mp4"}
    ).json()

    assert answer == {
        "path": "/v1/auth/register",
        "body": "/wD+",
        "isBase64Encoded": True,
        "stage_path": "/local/v1/auth/register",
    }
    assert httpx.URL(deployed.url).path == "/local"


def test_functions_get_settings_and_names_of_secrets(place: Place) -> None:
    """No secret is in the environment of a function, where everybody can read it who may look at its settings."""
    deployed = place.deployment().all()
    assert deployed is not None
    functions, secrets = boto3.client("lambda"), boto3.client("secretsmanager")

    notify = functions.get_function_configuration(FunctionName="video2mp3-local-NotifyFunction")
    variables = notify["Environment"]["Variables"]
    broker = secrets.get_secret_value(SecretId="video2mp3/local/broker")["SecretString"]

    assert variables["PUBLIC_URL"] == deployed.url
    assert [arn.rpartition("/")[2].rpartition("-")[0] for arn in variables["SECRETS"].split(",")] == [
        "mongodb",
        "link-keys",
    ]
    assert not any("secret@" in value or "mongodb://" in value for value in variables.values())
    assert broker == '{"AMQP_URL": "amqp://ann:s%40cret@127.0.0.1:1/%2F", "username": "ann", "password": "s@cret"}'


def test_one_function_is_deployed_alone(place: Place) -> None:
    """It takes seconds, and the others stay as they are. Deploying everything takes back what was tried so."""
    before = place.deployment().all()
    assert before is not None
    place.packager.notes["notify"] = "tried out"
    place.packager.made.clear()

    tried = place.deployment().one("notify")
    packed = list(place.packager.made)
    again = place.deployment().one("notify")
    said = list(place.said)
    place.packager.notes.clear()
    back = place.deployment().all()

    assert packed == ["notify"]
    assert tried.before == before.after
    assert {name for name, now in tried.after.items() if now != tried.before[name]} == {"NotifyFunction"}
    assert again.after == tried.after
    assert "notify: nothing changed" in said
    assert back is not None
    assert back.after == before.after


def test_both_functions_of_a_package_get_its_code(place: Place) -> None:
    """Else the one that makes tokens and the one that checks them would differ."""
    place.deployment().all()
    place.packager.notes["auth"] = "tried out"

    tried = place.deployment().one("auth")

    changed = {name for name, now in tried.after.items() if now != tried.before[name]}
    assert changed == {"AuthFunction", "AuthorizerFunction"}


def test_nothing_is_changed_if_nobody_wants_it(place: Place) -> None:
    """The list of changes is shown before, not after."""
    before = place.deployment().all()
    assert before is not None
    place.packager.notes["sweep"] = "not wanted"

    place.said.clear()
    refused = Deployment(
        "local",
        say=place.said.append,
        confirm=lambda: False,
        environ=place.environ,
        make_package=place.packager,
        output=place.folder,
    ).all()
    place.packager.notes.clear()
    after = place.deployment().all()

    assert refused is None
    assert after is not None
    assert after.before == before.after


def test_a_function_that_cannot_be_packed_changes_nothing(place: Place) -> None:
    """Half of a deployment would be worse than none."""
    before = place.deployment().all()
    assert before is not None

    def fail(name: str, *, runtime: str, output: Path, say: Callable[[str], None]) -> Package:
        raise CannotPackage("It cannot be packed.")

    with pytest.raises(CannotPackage):
        Deployment("local", say=print, environ=place.environ, make_package=fail, output=place.folder).all()

    after = place.deployment().all()
    assert after is not None
    assert after.before == before.after


def test_secrets_that_are_changed_reach_the_functions(place: Place) -> None:
    """A function reads them once, when it starts. So it has to start anew."""
    place.deployment().all()
    functions, secrets = boto3.client("lambda"), boto3.client("secretsmanager")
    place.environ["MONGODB_URL"] = "mongodb://127.0.0.1:2/x"

    place.deployment().all()
    kept = secrets.get_secret_value(SecretId="video2mp3/local/mongodb")["SecretString"]
    place.deployment().all(renew_secrets=True)

    assert "127.0.0.1:1" in kept
    assert "Secret video2mp3/local/mongodb: set to what MONGODB_URL says" in place.said
    assert "127.0.0.1:2" in secrets.get_secret_value(SecretId="video2mp3/local/mongodb")["SecretString"]
    for name in load_template().functions:
        found = functions.get_function_configuration(FunctionName=f"video2mp3-local-{name}")
        assert found["Description"].startswith("Read its secrets after ")


def test_pages_that_may_call_can_be_others_later(place: Place, tmp_path: Path) -> None:
    """What the API answers by itself has to say the same as its functions, or a page cannot read why it failed."""
    origin = "https://page.example.org"
    settings = (FOLDER / "local.toml").read_text()
    before = place.deployment().all()
    assert before is not None
    closed = httpx.get(f"{before.url}/nowhere")

    (tmp_path / "local.toml").write_text(f'{settings}\ncors_origin = "{origin}"')
    Deployment(
        "local",
        say=print,
        environ=place.environ,
        make_package=place.packager,
        stages=tmp_path,
        output=place.folder,
    ).all()
    opened = httpx.get(f"{before.url}/nowhere")
    place.deployment().all()
    closed_again = httpx.get(f"{before.url}/nowhere")

    assert [answer.status_code for answer in (closed, opened, closed_again)] == [404, 404, 404]
    assert opened.headers["access-control-allow-origin"] == origin
    for answer in closed, closed_again:
        assert "access-control-allow-origin" not in answer.headers
        assert answer.headers["content-type"] == "application/problem+json"


def test_what_is_not_deployed_yet_cannot_be_deployed_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """There is nothing that its code could be put into. And secrets that nobody gave are named, all at once."""
    with running_ministack(tmp_path) as environ:
        use_aws(environ, monkeypatch)
        for name in ENVIRON:
            monkeypatch.delenv(name, raising=False)
        alone, everything = main(["local", "notify"]), main(["local"])
        missing = boto3.client("secretsmanager").list_secrets()["SecretList"]

    said = capsys.readouterr().err
    assert (alone, everything) == (1, 1)
    assert "notify is not deployed there. First deploy all: make deploy STAGE=local" in said
    for purpose, variable in (("postgres", "POSTGRES_URL"), ("mongodb", "MONGODB_URL"), ("broker", "AMQP_URL")):
        assert f"The secret video2mp3/local/{purpose} is missing. Set {variable}" in said
    assert missing == []
