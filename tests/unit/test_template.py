"""template.yaml, and how it is read. What is read wrongly here would work here and not on AWS."""

import importlib
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import msgspec
import pytest
import yaml

from functions.shared.problems import PROBLEMS
from infra.gateway.limits import MAX_BODY_BYTES
from infra.package.deploy.secret_store import SECRETS, parameter
from infra.rabbitmq.topology import QUEUES
from infra.template import (
    TEMPLATE,
    Function,
    InvalidTemplate,
    QueueTrigger,
    Route,
    ScheduleTrigger,
    _CloudFormationLoader,
    load_template,
    parse_template,
)

DOCUMENT: dict[str, Any] = yaml.load(TEMPLATE.read_text(), Loader=_CloudFormationLoader)

# Where each function keeps its Settings.
SETTINGS = {
    "AuthFunction": "functions.auth.settings",
    "AuthorizerFunction": "functions.auth.settings",
    "UploadFunction": "functions.upload.app",
    "ConvertFunction": "functions.convert.app",
    "NotifyFunction": "functions.notify.settings",
    "DownloadFunction": "functions.download.app",
    "SweepFunction": "functions.sweep.app",
    "HealthFunction": "functions.health.app",
    "PageFunction": "functions.page.app",
}


def test_the_template_passes_the_linter():
    """It is the document that AWS gets."""
    linted = subprocess.run(
        [Path(sys.executable).with_name("cfn-lint"), TEMPLATE], capture_output=True, text=True, timeout=120, check=False
    )

    assert (linted.returncode, linted.stdout) == (0, "")


@pytest.mark.parametrize("name", load_template().functions)
def test_every_handler_can_be_imported_and_called(name: str):
    """The same path works in tests, in the zip and in containers."""
    module, _, attribute = load_template().functions[name].handler.rpartition(".")

    assert callable(getattr(importlib.import_module(module), attribute))


@pytest.mark.parametrize("name", load_template().functions)
def test_a_function_gets_the_settings_that_it_reads_and_no_others(name: str):
    """A missing one would be seen only at the first call on AWS; a spare one may be a secret too many."""
    fields = msgspec.structs.fields(importlib.import_module(SETTINGS[name]).Settings)
    variables = DOCUMENT["Resources"][name]["Properties"]["Environment"]["Variables"]
    secret = {setting for setting in SECRETS.values() if f'"{_parameter_of(setting)}"' in json.dumps(variables)}
    given = secret | variables.keys() - {"SECRETS"}

    assert {field.name.upper() for field in fields if field.required} <= given
    assert given <= {field.name.upper() for field in fields}


def _parameter_of(setting: str) -> str:
    return parameter(next(purpose for purpose, held in SECRETS.items() if held == setting))


def test_everything_but_the_open_routes_is_guarded():
    """A new route is guarded unless it says otherwise, and says so here."""
    template = load_template()

    assert template.authorizer == "AuthorizerFunction"
    # Browsers ask by OPTIONS before they have anything to show.
    routes = [route for route in template.routes if route.method != "OPTIONS" or route.guarded]
    assert {(route.method, route.path) for route in routes if not route.guarded} == {
        ("POST", "/v1/auth/register"),
        ("POST", "/v1/auth/login"),
        ("POST", "/v1/auth/refresh"),
        ("GET", "/v1/downloads/{token}"),
        ("HEAD", "/v1/downloads/{token}"),
        ("GET", "/v1/downloads/zip/{token}"),
        ("HEAD", "/v1/downloads/zip/{token}"),
        ("GET", "/healthz"),
        ("HEAD", "/healthz"),
        ("GET", "/readyz"),
        ("HEAD", "/readyz"),
        *((route.method, route.path) for route in routes if route.function == "PageFunction"),
    }


def test_the_queues_are_those_of_the_broker():
    """A trigger on a queue that nobody declares would wait for ever."""
    template = load_template()

    assert template.queue_triggers == (
        QueueTrigger("ConvertFunction", "video_conversion_queue", 1),
        QueueTrigger("NotifyFunction", "conversion_notification_queue", 1),
    )
    assert {trigger.queue for trigger in template.queue_triggers} == {queue.name for queue in QUEUES}


def test_sweep_runs_every_minute():
    """What was not published waits no longer than that."""
    assert load_template().schedule_triggers == (ScheduleTrigger("SweepFunction", 60),)


def test_every_body_is_binary():
    """API Gateway gives an MP3 to a client that accepts */* as bytes only so, and mangles no upload."""
    assert load_template().binary_media_types == ("*/*",)


def test_convert_stays_within_what_lambda_gives_a_function_of_a_queue():
    """More than 14 minutes is refused at the deployment; API Gateway waits 29 seconds."""
    template = load_template()

    for trigger in template.queue_triggers:
        assert template.functions[trigger.function].timeout_s <= 14 * 60
    for route in template.routes:
        assert template.functions[route.function].timeout_s <= 29


@pytest.mark.parametrize("kind", DOCUMENT["Resources"]["Api"]["Properties"]["GatewayResponses"])
def test_what_api_gateway_answers_by_itself_is_one_of_our_problems(kind: str):
    """A client sees one kind of error, whoever answers."""
    answer = DOCUMENT["Resources"]["Api"]["Properties"]["GatewayResponses"][kind]
    problem = json.loads(answer["ResponseTemplates"]["application/json"])
    code = problem["type"].removeprefix("/problems/")

    assert (problem["title"], problem["status"]) == (PROBLEMS[code].title, PROBLEMS[code].status)
    assert answer["StatusCode"] == PROBLEMS[code].status
    assert problem["detail"]
    headers = answer["ResponseParameters"]["Headers"]
    assert headers["Content-Type"] == "'application/problem+json'"
    assert headers["X-Request-Id"] == "context.requestId"
    assert ("Retry-After" in headers) is (answer["StatusCode"] in {429, 503})
    assert code != "too-large" or str(MAX_BODY_BYTES) in problem["detail"]


@pytest.mark.parametrize(
    "kind", ["AUTHORIZER_FAILURE", "AUTHORIZER_CONFIGURATION_ERROR", "INTEGRATION_FAILURE", "INTEGRATION_TIMEOUT"]
)
def test_a_function_that_api_gateway_does_not_reach_is_unavailable(kind: str):
    """Clients send again what got a 503, and give up at a 500."""
    answers = DOCUMENT["Resources"]["Api"]["Properties"]["GatewayResponses"]

    assert answers[kind]["StatusCode"] == 503


# Reading


def template_with(properties: str, api: str = "") -> str:
    return f"""
Globals:
  Function:
    Timeout: 7
Resources:
  Table:
    Type: AWS::DynamoDB::Table
{api}
  F:
    Type: AWS::Serverless::Function
    Properties:
      Handler: f.app.app
      Events:
        E: {properties}
"""


GUARDED = """
  Api:
    Type: AWS::Serverless::Api
    Properties:
      Auth:
        DefaultAuthorizer: A
        Authorizers:
          A: {FunctionArn: !GetAtt F.Arn}
"""


def test_globals_and_aws_defaults_fill_in_what_a_function_leaves_out():
    """SAM merges them in the same way."""
    template = parse_template(template_with("{Type: Api, Properties: {Method: get, Path: /x}}"))

    assert template.functions == {"F": Function("F", "f.app.app", timeout_s=7, memory_mb=128)}
    assert template.routes == (Route("GET", "/x", "F", guarded=False),)
    assert (template.authorizer, template.binary_media_types) == (None, ())


@pytest.mark.parametrize(
    ("auth", "guarded"), [("", True), (", Auth: {Authorizer: NONE}", False), (", Auth: {Authorizer: A}", True)]
)
def test_the_default_authorizer_guards_unless_a_route_says_none(auth: str, guarded: bool):
    """Forgetting to write it must not open a route."""
    text = template_with("{Type: Api, Properties: {Method: get, Path: /x" + auth + "}}", GUARDED)

    assert [route.guarded for route in parse_template(text).routes] == [guarded]


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("!Ref A", {"Ref": "A"}),
        ("!GetAtt A.Arn", {"Fn::GetAtt": ["A", "Arn"]}),
        ("!GetAtt [A, Arn]", {"Fn::GetAtt": ["A", "Arn"]}),
        ("!Sub ${A}/x", {"Fn::Sub": "${A}/x"}),
        ("!Sub ['${A}', {A: !Ref B}]", {"Fn::Sub": ["${A}", {"A": {"Ref": "B"}}]}),
        ("!If [C, !Ref A, !Ref AWS::NoValue]", {"Fn::If": ["C", {"Ref": "A"}, {"Ref": "AWS::NoValue"}]}),
        ("!Transform {Name: N}", {"Fn::Transform": {"Name": "N"}}),
        ("!Condition C", {"Condition": "C"}),
    ],
)
def test_short_forms_are_read_as_their_long_forms(text: str, value: Any):
    """As CloudFormation reads them, so that nothing depends on which form somebody likes."""
    assert yaml.load(text, Loader=_CloudFormationLoader) == value


@pytest.mark.parametrize(
    ("expression", "seconds"),
    [("rate(1 minute)", 60), ("rate(5 minutes)", 300), ("rate(2 hours)", 7200), ("rate(1 day)", 86400)],
)
def test_rates_are_read(expression: str, seconds: int):
    """In words, as EventBridge has them."""
    text = template_with(f"{{Type: Schedule, Properties: {{Schedule: {expression}}}}}")

    assert parse_template(text).schedule_triggers == (ScheduleTrigger("F", seconds),)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("a: [", "not YAML"),
        ("", "Resources"),
        ("Resources: {F: {Type: 'AWS::Serverless::Function'}}", "F.Properties"),
        ("Resources: {F: {Type: 'AWS::Serverless::Function', Properties: {}}}", "F.Handler"),
        (template_with("{Type: SQS, Properties: {}}"), "F.Events.E.Type"),
        (template_with("{Type: Api}"), "F.Events.E.Properties"),
        (template_with("{Type: Api, Properties: {Method: any, Path: /x}}"), "F.Events.E.Method"),
        (template_with("{Type: Api, Properties: {Method: get, Path: x}}"), "F.Events.E.Path"),
        (template_with("{Type: Api, Properties: {Method: get, Path: '/{proxy+}'}}"), "F.Events.E.Path"),
        (template_with("{Type: Api, Properties: {Method: get, Path: /x, Auth: {Authorizer: B}}}"), "F.Events.E.Auth"),
        (
            template_with(
                "{Type: Api, Properties: {Method: get, Path: /x}}\n"
                "        D: {Type: Api, Properties: {Method: GET, Path: /x}}"
            ),
            "GET /x already belongs to F",
        ),
        (template_with("{Type: MQ, Properties: {}}"), "F.Events.E.Queues"),
        (template_with("{Type: MQ, Properties: {Queues: [a, b]}}"), "F.Events.E.Queues"),
        (template_with("{Type: MQ, Properties: {Queues: [a], BatchSize: 0}}"), "F.Events.E.BatchSize"),
        (template_with("{Type: Schedule, Properties: {Schedule: rate(0 minutes)}}"), "F.Events.E.Schedule"),
        (template_with("{Type: Schedule, Properties: {Schedule: 'cron(* * * * ? *)'}}"), "F.Events.E.Schedule"),
        (template_with("{}", GUARDED.replace("F.Arn", "G.Arn")), "Api.Auth.Authorizers.A.FunctionArn"),
        (
            template_with("{}", GUARDED.replace("DefaultAuthorizer: A", "DefaultAuthorizer: B")),
            "Api.Auth.DefaultAuthorizer",
        ),
        (template_with("{}", GUARDED + GUARDED.replace("Api:", "Api2:")), "one AWS::Serverless::Api"),
    ],
)
def test_an_error_says_where_it_is(text: str, words: str):
    """A template is long; a message without a place is no help."""
    with pytest.raises(InvalidTemplate, match=words.replace("(", r"\(")):
        parse_template(text)


def test_a_file_that_is_missing_is_named(tmp_path: Path):
    """Not a traceback."""
    with pytest.raises(InvalidTemplate, match=r"nowhere\.yaml cannot be read: No such file"):
        load_template(tmp_path / "nowhere.yaml")
