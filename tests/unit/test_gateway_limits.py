"""The limits that a deployment may set."""

import re
import resource
from pathlib import Path

import msgspec
import pytest

import functions.upload.app
from functions.shared.logs import get_logger
from functions.shared.settings import InvalidSettings, from_env
from infra.gateway.__main__ import Settings, _allow_files
from infra.gateway.limits import MAX_BODY_BYTES, Limits

EXAMPLE = (Path(__file__).parents[2] / ".env.example").read_text()
SERVERS = {"POSTGRES_URL": "postgresql://x", "MONGODB_URL": "mongodb://x", "AMQP_URL": "amqp://x"}


@pytest.mark.parametrize("field", msgspec.structs.fields(Limits), ids=lambda field: field.name)
def test_a_limit_is_explained_with_its_default(field: msgspec.structs.FieldInfo):
    """Whoever wants another one has to know its name, and what it is now."""
    (shown,) = re.findall(rf"^#{field.name.upper()}=(\d+)$", EXAMPLE, re.MULTILINE)

    assert float(shown) == field.default


def test_limits_come_from_the_environment():
    """Times may be fractions of a second, sizes not."""
    given = {**SERVERS, "HEAD_TIMEOUT_S": "2.5", "MAX_CONNECTIONS": "10", "LINGER_BYTES": ""}
    settings = from_env(Settings, given)

    assert (settings.head_timeout_s, settings.max_connections) == (2.5, 10)
    assert settings.linger_bytes == Limits().linger_bytes


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("HEAD_TIMEOUT_S", "0"),
        ("BODY_IDLE_S", "-1"),
        ("BODY_IDLE_S", "nan"),
        ("MAX_CONNECTIONS", "0"),
        ("MAX_CONNECTIONS", "many"),
        # Less would stop the first body of the size that is allowed, and for ever.
        ("MAX_BUFFERED_BYTES", str(MAX_BODY_BYTES - 1)),
    ],
)
def test_a_limit_that_makes_no_sense_is_named(name: str, value: str):
    """A gateway that takes nothing in is not what was meant."""
    with pytest.raises(InvalidSettings, match=name):
        from_env(Settings, {**SERVERS, name: value})


def test_the_gateway_and_the_function_mean_the_same_largest_video():
    """It is one setting. The gateway refuses before the body is read what the function would refuse after it."""
    assert Limits().max_upload_bytes == from_env(functions.upload.app.Settings, SERVERS).max_upload_bytes


def test_a_process_may_open_as_many_files_as_it_has_connections(monkeypatch: pytest.MonkeyPatch):
    """Many systems give 1024, which a crowd uses up, and then nobody gets in."""
    asked: list[tuple[int, int]] = []
    monkeypatch.setattr(resource, "getrlimit", lambda _: (1024, 4096))
    monkeypatch.setattr(resource, "setrlimit", lambda _, limits: asked.append(limits))
    logger = get_logger("gateway")

    for wanted in (1000, 3000, 5000):
        _allow_files(wanted, logger)

    assert asked == [(3000, 4096), (4096, 4096)]
