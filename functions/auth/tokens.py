"""Tokens: access tokens, which anybody with a key can check, and refresh tokens, which only the database knows.

An access token is a JWT (RFC 7519), read by the advice of RFC 8725: one algorithm, a key by its `kid` from our
own table, every claim required.
"""

import hashlib
import re
import secrets
from collections.abc import Mapping
from datetime import timedelta
from typing import Literal
from uuid import UUID

import jwt
import msgspec

from functions.auth.accounts import Session, User
from functions.shared.clock import Clock
from functions.shared.problems import Problem
from functions.shared.settings import InvalidSettings

LEEWAY = timedelta(seconds=30)
_ALGORITHM: Literal["HS256"] = "HS256"
_ISSUER: Literal["video2mp3"] = "video2mp3"
# Ours have some 600 characters; a limit keeps what a stranger can make us parse small.
_MAX_TOKEN = 4096
# RFC 7515 has no padding. Without this check a token with `=` added is the same token in other letters.
_COMPACT = re.compile(r"[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+", re.ASCII)
# RFC 7518, section 3.2: the key of HS256 has at least the 256 bits of its hash.
_MIN_SECRET_BYTES = 32


class InvalidToken(Problem):
    """Raised when a token is not ours, is of the wrong kind, has expired or was revoked. It does not say which."""

    code = "invalid-token"

    def __init__(self) -> None:
        super().__init__("Log in again to get new tokens.", headers={"WWW-Authenticate": "Bearer"})


class _Header(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The JOSE header. Others, such as `jku` or `jwk`, are refused unread."""

    alg: Literal["HS256"]
    kid: str
    typ: Literal["JWT"] = "JWT"


class Claims(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What an access token says: user `sub`, in session `sid`. Times are seconds since 1970."""

    iss: Literal["video2mp3"]
    aud: Literal["video2mp3"]
    typ: Literal["access"]
    sub: UUID
    email: str
    sid: UUID
    jti: str
    iat: int
    nbf: int
    exp: int

    @property
    def session(self) -> Session:
        """The session that the token belongs to."""
        return Session(id=str(self.sid), user_id=str(self.sub))


def parse_keys(text: str) -> dict[str, str]:
    """Return the keys of JWT_KEYS, by kid, in their order. Raises InvalidSettings, which shows no secret."""
    keys = {}
    for pair in text.split(","):
        kid, _, secret = pair.strip().partition("=")
        if not kid or len(secret.encode()) < _MIN_SECRET_BYTES:
            raise InvalidSettings(
                f"The environment variable JWT_KEYS cannot be used: write it as kid=secret,kid=secret, "
                f"each secret of {_MIN_SECRET_BYTES} bytes or more."
            )
        if kid in keys:
            raise InvalidSettings("The environment variable JWT_KEYS cannot be used: it has one kid twice.")
        keys[kid] = secret
    return keys


class AccessTokens:
    """Makes and reads access tokens. The first of `keys` signs; a token signed with any of them is read."""

    def __init__(self, keys: Mapping[str, str], ttl: timedelta, clock: Clock) -> None:
        self._keys = dict(keys)
        self._signing_kid = next(iter(self._keys))
        self._clock = clock
        self.ttl = ttl

    def make(self, user: User, session_id: str, token_id: str) -> str:
        """Return a token that works for `ttl`. `token_id` is its `jti`."""
        now = self._clock()
        claims = Claims(
            iss=_ISSUER,
            aud=_ISSUER,
            typ="access",
            sub=UUID(user.id),
            email=user.email,
            sid=UUID(session_id),
            jti=token_id,
            iat=int(now.timestamp()),
            nbf=int(now.timestamp()),
            exp=int((now + self.ttl).timestamp()),
        )
        key, headers = self._keys[self._signing_kid], {"kid": self._signing_kid}
        return jwt.encode(msgspec.to_builtins(claims), key, algorithm=_ALGORITHM, headers=headers)

    def read(self, token: str) -> Claims:
        """Return what a token says, if it works now. Whether its session was revoked is for others to ask.

        Raises:
            InvalidToken: in every other case, whatever the text is. Its cause has the reason.
        """
        try:
            return self._read(token)
        except (jwt.PyJWTError, msgspec.MsgspecError, ValueError) as error:
            raise InvalidToken from error

    def _read(self, token: str) -> Claims:
        if len(token) > _MAX_TOKEN or not _COMPACT.fullmatch(token):
            raise jwt.DecodeError("not in compact form")
        header = msgspec.convert(jwt.get_unverified_header(token), _Header)
        if header.kid not in self._keys:
            raise jwt.InvalidKeyError("unknown kid")
        payload = jwt.decode(
            token,
            self._keys[header.kid],
            algorithms=[_ALGORITHM],
            issuer=_ISSUER,
            audience=_ISSUER,
            options={
                "require": list(Claims.__struct_fields__),
                "strict_aud": True,
                # PyJWT knows only the system's clock: `_check_times` does these.
                "verify_exp": False,
                "verify_nbf": False,
                "verify_iat": False,
            },
        )
        claims = msgspec.convert(payload, Claims)
        self._check_times(claims)
        return claims

    def _check_times(self, claims: Claims) -> None:
        now, leeway = self._clock().timestamp(), LEEWAY.total_seconds()
        if claims.exp <= now - leeway:
            raise jwt.ExpiredSignatureError("expired")
        if max(claims.nbf, claims.iat) > now + leeway:
            raise jwt.ImmatureSignatureError("not valid yet")


def new_refresh_token() -> str:
    """Return 256 random bits, as text."""
    return secrets.token_urlsafe(32)


def fingerprint(refresh_token: str) -> bytes:
    """Return the SHA-256 by which a refresh token is kept. It is random, so it needs no salt and no slow hash."""
    return hashlib.sha256(refresh_token.encode()).digest()
