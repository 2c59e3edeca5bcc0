"""The API document says what the code does: routes, problems, and the shapes of what is sent."""

import json
import re
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml
from chalice.app import Chalice
from msgspec.structs import asdict, replace

from functions.auth.app import app as auth_app
from functions.download.app import app as download_app
from functions.download.pages import MAX_IDS
from functions.health.app import app as health_app
from functions.health.app import create_app as create_health_app
from functions.health.health import Health
from functions.page.app import app as page_app
from functions.shared.conversions import (
    MAX_TRACKS,
    Conversion,
    Failure,
    Method,
    Mp3,
    Note,
    Owner,
    Sent,
    Source,
    State,
    Track,
    Video,
)
from functions.shared.logs import get_logger
from functions.shared.options import MP3_RATES_HZ, Channels, Chapters, Damaged, Options, Quality, Tracks
from functions.shared.problems import PROBLEMS, FieldError, InvalidInput
from functions.upload.app import app as upload_app
from functions.upload.app import create_app as create_upload_app
from functions.upload.fields import Delivery, read_fields
from functions.upload.metadata import MAX_METADATA_BYTES, describe
from functions.upload.options import LOUDNESS_LUFS, MAX_COMMENT, MAX_TEXT, to_options
from infra.gateway.limits import MAX_BODY_BYTES
from infra.template import load_template
from tests.events import http_event, json_of
from tests.fakes.gateway import FakeFunctions, make_gateway, send
from tests.tus_function import BYTES, TusFunction, upload_deps

OPENAPI = Path(__file__).parents[2] / "docs/api/openapi.yaml"
DOCUMENT: dict[str, Any] = yaml.safe_load(OPENAPI.read_text())
METHODS = {"get", "head", "post", "put", "patch", "delete", "options"}
APPS = {
    "AuthFunction": auth_app,
    "UploadFunction": upload_app,
    "DownloadFunction": download_app,
    "HealthFunction": health_app,
    "PageFunction": page_app,
}
# The page is for people, whose browsers find their way through it. The document is for those who write clients.
API_ROUTES = [route for route in load_template().routes if route.function != "PageFunction"]


def operations() -> Iterator[tuple[str, str, dict[str, Any]]]:
    for path, item in DOCUMENT["paths"].items():
        for method in METHODS & item.keys():
            yield method.upper(), path, item[method]


def resolve(value: Any) -> Any:
    """Follow a $ref to what it names. Raises KeyError if there is no such thing."""
    while isinstance(value, dict) and "$ref" in value:
        place: Any = DOCUMENT
        for key in value["$ref"].removeprefix("#/").split("/"):
            place = place[key.replace("~1", "/")]
        value = place
    return value


def every_value(value: Any) -> Iterator[Any]:
    yield value
    for inner in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        yield from every_value(inner)


def validate(instance: Any, schema: str) -> None:
    validate_against(instance, {"$ref": f"#/components/schemas/{schema}"})


def validate_against(instance: Any, schema: dict[str, Any]) -> None:
    whole = {**schema, "components": DOCUMENT["components"]}
    jsonschema.Draft202012Validator(whole, format_checker=jsonschema.FormatChecker()).validate(instance)


def test_every_schema_is_a_json_schema():
    """OpenAPI 3.1 schemas are JSON Schema 2020-12."""
    assert DOCUMENT["openapi"].startswith("3.1.")
    for name, schema in DOCUMENT["components"]["schemas"].items():
        jsonschema.Draft202012Validator.check_schema(schema)
        assert schema, name


def test_every_reference_leads_somewhere_and_everything_is_referred_to():
    """A part that nothing names is a part that nobody keeps right."""
    references = {
        value["$ref"]
        for value in every_value(DOCUMENT)
        if isinstance(value, dict) and isinstance(value.get("$ref"), str)
    }
    for reference in references:
        assert resolve({"$ref": reference}) is not None
    parts = {
        f"#/components/{kind}/{name}"
        for kind, members in DOCUMENT["components"].items()
        if kind != "securitySchemes"
        for name in members
    }
    assert parts == references


def test_every_operation_is_complete():
    """Generators of clients need an id, the path's parameters, and an answer."""
    ids = [operation["operationId"] for _, _, operation in operations()]
    assert len(ids) == len(set(ids))
    for method, path, operation in operations():
        given = [
            resolve(each) for each in (*DOCUMENT["paths"][path].get("parameters", ()), *operation.get("parameters", ()))
        ]
        named = {each["name"] for each in given if each["in"] == "path"}
        assert named == {part[1:-1] for part in path.split("/") if part.startswith("{")}, (method, path)
        assert operation["summary"]
        assert operation["responses"]
        for status, answer in operation["responses"].items():
            assert status == "default" or 200 <= int(status) < 600
            assert resolve(answer)["description"]


def test_the_document_and_the_template_have_the_same_routes_with_the_same_guards():
    """Whoever reads one must not be misled about the other."""
    documented = {
        (method, path): operation.get("security", DOCUMENT["security"]) for method, path, operation in operations()
    }
    routes = {(route.method, route.path): route for route in API_ROUTES}

    assert documented.keys() == routes.keys()
    for key, route in routes.items():
        assert bool(documented[key]) is route.guarded, key
        assert ("401" in operation_of(*key)["responses"]) >= route.guarded, key


def operation_of(method: str, path: str) -> dict[str, Any]:
    operation: dict[str, Any] = DOCUMENT["paths"][path][method.lower()]
    return operation


@pytest.mark.parametrize(("function", "app"), APPS.items())
def test_the_template_and_the_functions_have_the_same_routes(function: str, app: Chalice):
    """A route that only one of them knows would be a 404 on AWS or here."""
    registered = {(method, path) for path, methods in app.routes.items() for method in methods}

    assert registered == {(route.method, route.path) for route in load_template().routes if route.function == function}


def test_every_route_belongs_to_one_of_the_http_functions():
    """So the test above leaves none out."""
    assert {route.function for route in load_template().routes} == APPS.keys()


def test_every_problem_is_documented_with_its_status_and_title():
    """Clients decide by the code; one table in the code says what it means."""
    examples = DOCUMENT["components"]["examples"]

    assert examples.keys() == PROBLEMS.keys()
    for code, meaning in PROBLEMS.items():
        value = examples[code]["value"]
        assert (value["type"], value["title"]) == (f"/problems/{code}", meaning.title)
        assert value["status"] == meaning.status
        validate(value, "Problem")


def test_a_problem_stands_under_its_status():
    """A 409 that is shown under 404 would be looked for in the wrong place."""
    shown = set()
    for method, path, operation in operations():
        for status, answer in operation["responses"].items():
            for code, example in problem_examples(answer):
                shown.add(code)
                assert status in {"default", str(example["status"])}, (method, path, code)
    assert shown == PROBLEMS.keys()


def problem_examples(answer: Any) -> Iterator[tuple[str, Any]]:
    content = resolve(answer).get("content", {}).get("application/problem+json", {})
    for code, example in content.get("examples", {}).items():
        yield code, resolve(example)["value"]


def test_the_limit_of_a_body_is_the_gateways():
    """The number stands in three places, and is computed in one."""
    assert f"{MAX_BODY_BYTES:,} bytes" in operation_of("POST", "/v1/conversions")["description"]
    assert str(MAX_BODY_BYTES) in DOCUMENT["components"]["examples"]["too-large"]["value"]["detail"]


def test_a_conversion_is_as_documented():
    """In its fullest and in its emptiest form; the owner must not show."""
    now = datetime(2026, 1, 1, 12, tzinfo=UTC)
    empty = Conversion(
        id="c1",
        owner=Owner("u1", "ada@example.org"),
        state=State.QUEUED,
        progress=0,
        filename="a.mp4",
        options=Options(),
        video=Video(1, None),
        mp3=None,
        error=None,
        attempts=0,
        created_at=now,
        updated_at=now,
    )
    old_mp3 = Mp3(bytes=1, sha256="0" * 64, duration_s=5.31, bit_rate_bps=128_000, sample_rate_hz=48_000, channels=2)
    mp3 = replace(
        old_mp3,
        method=Method.COPIED,
        track=1,
        loudness_lufs=-16.1,
        true_peak_dbtp=-1.2,
        chapters=3,
        cover=True,
        source=Source("mp3", 2, 48_000, "deu"),
    )
    track = Track(1, "mp3", 2, 48_000, "deu", "Kommentar", default=True, role="commentary", usable=True)
    options = to_options({"quality": "v0", "tracks": "mix", "start": "1:30", "sample_rate": "44100", "title": "T"})
    full = Conversion(
        id="c1",
        owner=Owner("u1", "ada@example.org"),
        state=State.COMPLETED,
        progress=1,
        filename="a.mp4",
        options=options,
        video=Video(
            bytes=1,
            sha256="0" * 64,
            duration_s=5.31,
            tracks=(track, replace(track, language=None, channels=None, role=None)),
            original_bytes=20,
            sent=Sent.SOUND,
        ),
        mp3=mp3,
        error=Failure("no-audio-track", "No sound", "There is no sound in it."),
        attempts=1,
        created_at=now,
        updated_at=now,
        completed_at=now,
        expires_at=now,
        warnings=(Note("filled-gap", "0.5 s were missing."),),
    )

    for conversion in (empty, full, replace(full, mp3=old_mp3)):
        validate(json.loads(conversion.to_json()), "Conversion")


def test_what_is_answered_about_uploads_is_as_documented():
    """A header that is missing here is one that no generated client can read."""
    deps = upload_deps()
    tus = TusFunction(deps)
    begun = tus.post(Upload_Length="5", Upload_Metadata="filename QQ==", Upload_Concat="partial")
    deferred = tus.create(None)
    whole = tus.post(b"12345", Upload_Length="5", Content_Type=BYTES)
    upload, uploads = "/v1/uploads/{upload_id}", "/v1/uploads"
    answers = [
        ("OPTIONS", uploads, tus.ask("OPTIONS")),
        ("OPTIONS", upload, tus.ask("OPTIONS", deferred)),
        ("POST", uploads, begun),
        ("POST", uploads, whole),
        ("HEAD", upload, tus.head(begun.upload_id)),
        ("HEAD", upload, tus.head(deferred)),
        ("HEAD", upload, tus.head(whole.upload_id)),
        ("HEAD", upload, tus.ask("HEAD", deferred, {"Tus-Resumable": None})),
        ("PATCH", upload, tus.patch(deferred, 0, b"123")),
        ("PATCH", upload, tus.patch(deferred, 3, b"45", Upload_Length="5")),
        ("PATCH", upload, tus.patch(begun.upload_id, 3, b"45")),
        ("PATCH", upload, tus.patch(begun.upload_id, 0, b"12345", Upload_Checksum="sha1 QQ==")),
        ("POST", upload, tus.ask("POST", deferred, {"X-HTTP-Method-Override": "HEAD"})),
        ("DELETE", upload, tus.delete(deferred)),
    ]
    general = {"X-Request-Id", "X-Content-Type-Options", "Tus-Resumable", "Cache-Control", "Content-Type"}

    for method, path, answer in answers:
        documented = resolve(operation_of(method, path)["responses"][str(answer.status)])["headers"]
        required = {name for name, each in documented.items() if resolve(each).get("required")}
        assert answer.headers - general <= documented.keys(), (method, path, answer)
        assert answer.headers >= required - general, (method, path, answer)


def test_usage_is_as_documented():
    """A page shows from it how much room is left."""
    event = http_event("GET", "/v1/usage", caller=Owner("u1", "ada@example.org"))

    validate(json_of(create_upload_app(upload_deps)(event, None)), "Usage")


def test_every_example_of_an_answer_is_one():
    """People write their code by them."""
    for _, _, operation in operations():
        for answer in map(resolve, operation["responses"].values()):
            for media in answer.get("content", {}).values():
                for example in [media[key] for key in ("example",) if key in media]:
                    validate_against(example, media["schema"])


def test_the_limits_of_several_conversions_are_the_codes():
    """A page selects no more than the service takes."""
    ids = DOCUMENT["components"]["schemas"]["ZipLinkRequest"]["properties"]["ids"]
    pattern = operation_of("GET", "/v1/conversions")["parameters"][0]["schema"]["pattern"]

    assert ids["maxItems"] == MAX_IDS
    assert re.fullmatch(pattern, ",".join(["c1"] * MAX_IDS))
    assert not re.fullmatch(pattern, ",".join(["c1"] * (MAX_IDS + 1)))
    assert (
        DOCUMENT["components"]["schemas"]["Conversion"]["properties"]["video"]["properties"]["tracks"]["maxItems"]
        == MAX_TRACKS
    )


def test_states_and_qualities_are_the_codes():
    """An enum that lags behind makes clients refuse what the service gives."""
    schemas = DOCUMENT["components"]["schemas"]

    assert schemas["State"]["enum"] == list(State)
    assert schemas["Quality"]["enum"] == list(Quality)
    assert schemas["Mp3"]["properties"]["method"]["enum"] == list(Method)
    assert schemas["Quality"]["default"] == Options().quality
    assert schemas["Sent"]["enum"] == list(Sent)
    assert schemas["Sent"]["default"] == Delivery().sent


def metadata_parameter() -> dict[str, Any]:
    parameters = map(resolve, operation_of("POST", "/v1/uploads")["parameters"])
    return next(parameter for parameter in parameters if parameter["name"] == "Upload-Metadata")


def test_every_option_is_documented_in_the_form_in_the_metadata_and_in_the_answer():
    """What a person can choose stands in one place in the code, and in three here."""
    schemas = DOCUMENT["components"]["schemas"]
    form, answer = schemas["VideoForm"]["properties"], schemas["Options"]
    metadata = metadata_parameter()
    names = list(Options.__struct_fields__)

    assert [*form] == ["video", *names, *Delivery._fields]
    assert [*answer["properties"]] == answer["required"] == names
    # The first two are the name of the video.
    assert re.findall("`([a-z_]+)`", metadata["description"])[2:] == [*names, *Delivery._fields]
    for name, default in asdict(Options()).items():
        assert resolve(form[name]).get("default") == default, name


def test_the_values_of_an_option_are_the_codes():
    """A range that differs from the code's makes clients send what is refused, or refuse what would be taken."""
    form = {name: resolve(each) for name, each in DOCUMENT["components"]["schemas"]["VideoForm"]["properties"].items()}
    kinds = {"tracks": Tracks, "channels": Channels, "damaged": Damaged, "chapters": Chapters}

    assert {name: form[name]["enum"] for name in kinds} == {name: list(kind) for name, kind in kinds.items()}
    assert tuple(form["sample_rate"]["enum"]) == MP3_RATES_HZ
    assert (form["loudness"]["minimum"], form["loudness"]["maximum"]) == LOUDNESS_LUFS
    assert (form["title"]["maxLength"], form["comment"]["maxLength"]) == (MAX_TEXT, MAX_COMMENT)
    for name, schema in form.items():
        for example in schema.get("examples", ()):
            validate_against(example, schema)
            read_fields({name: str(example)})


@pytest.mark.parametrize(
    ("name", "texts"),
    [
        ("track", ["2", "02", "64", "eng", "DE", "pt-BR", "zh-Hant-TW"]),
        ("start", ["0", "90.5", "1:30", "75:30", "1:02:03", "99:59:59.999999"]),
        ("end", ["90.5", "1:30", "99:59:59.999"]),
        ("cover", ["auto", "none", "0", "12.5", "00:01:30.500"]),
        ("year", ["1", "2014", "2014-11-08"]),
        ("track_number", ["3", "03/12", "999/999"]),
    ],
)
def test_a_documented_pattern_refuses_nothing_that_the_code_takes(name, texts):
    """A page that checks its form by it would keep people from what the service can do."""
    for text in texts:
        to_options({name: text})
        validate_against(text, DOCUMENT["components"]["schemas"]["VideoForm"]["properties"][name])


def test_the_example_of_upload_metadata_is_taken():
    """People copy it."""
    metadata = metadata_parameter()

    described = describe(metadata["example"])

    assert described.options == Options(quality=Quality.V0, start=90.0, title="Grüße")
    assert f"{MAX_METADATA_BYTES:,} bytes" in metadata["description"]


def test_a_problem_with_fields_is_as_documented():
    """Forms show each message at its field."""
    validate(json.loads(InvalidInput(FieldError("email", "Write it like name@example.com.")).to_json()), "Problem")


def test_health_is_as_documented():
    """Monitoring reads it."""

    def down() -> None:
        raise OSError

    checks = {"postgres": down, "mongodb": lambda: None, "rabbitmq": lambda: None, "outbox": lambda: None}
    app = create_health_app(lambda: Health(checks, get_logger("tests")))

    validate(send(make_gateway(FakeFunctions()), "GET", "/healthz").json(), "Health")
    validate(json_of(app(http_event("GET", "/healthz"), None)), "Health")
    validate(json_of(app(http_event("GET", "/readyz"), None)), "Readiness")
