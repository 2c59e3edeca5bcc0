"""Requests that a client sends again because it does not know what became of the first."""

import uuid

import httpx

from tests.problems import problem
from tests.tus import Tus, noise

CONVERSIONS, UPLOADS = "/v1/conversions", "/v1/uploads"


def test_a_form_that_comes_again_with_its_key_is_one_conversion(web: httpx.Client, tus: Tus) -> None:
    """The answer is that of the first time, and says so. Each time the form has another boundary."""
    video, key = noise(100_000), {"Idempotency-Key": str(uuid.uuid4())}
    before = len(list(tus.person.conversions()))

    first, again = (web.post(CONVERSIONS, files={"video": ("a.mp4", video)}, headers=key) for _ in range(2))
    other = web.post(CONVERSIONS, files={"video": ("b.mp4", video)}, headers=key)

    assert (first.status_code, again.status_code) == (202, 202)
    assert (again.json(), again.headers["location"]) == (first.json(), first.headers["location"])
    assert ("idempotent-replayed" in first.headers, again.headers["idempotent-replayed"]) == (False, "true")
    assert problem(other) == (422, "key-taken")
    assert [each["field"] for each in other.json()["errors"]] == ["Idempotency-Key"]
    assert len(list(tus.person.conversions())) == before + 1


def test_an_upload_is_begun_once_under_its_key(web: httpx.Client) -> None:
    """Its client would otherwise leave one behind that counts as used for a day."""
    headers = {"Tus-Resumable": "1.0.0", "Upload-Length": "5", "Idempotency-Key": str(uuid.uuid4())}

    first, again = (web.post(UPLOADS, headers=headers) for _ in range(2))
    other = web.post(UPLOADS, headers={**headers, "Upload-Length": "6"})

    assert (first.status_code, again.status_code) == (201, 201)
    assert again.headers["location"] == first.headers["location"]
    assert (again.headers["upload-offset"], again.headers["idempotent-replayed"]) == ("0", "true")
    assert problem(other) == (422, "key-taken")


def test_a_key_that_is_too_long_is_refused(web: httpx.Client) -> None:
    """And named, so that a client can be mended."""
    refused = web.post(UPLOADS, headers={"Tus-Resumable": "1.0.0", "Upload-Length": "5", "Idempotency-Key": "k" * 256})

    assert problem(refused) == (422, "invalid-input")
    assert [each["field"] for each in refused.json()["errors"]] == ["Idempotency-Key"]
