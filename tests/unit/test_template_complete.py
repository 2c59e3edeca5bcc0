"""What template.yaml makes on AWS beside the functions: rights, logs, alarms. Here none of it would be missed."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from functions.shared.metrics import NAMESPACE, OLDEST_OWED_SECONDS, OLDEST_QUEUED_SECONDS, Sink
from infra.package.deploy.secret_store import SECRETS, parameter
from infra.package.document import packages_of, with_code
from infra.package.packages import names
from infra.package.transform import main, transformed
from infra.rabbitmq.topology import QUEUES
from infra.template import TEMPLATE, load_document, load_template

DOCUMENT = load_document()
# What AWS makes of it.
PLAIN: dict[str, dict[str, Any]] = transformed(DOCUMENT)["Resources"]
FUNCTIONS = load_template().functions
POLLED = {trigger.function for trigger in load_template().queue_triggers}


def of_kind(kind: str) -> dict[str, dict[str, Any]]:
    return {name: each["Properties"] for name, each in PLAIN.items() if each["Type"] == kind}


def statements(function: str) -> Iterator[tuple[set[str], Any]]:
    """Yield the actions that a function's role may do, and on what."""
    for policy in PLAIN[f"{function}Role"]["Properties"].get("Policies", []):
        for statement in policy["PolicyDocument"]["Statement"]:
            assert statement["Effect"] == "Allow"
            actions = statement["Action"]
            yield set([actions] if isinstance(actions, str) else actions), statement["Resource"]


def secrets_in(value: Any) -> set[str]:
    text = json.dumps(value)
    return {name for name in map(parameter, SECRETS) if f'"{name}"' in text}


# The whole


def test_sam_takes_the_template():
    """It says what it does not like only when one deploys."""
    assert {each["Type"] for each in PLAIN.values()} >= {"AWS::Lambda::Function", "AWS::ApiGateway::Stage"}
    assert main([]) == 0


def test_what_sam_does_not_take_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    """`make check` shows it, with the resource that it is about."""
    wrong = tmp_path / "wrong.yaml"
    wrong.write_text(
        "Resources:\n  F:\n    Type: AWS::Serverless::Function\n"
        "    Properties: {CodeUri: build/f.zip, Handler: f.f, Runtime: python3.13, Colour: blue}\n"
    )

    assert main([str(wrong)]) == 1
    assert "[F]" in capsys.readouterr().err
    assert main([str(tmp_path / "missing.yaml")]) == 1
    assert "cannot be read" in capsys.readouterr().err


def test_the_template_is_small_enough():
    """CloudFormation takes a megabyte from S3."""
    document = with_code(load_document(), lambda package: f"s3://{'b' * 63}/{package}/{'0' * 64}.zip")

    assert len(json.dumps(document, separators=(",", ":"))) <= 1_000_000


def test_every_package_is_one_that_can_be_made():
    """A CodeUri is only a name until somebody packs it."""
    assert set(packages_of(DOCUMENT)) == set(names())
    assert packages_of(DOCUMENT)["auth"] == ["AuthFunction", "AuthorizerFunction"]


def test_every_parameter_is_used_and_has_its_place_in_the_console():
    """One that is forgotten would be asked for and mean nothing."""
    groups = DOCUMENT["Metadata"]["AWS::CloudFormation::Interface"]["ParameterGroups"]
    listed = [name for group in groups for name in group["Parameters"]]
    rest = json.dumps({section: DOCUMENT[section] for section in ("Conditions", "Globals", "Resources", "Outputs")})

    assert sorted(listed) == sorted(DOCUMENT["Parameters"])
    assert [name for name in listed if f'"{name}"' not in rest and f"${{{name}}}" not in rest] == []


def test_no_parameter_takes_a_secret():
    """Everybody may see them who may look at a stack. With NoEcho they are still written into the functions."""
    for name in DOCUMENT["Parameters"]:
        assert not name.endswith(("Url", "Keys", "Password")) or name == "PublicUrl"


# Functions


@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_function_has_a_name_that_the_deployment_and_the_triggers_can_know(name: str):
    """They call it by the stage and by its name in the template."""
    assert PLAIN[name]["Properties"]["FunctionName"] == {"Fn::Sub": "video2mp3-${Stage}-" + name}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_function_may_read_the_secrets_that_it_is_given_and_no_other(name: str):
    """Convert reads what strangers send. It must not be able to make access tokens."""
    given = secrets_in(PLAIN[name]["Properties"]["Environment"]["Variables"].get("SECRETS"))
    for_lambda = {"BrokerSecretArn"} if name in POLLED else set()
    readable = [resource for actions, resource in statements(name) if actions == {"secretsmanager:GetSecretValue"}]

    # The page is the same for everybody.
    assert bool(given) is (name != "PageFunction")
    assert secrets_in(readable) == given | for_lambda
    assert "*" not in json.dumps(readable)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_function_may_do_what_it_does_and_no_more(name: str):
    """The list is short. Who makes it longer says so here."""
    allowed = set[str]() if name == "PageFunction" else {"secretsmanager:GetSecretValue"}
    if name in POLLED:
        # https://docs.aws.amazon.com/lambda/latest/dg/with-mq.html#events-mq-permissions
        allowed |= {"mq:DescribeBroker", "ec2:CreateNetworkInterface", "ec2:DeleteNetworkInterface"}
        allowed |= {f"ec2:Describe{what}" for what in ("NetworkInterfaces", "SecurityGroups", "Subnets", "Vpcs")}
    allowed |= {
        "ConvertFunction": {"lambda:InvokeFunction"},
        "NotifyFunction": {"ses:SendRawEmail"},
        "DownloadFunction": {
            "s3:GetObject",
            "s3:PutObject",
            "s3:DeleteObject",
            "s3:AbortMultipartUpload",
            "s3:ListMultipartUploadParts",
            "s3:ListBucket",
            "s3:ListBucketMultipartUploads",
        },
    }.get(name, set())

    assert set[str]().union(*(actions for actions, _ in statements(name))) == allowed
    for actions, resource in statements(name):
        assert resource != "*" or all(action.startswith("ec2:") for action in actions)


def test_convert_calls_itself_alone_and_again_when_it_failed():
    """By name, since a role that names its function by reference would depend on what depends on it."""
    resources = [resource for actions, resource in statements("ConvertFunction") if "lambda:InvokeFunction" in actions]
    settings = PLAIN["ConvertFunctionEventInvokeConfig"]["Properties"]

    assert len(resources) == 1
    assert resources[0]["Fn::Sub"].endswith(":function:video2mp3-${Stage}-ConvertFunction")
    assert PLAIN["ConvertFunction"]["Properties"]["Environment"]["Variables"]["HAND_OFF"] == "true"
    assert settings["FunctionName"] == {"Ref": "ConvertFunction"}
    assert settings["MaximumRetryAttempts"] == 2


def test_sweep_is_not_called_again_for_a_minute_that_is_over():
    """Lambda would repeat a call that failed, beside those that come anyway, and count each as an error."""
    settings = PLAIN["SweepFunctionEventInvokeConfig"]["Properties"]

    assert settings["FunctionName"] == {"Ref": "SweepFunction"}
    assert (settings["MaximumRetryAttempts"], settings["MaximumEventAgeInSeconds"]) == (0, 60)


def test_notify_may_send_whatever_ses_has_set_up():
    """An identity may have a configuration set by default, and SES asks for leave to use that, too."""
    (resources,) = [resource for actions, resource in statements("NotifyFunction") if "ses:SendRawEmail" in actions]

    assert [each["Fn::Sub"].rpartition(":")[2] for each in resources] == ["identity/*", "configuration-set/*"]


@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_function_is_in_the_network_of_the_databases_if_there_is_one(name: str):
    """They are in no other."""
    chosen, inside, outside = PLAIN[name]["Properties"]["VpcConfig"]["Fn::If"]

    assert chosen == "HasSubnets"
    assert inside == {"SubnetIds": {"Ref": "SubnetIds"}, "SecurityGroupIds": {"Ref": "SecurityGroupIds"}}
    assert outside == {"Ref": "AWS::NoValue"}


# Logs and alarms


@pytest.mark.parametrize("name", FUNCTIONS)
def test_the_logs_of_a_function_end(name: str):
    """Lambda makes a log group by itself that keeps everything for ever."""
    group = PLAIN[name]["Properties"]["LoggingConfig"]["LogGroup"]["Ref"]

    assert PLAIN[group]["Properties"] == {
        "LogGroupName": {"Fn::Sub": "/aws/lambda/video2mp3-${Stage}-" + name},
        "RetentionInDays": {"Ref": "LogRetentionDays"},
    }


def test_the_access_log_keeps_no_address_of_a_download():
    """Who has the address of a link has the MP3."""
    setting = PLAIN["ApiStage"]["Properties"]["AccessLogSetting"]["Fn::If"][1]

    assert json.loads(setting["Format"])["route"] == "$context.resourcePath"
    assert "$context.path" not in setting["Format"]
    assert PLAIN["ApiLogs"]["Properties"]["RetentionInDays"] == {"Ref": "LogRetentionDays"}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_errors_of_a_function_raise_an_alarm(name: str):
    """A function that nobody watches fails for weeks."""
    watched = [
        alarm["Dimensions"]
        for alarm in of_kind("AWS::CloudWatch::Alarm").values()
        if (alarm["Namespace"], alarm["MetricName"]) == ("AWS/Lambda", "Errors")
    ]

    assert watched.count([{"Name": "FunctionName", "Value": {"Ref": name}}]) == 1


def test_each_queue_that_nobody_takes_from_raises_an_alarm_and_so_do_its_dead_letters():
    """Somebody waits for what lies there. Of a poller that cannot log in to the broker nothing else tells."""
    watched = {
        (alarm["Statistic"], dimension["Value"])
        for alarm in of_kind("AWS::CloudWatch::Alarm").values()
        if alarm["Namespace"] == "AWS/AmazonMQ"
        for dimension in alarm["Dimensions"]
        if dimension["Name"] == "Queue"
    }

    assert watched == {("Minimum", queue.name) for queue in QUEUES} | {
        ("Maximum", f"{queue.name}.dlq") for queue in QUEUES
    }


def test_an_alarm_on_a_metric_of_ours_watches_one_that_there_is():
    """One that is misspelt is never there, which is no reason for an alarm."""
    alarms = [each for each in of_kind("AWS::CloudWatch::Alarm").values() if each["Namespace"] == NAMESPACE]
    variables = DOCUMENT["Globals"]["Function"]["Environment"]["Variables"]

    assert {alarm["MetricName"] for alarm in alarms} == {OLDEST_OWED_SECONDS.name, OLDEST_QUEUED_SECONDS.name}
    for alarm in alarms:
        dimensions = {each["Name"]: each["Value"] for each in alarm["Dimensions"]}
        assert dimensions == {"service": "sweep", "stage": {"Ref": "Stage"}}
    assert (variables["METRICS"], variables["STAGE"]) == (Sink.EMF.value, {"Ref": "Stage"})


def test_what_waits_on_raises_one_alarm():
    """Its age only grows, so one look is enough; and a moment without a video that waits ends the alarm."""
    for name in ("VideosWait", "EventsOwed"):
        alarm = PLAIN[name]["Properties"]
        assert (alarm["Statistic"], alarm["EvaluationPeriods"]) == ("Minimum", 1)
        assert "DatapointsToAlarm" not in alarm


def test_every_alarm_says_what_it_is_and_reaches_somebody():
    """At night a name alone is little."""
    alarms = of_kind("AWS::CloudWatch::Alarm")
    subscription = PLAIN["AlarmTopic"]["Properties"]["Subscription"]

    assert len(alarms) == len(FUNCTIONS) + 10
    for name, alarm in alarms.items():
        assert alarm["AlarmName"] == {"Fn::Sub": "video2mp3-${Stage}-" + name}
        assert alarm["AlarmDescription"].endswith(".")
        assert alarm["AlarmActions"]["Fn::If"][:2] == ["HasAlarmEmail", [{"Ref": "AlarmTopic"}]]
    assert subscription == [{"Protocol": "email", "Endpoint": {"Ref": "AlarmEmail"}}]


def test_every_alarm_is_explained():
    """Whoever gets the e-mail looks there what to do."""
    text = (TEMPLATE.parent / "docs" / "operating.md").read_text()

    assert [name for name in of_kind("AWS::CloudWatch::Alarm") if f"`{name}`" not in text] == []


# The bucket of downloads


def test_the_bucket_of_downloads_is_nobody_elses():
    """What a presigned URL does not open stays shut, and nothing goes over the wire unencrypted."""
    bucket = PLAIN["DownloadBucket"]["Properties"]
    (statement,) = PLAIN["DownloadBucketPolicy"]["Properties"]["PolicyDocument"]["Statement"]

    assert set(bucket["PublicAccessBlockConfiguration"].values()) == {True}
    assert len(bucket["PublicAccessBlockConfiguration"]) == 4
    assert (statement["Effect"], statement["Principal"], statement["Action"]) == ("Deny", "*", "s3:*")
    assert statement["Condition"] == {"Bool": {"aws:SecureTransport": "false"}}
