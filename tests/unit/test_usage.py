"""What a person is told of what they store, on fakes."""

from dataclasses import replace

import pytest

from functions.shared.conversions import Owner
from functions.upload.app import create_app
from tests.events import header, http_event
from tests.tus_function import ANN, BOB, LIMITS, Answer, TusFunction, upload_deps

VIDEO = b"\x00\x00\x00\x18ftypmp42 and then some"


@pytest.fixture
def deps():
    return upload_deps(replace(LIMITS, max_upload_bytes=500, quota_bytes=1_000, retention_days=7))


def usage(deps, person: Owner | None = ANN) -> Answer:
    return Answer(create_app(lambda: deps)(http_event("GET", "/v1/usage", caller=person), None))


def test_who_stores_nothing_sees_the_limits(deps):
    """The page refuses a file that is too large before it is sent, and says for how long an MP3 is kept."""
    answer = usage(deps)

    assert answer.status == 200
    assert header(answer.raw, "Cache-Control") == "no-store"
    assert answer.json == {
        "stored_bytes": 0,
        "quota_bytes": 1_000,
        "uploads": {"open": 0, "bytes": 0},
        "max_upload_bytes": 500,
        "retention_days": 7,
    }


def test_videos_and_uploads_under_way_are_counted_apart(deps):
    """An upload that was left behind takes room, and a person who is out of room has to know of it."""
    tus = TusFunction(deps)
    tus.patch(tus.create(len(VIDEO)), 0, VIDEO)
    tus.create(100)
    tus.patch(tus.create(None), 0, VIDEO[:10])
    TusFunction(deps, BOB).create(400)

    report = usage(deps).json

    assert report["stored_bytes"] == len(VIDEO)
    assert report["uploads"] == {"open": 2, "bytes": 110}


def test_an_upload_that_has_expired_is_not_under_way(deps):
    TusFunction(deps).create(100)
    deps.clock.advance(days=2)

    assert usage(deps).json["uploads"] == {"open": 0, "bytes": 0}


def test_what_is_told_adds_up_to_what_is_refused(deps):
    """The same sum decides whether another upload may begin."""
    tus = TusFunction(deps)
    tus.create(400)
    tus.create(400)
    report = usage(deps).json

    left = report["quota_bytes"] - report["stored_bytes"] - report["uploads"]["bytes"]

    assert tus.post(Upload_Length=str(left + 1)).code == "quota-exceeded"
    assert tus.post(Upload_Length=str(left)).status == 201


def test_without_a_person_there_is_no_usage(deps):
    assert usage(deps, None).code == "invalid-token"
