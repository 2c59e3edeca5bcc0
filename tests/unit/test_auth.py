"""The routes of auth, called with API Gateway events as Lambda would call them."""

import io
import logging
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from functions.auth import authorizer
from functions.auth.app import create_app
from functions.auth.passwords import Passwords
from functions.shared.conversions import Owner
from functions.shared.logs import get_logger
from tests.events import header, http_event, json_of, token_event
from tests.fakes.auth import Accounts, CountingHasher, make_accounts

PASSWORD = "correct horse battery"
ADA = {"email": "ada@example.com", "password": PASSWORD}


class Client:
    """Calls the routes, and asks the authorizer as the gateway would."""

    def __init__(self, accounts: Accounts) -> None:
        self.accounts = accounts
        self._app = create_app(lambda: accounts.deps)
        deps = authorizer.Deps(accounts.deps.access_tokens, accounts.sessions, get_logger("authorizer"))
        self._authorize = authorizer.create_handler(lambda: deps)

    def post(self, route: str, body: object) -> dict[str, Any]:
        return self._app(http_event("POST", f"/v1/auth/{route}", body=body), None)

    def guarded(self, method: str, route: str, access_token: str) -> dict[str, Any]:
        context = self._authorize(token_event(f"Bearer {access_token}"), None)["context"]
        caller = Owner(context["user_id"], context["email"])
        event = http_event(method, f"/v1/auth/{route}", caller=caller, session_id=context["session_id"])
        return self._app(event, None)

    def unguarded(self, method: str, route: str) -> dict[str, Any]:
        return self._app(http_event(method, f"/v1/auth/{route}"), None)

    def log_in(self) -> dict[str, Any]:
        answer = self.post("login", ADA)
        assert answer["statusCode"] == 200
        tokens: dict[str, Any] = json_of(answer)
        return tokens

    def is_in(self, access_token: str) -> bool:
        try:
            return bool(self._authorize(token_event(f"Bearer {access_token}"), None))
        except Exception as error:
            if str(error) != "Unauthorized":
                raise
            return False


@pytest.fixture
def accounts() -> Accounts:
    return make_accounts()


@pytest.fixture
def client(accounts: Accounts) -> Client:
    return Client(accounts)


@pytest.fixture
def ada(client: Client) -> dict[str, Any]:
    """Ada, who is registered."""
    user: dict[str, Any] = json_of(client.post("register", ADA))
    return user


@pytest.fixture
def logged() -> Iterator[Callable[[], str]]:
    """What auth and the authorizer have logged, as it is written."""
    stream = io.StringIO()
    loggers = [logging.getLogger(name) for name in ("auth", "authorizer")]
    handlers = []
    for logger in loggers:
        get_logger(logger.name)
        handler = logging.StreamHandler(stream)
        handler.setFormatter(logger.handlers[0].formatter)
        logger.addHandler(handler)
        handlers.append(handler)
    yield stream.getvalue
    for logger, handler in zip(loggers, handlers, strict=True):
        logger.removeHandler(handler)


def test_registering_answers_the_user_and_nothing_secret(client: Client) -> None:
    """What is answered is what anybody may know: neither the password nor its hash."""
    answer = client.post("register", ADA)

    assert answer["statusCode"] == 201
    assert set(json_of(answer)) == {"id", "email", "created_at"}
    assert json_of(answer)["email"] == "ada@example.com"
    assert json_of(answer)["created_at"] == "2026-01-01T12:00:00Z"


def test_an_email_is_taken_in_any_case(client: Client, ada: dict[str, Any]) -> None:
    """Mail servers do not tell Ada from ada, so neither may we."""
    answer = client.post("register", {**ADA, "email": "ADA@Example.COM"})

    assert answer["statusCode"] == 409
    assert json_of(answer)["type"] == "/problems/email-taken"


@pytest.mark.parametrize(
    "email",
    [
        "ada@example.com\r\n",
        "ada\r\nBcc: eve@example.com@example.com",
        "a\x00da@example.com",
        # Encoded words of RFC 2047: `v@victim.com,` and a line break with another header after it.
        "=?utf-8?q?v=40victim.com=2C?=@b.de",
        "=?utf-8?q?x=0D=0ABcc:_evil=40example.com=0D=0A?=@b.de",
        "ada.=?us-ascii?B?dkB2aWN0aW0uY29tLA==?=@b.de",
        "a=?b@b.de",
    ],
)
def test_an_email_that_could_break_out_of_a_header_is_refused(client: Client, email: str) -> None:
    """The address goes into the To header of a mail: a line break in it would add recipients."""
    answer = client.post("register", {**ADA, "email": email})

    assert answer["statusCode"] == 422
    assert [error["field"] for error in json_of(answer)["errors"]] == ["email"]
    assert client.accounts.users.accounts == {}


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"email": {"$gt": ""}, "password": PASSWORD}, "email"),
        ({"email": ["ada@example.com"], "password": PASSWORD}, "email"),
        ({"email": "ada@example.com", "password": None}, "password"),
        ({"email": "ada@example.com"}, "password"),
        ({**ADA, "is_admin": True}, "is_admin"),
        ({**ADA, "owner_id": "1"}, "owner_id"),
        ({**ADA, "email": "' OR 1=1; DROP TABLE users; --"}, "email"),
        ([], "(body)"),
        ("null", "(body)"),
    ],
)
@pytest.mark.parametrize("route", ["register", "login"])
def test_a_wrong_field_is_named(client: Client, route: str, body: object, field: str) -> None:
    """A client can only correct what it is told; operators and extra fields must not get through."""
    answer = client.post(route, body)

    assert answer["statusCode"] == 422
    assert [error["field"] for error in json_of(answer)["errors"]] == [field]


@pytest.mark.parametrize("body", [b"", b"{", b'{"email": "\xff"}', "[" * 100_000, b'{"email": "\\ud800"}'])
@pytest.mark.parametrize("route", ["register", "login", "refresh"])
def test_a_body_that_is_not_json_is_a_bad_request(client: Client, route: str, body: object) -> None:
    """Whatever bytes come, the answer is never a 500."""
    answer = client.post(route, body)

    assert answer["statusCode"] in {400, 413, 422}
    assert json_of(answer)["type"] in {"/problems/bad-request", "/problems/too-large", "/problems/invalid-input"}


@pytest.mark.parametrize("password", ["short", "x" * 129, "x" * 1_000_000])
def test_a_password_too_short_or_too_long_is_weak(client: Client, password: str) -> None:
    """A password of a megabyte would cost a megabyte of hashing; it is refused before that."""
    answer = client.post("register", {**ADA, "password": password})

    assert answer["statusCode"] == 422
    assert json_of(answer)["type"] == "/problems/weak-password"
    assert [error["field"] for error in json_of(answer)["errors"]] == ["password"]


def test_a_body_of_many_megabytes_is_too_large(client: Client) -> None:
    """Reading has a limit too."""
    answer = client.post("register", {**ADA, "password": "x" * 3_000_000})

    assert answer["statusCode"] == 413


def test_logging_in_answers_tokens_that_work(client: Client, ada: dict[str, Any]) -> None:
    """This is what every client does first."""
    tokens = client.log_in()

    assert tokens["token_type"] == "Bearer"
    assert (tokens["expires_in"], tokens["refresh_expires_in"]) == (900, 2_592_000)
    assert json_of(client.guarded("GET", "me", tokens["access_token"])) == ada


def test_one_logs_in_with_an_email_in_any_case_and_with_spaces_around_it(client: Client, ada: dict[str, Any]) -> None:
    """Phones capitalise and add spaces."""
    assert client.post("login", {**ADA, "email": " Ada@Example.COM "})["statusCode"] == 200


def test_an_unknown_email_and_a_wrong_password_are_answered_alike(client: Client, ada: dict[str, Any]) -> None:
    """Who could tell the two apart could find out who is registered, by the words or by the time.

    The time is that of the comparison with a hash, so each must do exactly one.
    """
    before = client.accounts.hasher.comparisons
    unknown = client.post("login", {**ADA, "email": "nobody@example.com"})
    between = client.accounts.hasher.comparisons
    wrong = client.post("login", {**ADA, "password": "wrong horse battery"})

    assert unknown == wrong
    assert unknown["statusCode"] == 401
    assert json_of(unknown)["type"] == "/problems/wrong-credentials"
    assert (between - before, client.accounts.hasher.comparisons - between) == (1, 1)


@pytest.mark.parametrize("password", ["", "x" * 1_000_000, "\x00" * 20, "' OR '1'='1"])
def test_no_odd_password_lets_anybody_in(client: Client, ada: dict[str, Any], password: str) -> None:
    """All of them are simply wrong."""
    assert client.post("login", {**ADA, "password": password})["statusCode"] == 401


def test_a_hash_with_old_parameters_is_replaced_at_login(client: Client, ada: dict[str, Any]) -> None:
    """Only a login has the password, so only then can a hash be made stronger."""
    accounts = client.accounts
    old = accounts.users.accounts[ada["id"]].password_hash
    stronger = Passwords(CountingHasher(time_cost=2), at_once=1)
    accounts.deps = accounts.deps._replace(passwords=stronger)

    client.log_in()

    new = accounts.users.accounts[ada["id"]].password_hash
    assert stronger.is_outdated(old)
    assert not stronger.is_outdated(new)
    assert stronger.matches(PASSWORD, new)


def test_refreshing_answers_new_tokens_and_keeps_the_session(client: Client, ada: dict[str, Any]) -> None:
    """People stay logged in beyond the quarter of an hour that an access token works."""
    tokens = client.log_in()
    client.accounts.clock.advance(minutes=20)
    assert not client.is_in(tokens["access_token"])

    new = json_of(client.post("refresh", {"refresh_token": tokens["refresh_token"]}))

    assert client.is_in(new["access_token"])
    assert new["refresh_token"] != tokens["refresh_token"]
    assert new["expires_in"] == 900


def test_a_refresh_token_used_twice_ends_its_session(client: Client, ada: dict[str, Any]) -> None:
    """One of the two who used it is a thief, and nobody can tell which: both are out."""
    tokens = client.log_in()
    new = json_of(client.post("refresh", {"refresh_token": tokens["refresh_token"]}))

    again = client.post("refresh", {"refresh_token": tokens["refresh_token"]})

    assert again["statusCode"] == 401
    assert json_of(again)["type"] == "/problems/invalid-token"
    assert client.post("refresh", {"refresh_token": new["refresh_token"]})["statusCode"] == 401
    assert not client.is_in(tokens["access_token"])
    assert not client.is_in(new["access_token"])


def test_a_refresh_asks_the_database_once(client: Client, ada: dict[str, Any]) -> None:
    """If it went away between two questions, the token would be spent, and the client would have no other."""
    tokens = client.log_in()
    client.accounts.users.down = True

    new = client.post("refresh", {"refresh_token": tokens["refresh_token"]})

    assert new["statusCode"] == 200
    assert client.is_in(json_of(new)["access_token"])


def test_a_refresh_token_expires(client: Client, ada: dict[str, Any]) -> None:
    """One that was lost in a backup must not work for ever."""
    tokens = client.log_in()
    client.accounts.clock.advance(days=30)

    assert client.post("refresh", {"refresh_token": tokens["refresh_token"]})["statusCode"] == 401


def test_tokens_of_one_kind_do_not_pass_for_the_other(client: Client, ada: dict[str, Any]) -> None:
    """A refresh token lives for a month: as an access token it would outlive every logout but its own."""
    tokens = client.log_in()

    assert not client.is_in(tokens["refresh_token"])
    assert client.post("refresh", {"refresh_token": tokens["access_token"]})["statusCode"] == 401


@pytest.mark.parametrize("token", ["", "unknown", "' OR 1=1 --", "\x00", "é" * 1000])
def test_no_odd_refresh_token_works(client: Client, token: str) -> None:
    """Whatever comes, it is hashed and not found."""
    assert client.post("refresh", {"refresh_token": token})["statusCode"] == 401


def test_after_logout_both_tokens_are_dead_and_other_sessions_live(client: Client, ada: dict[str, Any]) -> None:
    """Somebody who logs out on a borrowed computer is out there, and not on their own."""
    here, elsewhere = client.log_in(), client.log_in()

    answer = client.guarded("POST", "logout", here["access_token"])

    assert (answer["statusCode"], answer["body"]) == (204, "")
    assert not client.is_in(here["access_token"])
    assert not client.is_in(here["access_token"] + "=")
    assert client.post("refresh", {"refresh_token": here["refresh_token"]})["statusCode"] == 401
    assert client.is_in(elsewhere["access_token"])


def test_a_token_of_an_account_that_is_gone_names_nobody(client: Client, ada: dict[str, Any]) -> None:
    """The access token may be minutes older than the end of its account."""
    tokens = client.log_in()
    client.accounts.users.accounts.clear()

    assert client.guarded("GET", "me", tokens["access_token"])["statusCode"] == 401
    assert client.post("refresh", {"refresh_token": tokens["refresh_token"]})["statusCode"] == 401


@pytest.mark.parametrize(("method", "route"), [("GET", "me"), ("POST", "logout")])
def test_a_guarded_route_without_a_guard_lets_nobody_in(client: Client, method: str, route: str) -> None:
    """If a template forgot the authorizer, the route must be closed, not open."""
    answer = client.unguarded(method, route)

    assert answer["statusCode"] == 401
    assert header(answer, "WWW-Authenticate") == "Bearer"


@pytest.mark.parametrize("route", ["register", "login"])
def test_without_the_database_the_answer_is_503(client: Client, route: str) -> None:
    """A 401 would make clients throw their tokens and passwords away."""
    client.accounts.users.down = True

    answer = client.post(route, ADA)

    assert answer["statusCode"] == 503
    assert header(answer, "Retry-After") == "5"


def test_no_answer_may_be_stored(client: Client, ada: dict[str, Any]) -> None:
    """A proxy that kept tokens would hand them to the next."""
    assert header(client.post("login", ADA), "Cache-Control") == "no-store"


def test_logs_never_hold_a_password_or_a_token(client: Client, logged: Callable[[], str]) -> None:
    """Logs are read by many and kept for long."""
    client.post("register", ADA)
    tokens = client.log_in()
    client.post("login", {**ADA, "password": "wrong horse battery"})
    new = json_of(client.post("refresh", {"refresh_token": tokens["refresh_token"]}))
    client.post("refresh", {"refresh_token": tokens["refresh_token"]})
    assert not client.is_in(new["access_token"])
    assert not client.is_in(new["refresh_token"])
    client.accounts.sessions.down = True
    client.post("login", ADA)

    text = logged()
    assert "logged in" in text
    assert "session revoked" in text
    assert "unavailable" in text
    secrets = [PASSWORD, "wrong horse", *(t[kind] for t in (tokens, new) for kind in ("access_token", "refresh_token"))]
    assert [secret for secret in secrets if secret in text] == []
