"""What a deployment asks of AWS, and what it says when AWS does not want to."""

import base64
import hashlib
import io
import json
import re
import zipfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import boto3
import pytest
from boto3.exceptions import S3UploadFailedError
from botocore.exceptions import ClientError, EndpointConnectionError
from botocore.parsers import ResponseParserError
from moto import mock_aws

from functions.shared.origins import origin_headers
from infra.package.deploy.__main__ import _confirm, main
from infra.package.deploy.artifacts import Artifacts
from infra.package.deploy.aws import Aws
from infra.package.deploy.code import Code
from infra.package.deploy.deploy import Deployment
from infra.package.deploy.failures import CannotDeploy, aws_errors
from infra.package.deploy.secret_store import SECRETS, Secrets, parameter
from infra.package.deploy.stack import Change, ChangeSet, Stack
from infra.package.deploy.stages import Stage, load_stage, names
from infra.package.document import with_code, with_origin, with_plain_slashes, with_runtime
from infra.package.packages import RUNTIME, Package
from infra.package.transform import transformed
from infra.template import load_document
from tests.fakes.deploy import FakeCloudFormation
from tests.ministack import use_aws

REGION = "eu-central-1"
STAGE = Stage("test", REGION, RUNTIME, None, {})
PARAMETERS: dict[str, Any] = load_document()["Parameters"]
BROKER = "arn:aws:mq:eu-central-1:123456789012:broker:video2mp3:b-01234567-89ab-cdef-0123-456789abcdef"
SETTINGS = f'region = "eu-central-1"\nbroker_arn = "{BROKER}"\nmail_from = "a@example.com"\n'
URLS = {
    "POSTGRES_URL": "postgresql://ann:one@db/x",
    "MONGODB_URL": "mongodb://db/x",
    "AMQP_URL": "amqps://ann:t%2Fwo@broker:5671/%2F",
}


@pytest.fixture
def aws(monkeypatch: pytest.MonkeyPatch) -> Iterator[Aws]:
    use_aws({"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test"}, monkeypatch)
    with mock_aws():
        yield Aws(STAGE, {})


# Settings of a stage


def stage_of(tmp_path: Path, text: str) -> Stage:
    (tmp_path / "test.toml").write_text(text)
    return load_stage("test", PARAMETERS, tmp_path)


def test_settings_become_parameters(tmp_path: Path):
    """One name for one thing: max_upload_bytes here is MAX_UPLOAD_BYTES there."""
    stage = stage_of(
        tmp_path,
        SETTINGS + 'max_upload_bytes = 5\nsubnet_ids = ["a", "b"]\nsecurity_group_ids = ["c"]\naccess_logs = false\n'
        'runtime = "python3.14"',
    )

    assert stage.parameters == {
        "BrokerArn": BROKER,
        "MailFrom": "a@example.com",
        "MaxUploadBytes": "5",
        "SubnetIds": "a,b",
        "SecurityGroupIds": "c",
        "AccessLogs": "false",
    }
    assert (stage.region, stage.runtime, stage.endpoint_url) == (REGION, "python3.14", None)
    assert stage.function("AuthFunction") == "video2mp3-test-AuthFunction"


@pytest.mark.parametrize("name", names())
def test_the_stages_that_come_with_the_project_can_be_used(name: str):
    """They are what people copy."""
    stage = load_stage(name, PARAMETERS)

    assert set(stage.parameters) <= PARAMETERS.keys()
    assert (stage.endpoint_url is None) is (name == "example")


def test_the_example_names_every_setting_and_what_it_is_without_it(tmp_path: Path):
    """Nobody has to read the template to know what can be set. And who takes a # away changes nothing yet."""
    text = Path("stages/example.toml").read_text()

    everything = stage_of(tmp_path, re.sub(r"^# (?=\w+ = )", "", text, flags=re.MULTILINE))

    assert everything.runtime == RUNTIME
    assert everything.parameters.keys() == {
        name for name in PARAMETERS if name != "Stage" and not name.endswith("SecretArn")
    }
    for name in everything.parameters.keys() - load_stage("example", PARAMETERS).parameters.keys():
        assert everything.parameters[name] == str(PARAMETERS[name]["Default"]), name


@pytest.mark.parametrize("name", [name for name in PARAMETERS if "AllowedPattern" in PARAMETERS[name]])
def test_what_a_setting_must_be_is_said_in_words(name: str):
    """Else CloudFormation shows a regular expression."""
    assert re.fullmatch(r"must be .+\.", PARAMETERS[name]["ConstraintDescription"])


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", ["region: is missing.", "broker_arn: is missing.", "mail_from: is missing."]),
        (SETTINGS + "colour = 1", ["colour: there is no such setting."]),
        (SETTINGS + 'postgres_secret_arn = "x"', ["postgres_secret_arn: there is no such setting."]),
        (
            SETTINGS + 'max_upload_bytes = "5"\nsubnet_ids = "a"',
            ["max_upload_bytes: must be a n", "subnet_ids: m"],
        ),
        (
            SETTINGS + "access_logs = 1\nalarm_email = true",
            ["access_logs: must be true", "alarm_email: must be"],
        ),
        (SETTINGS + 'mail_transport = "pigeon"', ["mail_transport: must be one of console, ses, smtp."]),
        (SETTINGS + "runtime = 3", ["runtime: must be a text."]),
        (
            SETTINGS + "max_upload_bytes = 0\nconvert_concurrency = -1",
            ["bytes: must be 1 or more", "must be 0 or more"],
        ),
        (SETTINGS + "max_upload_bytes = 999999999999", ["max_upload_bytes: must be 274877906944 or less."]),
        (SETTINGS + 'cors_origin = "https://a.example/"', ["cors_origin: must be * or one origin"]),
        (SETTINGS + 'public_url = "mp3.example.org"', ["public_url: must be like https://"]),
        (SETTINGS.replace("arn:", "arn"), ["broker_arn: must be like arn:aws:mq:"]),
        (SETTINGS.replace('"eu-central-1"', '"eu-west-1"'), ["broker_arn: is in eu-central-1, and Lambda polls"]),
        (SETTINGS + 'subnet_ids = ["subnet-1"]', ["subnet_ids, security_group_ids: set both, or none."]),
        ("region = ", ["cannot be read"]),
    ],
)
def test_every_wrong_setting_is_named(tmp_path: Path, text: str, said: list[str]):
    """CloudFormation would name the first, after a minute."""
    with pytest.raises(CannotDeploy) as caught:
        stage_of(tmp_path, text)

    for words in said:
        assert words in str(caught.value)


def test_a_stage_that_is_not_there_is_said_with_what_to_do(capsys: pytest.CaptureFixture[str]):
    """A typing error must not make a new stage."""
    assert main(["nowhere"]) == 1
    assert main(["../x"]) == 1
    assert main([]) == 1
    # make deploy FUNCTION=notify
    assert main(["", "notify"]) == 1

    said = capsys.readouterr().err
    assert "stages/nowhere.toml is missing. Copy stages/example.toml" in said
    assert "A stage is named with up to 15 small letters and digits" in said
    assert "Name a stage: make deploy STAGE=x. There are: example, local." in said


# The document


def test_the_document_gets_code_and_runtime_and_on_emulators_plain_slashes():
    """What is in the file is for AWS, and for nobody's bucket."""
    document = with_plain_slashes(with_runtime(with_code(load_document(), lambda name: f"s3://b/{name}"), "python3.11"))

    assert document["Resources"]["AuthorizerFunction"]["Properties"]["CodeUri"] == "s3://b/auth"
    assert document["Globals"]["Function"]["Runtime"] == "python3.11"
    assert document["Resources"]["Api"]["Properties"]["BinaryMediaTypes"] == ["*/*"]
    assert load_document()["Resources"]["Api"]["Properties"]["BinaryMediaTypes"] == ["*~1*"]


@pytest.mark.parametrize("origin", ["", "*", "https://page.example.org"])
def test_another_origin_reaches_what_api_gateway_answers_by_itself(origin: str):
    """SAM names what is deployed by its text. What only a parameter says would stay as it was at first."""
    before = transformed(load_document())["Resources"]
    after = transformed(with_origin(load_document(), origin))["Resources"]

    assert [name for name in before if name.startswith("ApiDeployment")] != [
        name for name in after if name.startswith("ApiDeployment")
    ]
    for response in after["Api"]["Properties"]["Body"]["x-amazon-apigateway-gateway-responses"].values():
        headers = response["responseParameters"]
        allowed = {name: headers[name] for name in headers if "Access-Control-" in name}
        assert allowed == {
            f"gatewayresponse.header.{name}": f"'{said}'" for name, said in origin_headers(origin).items()
        }
        assert headers["gatewayresponse.header.Content-Type"] == "'application/problem+json'"


# Secrets


def test_secrets_that_are_missing_are_made_once(aws: Aws):
    """From the environment, and keys from chance. What is there stays: new keys would log everybody out."""
    said: list[str] = []
    first = Secrets(aws.secrets, "test", URLS, said.append).arns(with_smtp=False)
    made = {purpose: held(aws, purpose) for purpose in SECRETS if purpose != "smtp"}
    second = Secrets(aws.secrets, "test", URLS | {"JWT_KEYS": "other=key"}, said.append).arns(with_smtp=False)

    assert first == second
    assert first.keys() == {parameter(purpose) for purpose in made} <= PARAMETERS.keys()
    assert made["postgres"] == {"POSTGRES_URL": URLS["POSTGRES_URL"]}
    assert made["broker"] == {"AMQP_URL": URLS["AMQP_URL"], "username": "ann", "password": "t/wo"}
    assert len(made["link-keys"]["LINK_KEYS"]) >= 32
    assert len(made["access-keys"]["JWT_KEYS"].partition("=")[2]) >= 32
    assert held(aws, "access-keys") == made["access-keys"]
    assert len(said) == 5
    assert not any(value in line for line in said for content in made.values() for value in content.values())


def held(aws: Aws, purpose: str) -> dict[str, str]:
    found: dict[str, str] = json.loads(
        aws.secrets.get_secret_value(SecretId=f"video2mp3/test/{purpose}")["SecretString"]
    )
    return found


def test_all_secrets_that_nobody_gave_are_named_and_none_is_made(aws: Aws):
    """One at a time would take six deployments to find out."""
    with pytest.raises(CannotDeploy) as caught:
        Secrets(aws.secrets, "test", {"AMQP_URL": URLS["AMQP_URL"]}, print).arns(with_smtp=True)

    assert [line.split()[2] for line in str(caught.value).splitlines()] == [
        "video2mp3/test/postgres",
        "video2mp3/test/mongodb",
        "video2mp3/test/smtp",
    ]
    assert aws.secrets.list_secrets()["SecretList"] == []


@pytest.mark.parametrize(
    "url", ["amqp://broker", "amqps://ann:s\N{ACCOUNT OF}cret@broker", "amqps://ann:s[cret@broker"]
)
def test_a_broker_without_a_password_is_refused_before_anything_is_made(aws: Aws, url: str):
    """Lambda could not poll it, and would not say so. And no password is shown, not even a wrong one."""
    with pytest.raises(CannotDeploy, match="AMQP_URL must be like") as caught:
        Secrets(aws.secrets, "test", URLS | {"AMQP_URL": url}, print).arns(with_smtp=False)

    assert "cret" not in str(caught.value)
    assert aws.secrets.list_secrets()["SecretList"] == []


def test_secrets_are_written_over_only_when_asked_to(aws: Aws):
    """And only those that the environment has values for. Not even what nobody can read is in the way."""
    said: list[str] = []
    Secrets(aws.secrets, "test", URLS, print).arns(with_smtp=False)
    keys = held(aws, "link-keys")
    aws.secrets.put_secret_value(SecretId="video2mp3/test/mongodb", SecretString="no JSON")

    Secrets(aws.secrets, "test", {"MONGODB_URL": 'mongodb://ann:t%C3%B6"$@new'}, said.append).renew()

    assert held(aws, "mongodb") == {"MONGODB_URL": 'mongodb://ann:t%C3%B6"$@new'}
    assert held(aws, "link-keys") == keys
    assert said == ["Secret video2mp3/test/mongodb: set to what MONGODB_URL says"]


def test_a_broker_without_a_password_is_written_over_nothing(aws: Aws):
    """What is wrong is found before the first secret is another one."""
    Secrets(aws.secrets, "test", URLS, print).arns(with_smtp=False)
    new = {"MONGODB_URL": "mongodb://new", "AMQP_URL": "amqps://broker"}

    with pytest.raises(CannotDeploy, match="AMQP_URL must be like"):
        Secrets(aws.secrets, "test", new, print).renew()

    assert held(aws, "mongodb") == {"MONGODB_URL": URLS["MONGODB_URL"]}


def test_a_secret_that_is_being_deleted_is_not_used(aws: Aws):
    """In some days the functions would fail."""
    Secrets(aws.secrets, "test", URLS, print).arns(with_smtp=False)
    aws.secrets.delete_secret(SecretId="video2mp3/test/mongodb")

    with pytest.raises(CannotDeploy, match=f"restore-secret --region {REGION} --secret-id video2mp3/test/mongodb"):
        Secrets(aws.secrets, "test", URLS, print).arns(with_smtp=False)


# Code


def packed(folder: Path, text: str) -> Package:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as file:
        file.writestr("functions/auth/app.py", text)
    path = folder / "auth.zip"
    path.write_bytes(content.getvalue())
    digest = hashlib.sha256(content.getvalue()).hexdigest()
    return Package("auth", path, path.stat().st_size, path.stat().st_size, digest, "not tried")


def test_code_goes_to_a_bucket_that_is_private_and_keeps_everything(aws: Aws, tmp_path: Path):
    """Whoever could write there could run code with the functions' rights."""
    said: list[str] = []
    artifacts = Artifacts(aws.s3, "video2mp3-test", aws.account(), REGION, said.append)
    made = packed(tmp_path, "one")

    for _ in range(2):
        artifacts.ensure_bucket()
        artifacts.upload(made)

    bucket = artifacts.bucket
    (stored,) = aws.s3.list_objects_v2(Bucket=bucket)["Contents"]
    assert bucket == f"video2mp3-test-artifacts-{aws.account()}-{REGION}"
    assert stored["Key"] == f"auth/{made.sha256}.zip"
    assert artifacts.uri(made) == f"s3://{bucket}/{stored['Key']}"
    assert set(aws.s3.get_public_access_block(Bucket=bucket)["PublicAccessBlockConfiguration"].values()) == {True}
    assert aws.s3.get_bucket_versioning(Bucket=bucket)["Status"] == "Enabled"
    assert aws.s3.get_bucket_encryption(Bucket=bucket)["ServerSideEncryptionConfiguration"]["Rules"]
    assert said == [f"Bucket {bucket}: made, for the code", "auth: uploading 0.0 MB"]


def test_a_template_may_be_larger_than_a_request(aws: Aws):
    """CloudFormation fetches it from the bucket, at an address that both AWS and emulators understand."""
    artifacts = Artifacts(aws.s3, "video2mp3-test", aws.account(), REGION)
    artifacts.ensure_bucket()

    urls = [artifacts.upload_template({"Resources": {}, "Description": "x" * 60_000}) for _ in range(2)]

    (stored,) = aws.s3.list_objects_v2(Bucket=artifacts.bucket)["Contents"]
    assert urls == [f"https://s3.{REGION}.amazonaws.com/{artifacts.bucket}/{stored['Key']}"] * 2
    assert stored["Size"] > 51_200


def test_a_function_gets_other_code_and_nothing_else(aws: Aws, tmp_path: Path):
    """Its settings stay, and one that is not there has no hash. What is packed for another Python is not for it."""
    artifacts = Artifacts(aws.s3, "video2mp3-test", aws.account(), REGION)
    artifacts.ensure_bucket()
    old, code = packed(tmp_path, "old"), Code(aws, STAGE)
    artifacts.upload(old)
    role = boto3.client("iam", REGION).create_role(RoleName="r", AssumeRolePolicyDocument="{}")["Role"]["Arn"]
    aws.functions.create_function(
        FunctionName="video2mp3-test-AuthFunction",
        Runtime=RUNTIME,
        Role=role,
        Handler="functions.auth.app.app",
        Code={"S3Bucket": artifacts.bucket, "S3Key": artifacts.key(old)},
        MemorySize=512,
    )
    before = code.hashes(["AuthFunction", "UploadFunction"])
    code.check_runtime(["AuthFunction"])
    with pytest.raises(CannotDeploy, match=f"AuthFunction runs on {RUNTIME}, and the stage says python3.14"):
        Code(aws, replace(STAGE, runtime="python3.14")).check_runtime(["AuthFunction"])
    new = packed(tmp_path, "new")
    artifacts.upload(new)

    code.update("AuthFunction", new, artifacts)

    found = aws.functions.get_function_configuration(FunctionName="video2mp3-test-AuthFunction")
    assert before == {"AuthFunction": old.sha256}
    assert code.hashes(["AuthFunction"]) == {"AuthFunction": new.sha256}
    assert base64.b64decode(found["CodeSha256"]).hex() == new.sha256
    assert found["MemorySize"] == 512


# Change sets

TEMPLATE_URL = "https://s3.eu-central-1.amazonaws.com/bucket/template.json"

ADD = {"ResourceChange": {"Action": "Add", "LogicalResourceId": "A", "ResourceType": "AWS::S3::Bucket"}}
MODIFY = {
    "ResourceChange": {
        "Action": "Modify",
        "LogicalResourceId": "B",
        "ResourceType": "AWS::Lambda::Function",
        "Replacement": "True",
    }
}


def stack_of(fake: FakeCloudFormation, said: list[str] | None = None) -> Stack:
    return Stack(fake, "video2mp3-test", poll_s=0, say=(said if said is not None else []).append)


def test_a_new_stack_is_created_with_the_changes_that_were_shown():
    """All of them, however many pages they have."""
    fake = FakeCloudFormation(changes=[ADD, MODIFY], states=["CREATE_IN_PROGRESS", "CREATE_COMPLETE"])
    said: list[str] = []
    stack = stack_of(fake, said)

    change_set = stack.prepare(TEMPLATE_URL, {"Stage": "test"})
    assert change_set is not None
    stack.execute(change_set)

    assert change_set.changes == [
        Change("add", "A", "AWS::S3::Bucket", "no"),
        Change("modify", "B", "AWS::Lambda::Function", "yes"),
    ]
    assert fake.calls == ["create CREATE", "execute"]
    assert fake.parameters == {"Stage": "test"}
    assert stack.outputs() == {"ApiId": "a1"}
    assert "CREATE_COMPLETE" in said[-1]


@pytest.mark.parametrize(
    "reason", ["The submitted information didn't contain changes.", "No updates are to be performed."]
)
def test_nothing_to_change_is_no_failure(reason: str):
    """CloudFormation calls it one."""
    fake = FakeCloudFormation(status="UPDATE_COMPLETE", refusal=reason)

    assert stack_of(fake).prepare(TEMPLATE_URL, {}) is None
    assert fake.calls == ["create UPDATE", "delete change set"]


def test_a_change_that_is_refused_is_told_with_the_reason_and_leaves_nothing():
    """Not even the empty stack, in whose way the next deployment would be."""
    fake = FakeCloudFormation(refusal="Template error: it is wrong")

    with pytest.raises(CannotDeploy, match="CloudFormation refuses the change: Template error: it is wrong"):
        stack_of(fake).prepare(TEMPLATE_URL, {})

    assert fake.calls == ["create CREATE", "delete change set", "delete stack"]


def test_a_deployment_that_fails_is_told_with_the_first_cause():
    """What is cancelled because of it explains nothing."""
    fake = FakeCloudFormation(
        status="UPDATE_COMPLETE",
        changes=[MODIFY],
        states=["UPDATE_IN_PROGRESS", "UPDATE_ROLLBACK_IN_PROGRESS", "UPDATE_ROLLBACK_COMPLETE"],
        failures=[("C", "Resource update cancelled"), ("B", "No such runtime"), ("D", "Later")],
    )

    with pytest.raises(CannotDeploy) as caught:
        stack_of(fake).execute(ChangeSet("arn", (), is_new=False))

    assert str(caught.value) == (
        "B (AWS::Lambda::Function): No such runtime\n"
        "The stack is as it was before. (video2mp3-test: UPDATE_ROLLBACK_COMPLETE)"
    )


def test_a_deployment_that_cannot_even_be_taken_back_is_not_called_as_before():
    """Somebody has to look."""
    fake = FakeCloudFormation(
        status="UPDATE_COMPLETE",
        states=["UPDATE_IN_PROGRESS", "UPDATE_ROLLBACK_IN_PROGRESS", "UPDATE_ROLLBACK_FAILED"],
        failures=[("B", "No such runtime")],
    )

    with pytest.raises(CannotDeploy, match="It could not be taken back either"):
        stack_of(fake).execute(ChangeSet("arn", (), is_new=False))


@pytest.mark.parametrize(
    ("status", "said"),
    [
        ("UPDATE_IN_PROGRESS", "just being changed"),
        ("ROLLBACK_COMPLETE", "aws cloudformation delete-stack --region eu-central-1 --stack-name video2mp3-test"),
        ("DELETE_FAILED", "a bucket that is not empty stays"),
        ("UPDATE_ROLLBACK_FAILED", "continue-update-rollback"),
    ],
)
def test_a_stack_that_cannot_be_changed_is_said_with_what_to_do(status: str, said: str):
    """CloudFormation only says that it cannot."""
    fake = FakeCloudFormation(status=status)

    with pytest.raises(CannotDeploy, match=said):
        stack_of(fake).prepare(TEMPLATE_URL, {})

    assert fake.calls == []


def test_who_interrupts_is_told_what_goes_on(monkeypatch: pytest.MonkeyPatch):
    """Ctrl-C ends the watching, not the deployment."""
    fake, said = FakeCloudFormation(status="UPDATE_COMPLETE", states=["UPDATE_IN_PROGRESS"] * 9), list[str]()

    def interrupt(_: float) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("time.sleep", interrupt)

    with pytest.raises(KeyboardInterrupt):
        stack_of(fake, said).execute(ChangeSet("arn", (), is_new=False))

    assert "CloudFormation goes on with video2mp3-test by itself" in said[-1]


def test_who_is_no_longer_logged_in_is_told_what_goes_on(monkeypatch: pytest.MonkeyPatch):
    """Tokens expire within the hour that a first deployment may take."""
    fake, said = FakeCloudFormation(status="UPDATE_COMPLETE", states=["UPDATE_IN_PROGRESS"]), list[str]()

    def expire(_: float) -> None:
        raise refused("ExpiredToken")

    monkeypatch.setattr("time.sleep", expire)

    with pytest.raises(CannotDeploy, match="Log in again"), aws_errors():
        stack_of(fake, said).execute(ChangeSet("arn", (), is_new=False))

    assert "CloudFormation goes on with video2mp3-test by itself" in said[-1]


@pytest.mark.parametrize("key", [KeyboardInterrupt, EOFError])
def test_who_does_not_answer_the_question_says_no(key: type[BaseException], monkeypatch: pytest.MonkeyPatch):
    """Ctrl-C there must not leave changes behind that are prepared."""

    def answer(_: str) -> str:
        raise key

    monkeypatch.setattr("sys.stdin", SimpleNamespace(isatty=lambda: True))
    monkeypatch.setattr("builtins.input", answer)

    assert _confirm() is False


def test_secrets_are_not_renewed_with_one_function():
    """It would be left unsaid that the others go on with the old ones."""
    with pytest.raises(SystemExit, match="2"):
        main(["local", "notify", "--secrets"])


# Failures


def refused(code: str) -> ClientError:
    return ClientError({"Error": {"Code": code, "Message": "So it is."}}, "CreateChangeSet")


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (refused("AccessDenied"), "AWS does not let you call CreateChangeSet: So it is."),
        (refused("ExpiredToken"), "AWS does not accept the credentials: So it is. Log in again."),
        (refused("LimitExceeded"), "AWS refuses CreateChangeSet: LimitExceeded: So it is."),
        (EndpointConnectionError(endpoint_url="http://127.0.0.1:1"), "Look at the network, at the region, and at AWS_"),
        (ResponseParserError("<html>"), "What answers there is not AWS."),
        (S3UploadFailedError("Failed to upload auth.zip"), "AWS cannot be asked: Failed to upload auth.zip"),
    ],
)
def test_what_aws_says_becomes_a_sentence(error: Exception, said: str):
    """A traceback shows our code, of which nobody asked."""
    with pytest.raises(CannotDeploy, match=said), aws_errors():
        raise error


def test_without_credentials_it_is_said_how_to_give_some(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    """It is the first thing that everybody meets."""
    nowhere = str(tmp_path / "none")
    use_aws(
        {
            "AWS_EC2_METADATA_DISABLED": "true",
            "AWS_CONFIG_FILE": nowhere,
            "AWS_SHARED_CREDENTIALS_FILE": nowhere,
        },
        monkeypatch,
    )

    assert main(["example"]) == 1
    assert capsys.readouterr().err.splitlines()[-1].startswith("There are no AWS credentials. Set AWS_PROFILE")


def test_an_account_that_cannot_write_access_logs_is_found_before_anything_is_made(monkeypatch: pytest.MonkeyPatch):
    """CloudFormation finds it out at the end, and takes everything away again."""
    use_aws({}, monkeypatch)
    deployment = Deployment("example", say=print, environ={})
    monkeypatch.setattr(deployment._aws, "apis", SimpleNamespace(get_account=dict))

    with pytest.raises(CannotDeploy, match=r"access_logs = false in stages/example\.toml"):
        deployment._check_access_logs()

    monkeypatch.setattr(deployment._aws, "apis", SimpleNamespace(get_account=lambda: {"cloudwatchRoleArn": "arn:r"}))
    deployment._check_access_logs()
    assert not deployment.is_emulator


def test_an_emulator_gets_no_keys_that_are_not_meant_for_it(monkeypatch: pytest.MonkeyPatch):
    """It is some program on this machine."""
    use_aws({"AWS_ACCESS_KEY_ID": "real", "AWS_SECRET_ACCESS_KEY": "secret"}, monkeypatch)

    emulated = Aws(STAGE, {"AWS_ENDPOINT_URL": "http://127.0.0.1:1"})

    assert emulated.s3._request_signer._credentials.access_key == "test"
    assert Aws(STAGE, {}).s3._request_signer._credentials.access_key == "real"


@pytest.mark.parametrize("url", ["127.0.0.1:4566", "http://", "http://127.0.0.1:port", "ftp://127.0.0.1"])
def test_an_address_that_is_none_is_said(url: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
    """A typing error there is no reason for a traceback."""
    use_aws({"AWS_ENDPOINT_URL": url}, monkeypatch)

    assert main(["local"]) == 1
    assert f"An emulator's address is like http://127.0.0.1:4566, not '{url}'." in capsys.readouterr().err


def test_an_emulator_that_does_not_run_is_named(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
    """It has to be started first."""
    use_aws({"AWS_ENDPOINT_URL": "http://127.0.0.1:1", "AWS_MAX_ATTEMPTS": "1"}, monkeypatch)

    assert main(["local"]) == 1
    assert "http://127.0.0.1:1" in capsys.readouterr().err
