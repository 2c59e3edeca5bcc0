"""The authorizer lets in the tokens we made, and answers everything else with the one word that means 401."""

import base64
import hashlib
import hmac
import json
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from functions.auth.accounts import Session, User
from functions.auth.authorizer import Deps, Handler, create_handler
from functions.auth.tokens import AccessTokens, parse_keys
from functions.shared.logs import get_logger
from functions.shared.problems import Unavailable
from functions.shared.settings import InvalidSettings
from tests.events import API_ARN, token_event
from tests.fakes.auth import KEYS, FakeSessions, FakeUsers
from tests.fakes.shared import FakeClock

USER = User("6f1c2f5e-5d4b-4a7e-9d1c-0f0e0d0c0b0a", "ada@example.com", FakeClock().now)
SESSION = Session("0b8ff1f0-6f0a-4c51-8c3e-2f6a1b2c3d4e", USER.id)
NOW = int(FakeClock().now.timestamp())
HEADER = {"alg": "HS256", "kid": "key-1", "typ": "JWT"}
CLAIMS: dict[str, Any] = {
    "iss": "video2mp3",
    "aud": "video2mp3",
    "typ": "access",
    "sub": USER.id,
    "email": USER.email,
    "sid": SESSION.id,
    "jti": "token-1",
    "iat": NOW,
    "nbf": NOW,
    "exp": NOW + 900,
}


class Door:
    """The authorizer with its fakes. One session is live."""

    def __init__(self, keys: Mapping[str, str] = KEYS) -> None:
        self.clock = FakeClock()
        self.sessions = FakeSessions(FakeUsers())
        self.sessions.begin(SESSION, b"1", self.clock.now, self.clock.now + timedelta(days=30))
        self.tokens = AccessTokens(keys, timedelta(minutes=15), self.clock)
        deps = Deps(self.tokens, self.sessions, get_logger("authorizer"))
        self.handler: Handler = create_handler(lambda: deps)

    def make(self) -> str:
        return self.tokens.make(USER, SESSION.id, "token-1")

    def opens(self, authorization: str) -> bool:
        """Whether the header lets somebody in. Anything but yes and Exception("Unauthorized") fails the test."""
        try:
            self.handler(token_event(authorization), None)
        except Exception as error:
            if type(error) is not Exception or error.args != ("Unauthorized",):
                raise
            return False
        return True


@pytest.fixture
def door() -> Door:
    return Door()


def forge(header: object, payload: object, secret: str = KEYS["key-1"], digest: str = "sha256") -> str:
    """Return a token of any content with a right signature. A str is taken as it is, the rest as JSON."""
    parts = [part if isinstance(part, str) else json.dumps(part) for part in (header, payload)]
    signed = ".".join(_encode(part.encode()) for part in parts)
    return f"{signed}.{_encode(hmac.digest(secret.encode(), signed.encode(), digest))}"


def _encode(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def test_a_token_of_ours_lets_its_user_in(door: Door) -> None:
    """The policy covers the whole API: API Gateway may keep it for the next request to another route."""
    policy = door.handler(token_event(f"Bearer {door.make()}", "POST", "/v1/conversions"), None)

    assert policy == {
        "principalId": USER.id,
        "policyDocument": {
            "Version": "2012-10-17",
            "Statement": [{"Action": "execute-api:Invoke", "Effect": "Allow", "Resource": f"{API_ARN}/*"}],
        },
        "context": {"user_id": USER.id, "email": USER.email, "session_id": SESSION.id},
    }


def test_the_forger_of_these_tests_can_forge(door: Door) -> None:
    """The tests below change one thing of a token that works. This is that token."""
    assert door.opens(f"Bearer {forge(HEADER, CLAIMS)}")
    assert door.opens(f"bearer {forge(HEADER, CLAIMS)}")


@pytest.mark.parametrize(
    "authorization", ["", "Bearer", "Bearer ", "Basic {}", "{}", "Bearer{}", "Bearer  x {}", "Bearer {} x"]
)
def test_a_header_of_another_form_is_refused(door: Door, authorization: str) -> None:
    """RFC 6750 has one form."""
    assert not door.opens(authorization.format(door.make()))


def test_an_event_without_a_token_is_refused(door: Door) -> None:
    """API Gateway does not send such events, others might."""
    with pytest.raises(Exception, match=r"^Unauthorized$"):
        door.handler({"type": "TOKEN", "methodArn": f"{API_ARN}/GET/"}, None)


@pytest.mark.parametrize("alg", ["none", "nOnE", "None", "", "RS256", "ES256", "HS512", "hs256", None, ["HS256"], {}])
def test_only_one_algorithm_is_accepted(door: Door, alg: object) -> None:
    """Whoever can choose the algorithm can choose none, or take a public key for a secret (RFC 8725, 2.1)."""
    header = {**HEADER, "alg": alg}

    assert not door.opens(f"Bearer {forge(header, CLAIMS)}")
    assert not door.opens(f"Bearer {forge(header, CLAIMS, digest='sha512')}")
    assert not door.opens(f"Bearer {forge(header, CLAIMS).rpartition('.')[0]}.")


@pytest.mark.parametrize(
    "kid",
    ["key-2", "", "../../../dev/null", "/dev/null", "key-1' OR '1'='1", ["key-1"], {"key-1": 1}, 1, None, "KEY-1"],
)
def test_a_kid_that_is_not_in_the_table_is_refused(door: Door, kid: object) -> None:
    """A kid is a name in our own table: no file is opened and no query is made for it."""
    assert not door.opens(f"Bearer {forge({**HEADER, 'kid': kid}, CLAIMS)}")
    assert not door.opens(f"Bearer {forge({**HEADER, 'kid': kid}, CLAIMS, secret='')}")


@pytest.mark.parametrize(
    "extra",
    [
        {"jku": "http://127.0.0.1:9/keys"},
        {"jwk": {"kty": "oct", "k": "c2VjcmV0"}},
        {"x5u": "http://127.0.0.1:9/cert"},
        {"crit": ["exp"]},
        {"b64": False, "crit": ["b64"]},
    ],
)
def test_a_header_with_anything_else_is_refused(door: Door, extra: dict[str, object]) -> None:
    """A token must not bring its own key, or say where it is."""
    assert not door.opens(f"Bearer {forge({**HEADER, **extra}, CLAIMS)}")


@pytest.mark.parametrize("claim", CLAIMS)
def test_every_claim_is_required(door: Door, claim: str) -> None:
    """A library would accept a token without `exp` for ever."""
    assert not door.opens(f"Bearer {forge(HEADER, {k: v for k, v in CLAIMS.items() if k != claim})}")
    assert not door.opens(f"Bearer {forge(HEADER, {**CLAIMS, claim: None})}")


@pytest.mark.parametrize(
    "wrong",
    [
        {"exp": NOW - 30},
        {"exp": "tomorrow"},
        {"exp": float("inf")},
        {"exp": NOW + 900.5},
        {"exp": True},
        {"nbf": NOW + 31},
        {"iat": NOW + 31},
        {"nbf": [], "iat": {}},
        {"iss": "video2mp4"},
        {"aud": "other"},
        {"aud": ["video2mp3", "other"]},
        {"typ": "refresh"},
        {"sub": "' OR 1=1 --"},
        {"sub": 1},
        {"sid": "\x00"},
        {"sid": "../"},
        {"email": {}},
        {"role": "admin"},
    ],
)
def test_a_wrong_claim_is_refused(door: Door, wrong: dict[str, object]) -> None:
    """Even with a right signature."""
    assert not door.opens(f"Bearer {forge(HEADER, {**CLAIMS, **wrong})}")


@pytest.mark.parametrize(
    "payload",
    [
        json.dumps(CLAIMS).replace(str(NOW + 900), "1e400"),
        json.dumps(CLAIMS).replace(str(NOW + 900), "9" * 2000),
        json.dumps(CLAIMS).replace(str(NOW + 900), "9" * 5000),
        json.dumps(CLAIMS).replace(str(NOW + 900), "NaN"),
        "[" * 2500,
        "[" * 100_000,
        "[]",
        "null",
        "",
        "\x00",
    ],
    ids=lambda payload: payload[-12:],
)
def test_json_that_hurts_parsers_is_refused(door: Door, payload: str) -> None:
    """Numbers without end and depth without end are answered like any other nonsense."""
    token = forge(HEADER, payload)

    assert door.opens(f"Bearer {token}") is (payload.endswith("9" * 2000 + "}") and len(token) < 4096)
    assert not door.opens(f"Bearer {forge(payload, CLAIMS)}")


def test_clocks_may_differ_by_half_a_minute(door: Door) -> None:
    """The machine that made a token is not always the one that reads it."""
    token = f"Bearer {door.make()}"

    door.clock.advance(seconds=900 + 29)
    assert door.opens(token)
    door.clock.advance(seconds=1)
    assert not door.opens(token)
    door.clock.advance(seconds=-960)
    assert door.opens(token)
    door.clock.advance(seconds=-1)
    assert not door.opens(token)


def test_a_key_is_rotated_without_a_false_no(door: Door) -> None:
    """First all learn the new key, then it signs, then the old one goes: the three deploys of a rotation."""
    old, new = KEYS, {"key-2": "the second secret, of 32 bytes or so"}
    before, learned, signing, after = Door(old), Door({**old, **new}), Door({**new, **old}), Door(new)

    assert [door.opens(f"Bearer {before.make()}") for door in (before, learned, signing)] == [True] * 3
    assert [door.opens(f"Bearer {signing.make()}") for door in (learned, signing, after)] == [True] * 3
    assert not after.opens(f"Bearer {before.make()}")


@pytest.mark.parametrize("added", ["=", "==", ".", " x", "A", "\n", "é"])
def test_a_token_with_something_added_is_refused(door: Door, added: str) -> None:
    """Two spellings of one token would be a way around everything that knows a token by its letters."""
    token = door.make()

    assert not door.opens(f"Bearer {token}{added}")


@pytest.mark.parametrize(
    "session", [Session(SESSION.id, "6f1c2f5e-5d4b-4a7e-9d1c-000000000000"), Session(USER.id, USER.id)]
)
def test_a_session_that_the_user_does_not_have_is_refused(door: Door, session: Session) -> None:
    """A token is only as good as the session it belongs to."""
    assert not door.opens(f"Bearer {forge(HEADER, {**CLAIMS, 'sub': session.user_id, 'sid': session.id})}")


def test_a_revoked_session_is_refused(door: Door) -> None:
    """Logging out works at once, not when the access token expires."""
    token = door.make()
    door.sessions.revoke(SESSION.id, door.clock.now)

    assert not door.opens(f"Bearer {token}")
    assert not door.opens(f"Bearer {token}=")


def test_without_the_database_nobody_is_told_to_log_in(door: Door) -> None:
    """A 401 would log everybody out; Unavailable becomes a 503."""
    door.sessions.down = True

    with pytest.raises(Unavailable):
        door.handler(token_event(f"Bearer {door.make()}"), None)


_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.sampled_from([*CLAIMS.values(), NOW]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from([*CLAIMS, *HEADER]), inner),
    max_leaves=8,
)


@given(text=st.text())
def test_any_text_is_refused_and_nothing_else_happens(text: str) -> None:
    """The header is the first thing that a stranger can fill with what they like."""
    door = Door()

    assert not door.opens(text)
    assert not door.opens(f"Bearer {text}")
    assert not door.opens(f"Bearer {forge(HEADER, CLAIMS)[:-1]}{text}=")


@settings(suppress_health_check=[HealthCheck.too_slow])
@given(
    header=st.dictionaries(st.sampled_from([*HEADER, "crit", "b64"]), _json).map(lambda odd: {**HEADER, **odd}),
    claims=st.dictionaries(st.sampled_from([*CLAIMS]), _json).map(lambda odd: {**CLAIMS, **odd}),
)
def test_any_signed_json_is_let_in_or_refused_and_nothing_else_happens(
    header: dict[str, object], claims: dict[str, object]
) -> None:
    """Keys leak. Then a token can say anything, and still must not break anything."""
    let_in = Door().opens(f"Bearer {forge(header, claims)}")

    if let_in:
        assert header == HEADER
        assert (claims["sub"], claims["sid"], claims["typ"]) == (USER.id, SESSION.id, "access")


@pytest.mark.parametrize(
    "text", ["", "key", "key=short", "=" + "s" * 32, "a=" + "s" * 32 + ",", "a=" + "s" * 32 + ",a=" + "t" * 32]
)
def test_keys_that_cannot_be_used_are_refused_and_not_shown(text: str) -> None:
    """A weak key can be found by trying; a key in an error message ends in a log."""
    with pytest.raises(InvalidSettings, match="JWT_KEYS") as raised:
        parse_keys(text)

    assert "s" * 32 not in str(raised.value)
    assert "short" not in str(raised.value)


def test_keys_keep_their_order_and_their_equals_signs() -> None:
    """The first one signs. Secrets are often base64, which ends in `=`."""
    secret = base64.b64encode(hashlib.sha256(b"x").digest()).decode()

    assert list(parse_keys(f"new={secret}, old={'s' * 32}").items()) == [("new", secret), ("old", "s" * 32)]
