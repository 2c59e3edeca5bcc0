"""Accounts, sessions, and the guard in front of everything else."""

import base64
import json
import secrets
from typing import Any

import httpx
import pytest

from tests.api.services import Service
from tests.problems import problem

PASSWORD = "correct horse battery"
GUARDED = [
    ("GET", "/v1/auth/me"),
    ("POST", "/v1/auth/logout"),
    ("GET", "/v1/conversions"),
    ("POST", "/v1/conversions"),
    ("GET", f"/v1/conversions/{'0' * 32}/mp3"),
    ("GET", "/v1/conversions/zip"),
    ("POST", "/v1/conversions/zip/link"),
    ("GET", "/v1/usage"),
    ("POST", "/v1/uploads"),
    ("HEAD", f"/v1/uploads/{'0' * 32}"),
]


@pytest.fixture(scope="module")
def http(service: Service):
    """Somebody who is not logged in."""
    with httpx.Client(base_url=service.url, timeout=60) as client:
        yield client


@pytest.fixture(scope="module")
def credentials(http: httpx.Client) -> dict[str, str]:
    """What somebody has registered."""
    credentials = {"email": f"{secrets.token_hex(6)}@example.com", "password": PASSWORD}
    assert http.post("/v1/auth/register", json=credentials).status_code == 201
    return credentials


def log_in(http: httpx.Client, credentials: dict[str, str]) -> dict[str, Any]:
    answer = http.post("/v1/auth/login", json=credentials)
    assert answer.status_code == 200, answer.text
    assert answer.headers["cache-control"] == "no-store"
    tokens: dict[str, Any] = answer.json()
    return tokens


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


def test_a_session_from_the_login_to_the_logout(http: httpx.Client, credentials: dict[str, str]) -> None:
    """Afterwards the access token and the refresh token are dead at once, though neither has run out."""
    first = log_in(http, credentials)
    assert http.get("/v1/auth/me", headers=bearer(first["access_token"])).json()["email"] == credentials["email"]

    second = http.post("/v1/auth/refresh", json={"refresh_token": first["refresh_token"]}).json()
    assert second["token_type"] == "Bearer"
    assert second["refresh_token"] != first["refresh_token"]

    assert http.post("/v1/auth/logout", headers=bearer(second["access_token"])).status_code == 204
    for token in (first, second):
        assert problem(http.get("/v1/auth/me", headers=bearer(token["access_token"]))) == (401, "invalid-token")
    again = http.post("/v1/auth/refresh", json={"refresh_token": second["refresh_token"]})
    assert problem(again) == (401, "invalid-token")


def test_a_refresh_token_that_comes_twice_ends_its_session(http: httpx.Client, credentials: dict[str, str]) -> None:
    """One of the two is a thief, and nobody can tell which."""
    first = log_in(http, credentials)
    spent = {"refresh_token": first["refresh_token"]}
    second = http.post("/v1/auth/refresh", json=spent).json()

    assert problem(http.post("/v1/auth/refresh", json=spent)) == (401, "invalid-token")

    assert http.get("/v1/auth/me", headers=bearer(second["access_token"])).status_code == 401
    assert http.post("/v1/auth/refresh", json={"refresh_token": second["refresh_token"]}).status_code == 401


def test_an_e_mail_is_registered_once_whatever_its_letters(http: httpx.Client, credentials: dict[str, str]) -> None:
    """Two accounts of one address would be two strangers to each other."""
    taken = {**credentials, "email": credentials["email"].upper()}

    assert problem(http.post("/v1/auth/register", json=taken)) == (409, "email-taken")


@pytest.mark.parametrize("wrong", [{"password": "another horse battery"}, {"email": "nobody@example.com"}])
def test_a_login_that_fails_does_not_say_what_was_wrong(
    http: httpx.Client, credentials: dict[str, str], wrong: dict[str, str]
) -> None:
    """Or it would tell who is registered."""
    answer = http.post("/v1/auth/login", json={**credentials, **wrong})

    assert problem(answer) == (401, "wrong-credentials")
    assert answer.headers["www-authenticate"] == "Bearer"


@pytest.mark.parametrize(
    ("body", "code", "fields"),
    [
        ({}, "invalid-input", {"email"}),
        ({"email": "ann@example.com"}, "invalid-input", {"password"}),
        ({"email": "ann@example.com", "password": 5}, "invalid-input", {"password"}),
        ({"email": "no address", "password": PASSWORD}, "invalid-input", {"email"}),
        ({"email": "ann@example.com", "password": PASSWORD, "admin": True}, "invalid-input", {"admin"}),
        ({"email": "ann@example.com", "password": "short"}, "weak-password", {"password"}),
    ],
)
def test_a_registration_that_cannot_be_taken_names_the_field(
    http: httpx.Client, body: dict[str, object], code: str, fields: set[str]
) -> None:
    """A form can show the reason where it belongs."""
    answer = http.post("/v1/auth/register", json=body)

    assert problem(answer) == (422, code)
    assert {error["field"] for error in answer.json()["errors"]} == fields
    assert all(error["message"] for error in answer.json()["errors"])


@pytest.mark.parametrize(("method", "path"), GUARDED)
def test_without_a_token_nothing_is_answered(http: httpx.Client, method: str, path: str) -> None:
    """Every route that is not said to be open is guarded, before any function is called."""
    answer = http.request(method, path)

    assert answer.status_code == 401
    assert answer.headers["www-authenticate"] == "Bearer"
    assert method == "HEAD" or problem(answer) == (401, "invalid-token")


def forged(token: str) -> str:
    """Return the token as one that is not signed at all."""
    header = base64.urlsafe_b64encode(json.dumps({"alg": "none", "typ": "JWT"}).encode()).rstrip(b"=").decode()
    return f"{header}.{token.split('.')[1]}."


def test_a_token_that_is_not_ours_is_none(http: httpx.Client, credentials: dict[str, str]) -> None:
    """Another signature, another kind of token, another way to say it."""
    tokens = log_in(http, credentials)
    token, refresh_token = tokens["access_token"], tokens["refresh_token"]
    changed = token[:-5] + ("A" if token[-5] != "A" else "B") + token[-4:]

    for value in (f"Bearer {changed}", f"Bearer {forged(token)}", f"Bearer {refresh_token}"):
        assert problem(http.get("/v1/auth/me", headers={"Authorization": value})) == (401, "invalid-token"), value
    assert problem(http.get("/v1/auth/me", headers={"Authorization": f"Basic {token}"})) == (401, "invalid-token")
    assert http.get("/v1/auth/me", params={"access_token": token}).status_code == 401
    assert http.get("/v1/auth/me", headers={"Authorization": f"bearer {token}"}).status_code == 200
