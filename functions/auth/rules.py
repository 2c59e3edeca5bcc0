"""The rules of accounts: register, log in, stay logged in, log out, and who is calling."""

from collections.abc import Callable
from datetime import timedelta
from typing import NamedTuple

import msgspec
from aws_lambda_powertools import Logger

from functions.auth.accounts import (
    Account,
    EmailRegistered,
    Session,
    Sessions,
    TokenSpent,
    TokenUnknown,
    User,
    UserMissing,
    Users,
)
from functions.auth.emails import clean_email
from functions.auth.passwords import Passwords, check_password
from functions.auth.tokens import AccessTokens, Claims, InvalidToken, fingerprint
from functions.shared.clock import Clock
from functions.shared.problems import Problem


class EmailTaken(Problem):
    """Raised when somebody registers an e-mail that is registered."""

    code = "email-taken"

    def __init__(self) -> None:
        super().__init__("Log in, or register another e-mail.")


class WrongCredentials(Problem):
    """Raised when nobody has this e-mail with this password. It does not say which of the two is wrong."""

    code = "wrong-credentials"

    def __init__(self) -> None:
        super().__init__("Check both and try again.", headers={"WWW-Authenticate": "Bearer"})


class Deps(NamedTuple):
    """What the rules need."""

    users: Users
    sessions: Sessions
    passwords: Passwords
    access_tokens: AccessTokens
    refresh_ttl: timedelta
    clock: Clock
    new_id: Callable[[], str]
    new_refresh_token: Callable[[], str]
    logger: Logger


class Tokens(msgspec.Struct, frozen=True):
    """What a login gives, as RFC 6749, section 5.1, names it. Times to live are in seconds."""

    access_token: str
    expires_in: int
    refresh_token: str
    refresh_expires_in: int
    token_type: str = "Bearer"  # noqa: S105 - the name of a kind of token

    def to_json(self) -> bytes:
        """Return the tokens as JSON."""
        return msgspec.json.encode(self)


def register(email: str, password: str, deps: Deps) -> User:
    """Make an account. Raises InvalidInput, WeakPassword or EmailTaken."""
    email = clean_email(email)
    check_password(password, email)
    user = User(id=deps.new_id(), email=email, created_at=deps.clock())
    try:
        deps.users.add(Account(user, deps.passwords.hash(password)))
    except EmailRegistered as error:
        raise EmailTaken from error
    deps.logger.info("registered", extra={"user_id": user.id})
    return user


def log_in(email: str, password: str, deps: Deps) -> Tokens:
    """Begin a session. Raises InvalidInput or WrongCredentials, the latter always after the same time."""
    try:
        account = deps.users.by_email(clean_email(email))
    except UserMissing:
        account = None
    matches = deps.passwords.matches(password, account.password_hash if account else None)
    if account is None or not matches:
        raise WrongCredentials
    if deps.passwords.is_outdated(account.password_hash):
        deps.users.replace_password_hash(account.user.id, account.password_hash, deps.passwords.hash(password))
    session, refresh_token, now = Session(deps.new_id(), account.user.id), deps.new_refresh_token(), deps.clock()
    deps.sessions.begin(session, fingerprint(refresh_token), now, now + deps.refresh_ttl)
    deps.logger.info("logged in", extra={"user_id": session.user_id, "session_id": session.id})
    return _tokens(account.user, session, refresh_token, deps)


def refresh(refresh_token: str, deps: Deps) -> Tokens:
    """Spend a refresh token for new tokens. Raises InvalidToken.

    One that was spent before ends its session: either its owner or a thief has just come second, and nobody
    can tell which.
    """
    new_token, now = deps.new_refresh_token(), deps.clock()
    try:
        session, user = deps.sessions.rotate(
            fingerprint(refresh_token), fingerprint(new_token), now, now + deps.refresh_ttl
        )
    except TokenSpent as error:
        deps.sessions.revoke(error.session_id, now)
        deps.logger.warning("spent refresh token used: session revoked", extra={"session_id": error.session_id})
        raise InvalidToken from error
    except TokenUnknown as error:
        raise InvalidToken from error
    return _tokens(user, session, new_token, deps)


def log_out(session_id: str, deps: Deps) -> None:
    """End a session: its access and refresh tokens no longer work."""
    deps.sessions.revoke(session_id, deps.clock())
    deps.logger.info("logged out", extra={"session_id": session_id})


def who_am_i(user_id: str, deps: Deps) -> User:
    """Return the user who is calling. Raises InvalidToken if the account is gone."""
    try:
        return deps.users.get(user_id)
    except UserMissing as error:
        raise InvalidToken from error


def authorize(authorization: str, access_tokens: AccessTokens, sessions: Sessions) -> Claims:
    """Return what the access token in an Authorization header says, if its session is live. Raises InvalidToken."""
    scheme, _, token = authorization.partition(" ")
    if scheme.lower() != "bearer":
        raise InvalidToken
    claims = access_tokens.read(token.strip(" "))
    if not sessions.is_live(claims.session):
        raise InvalidToken
    return claims


def _tokens(user: User, session: Session, refresh_token: str, deps: Deps) -> Tokens:
    return Tokens(
        access_token=deps.access_tokens.make(user, session.id, deps.new_id()),
        expires_in=int(deps.access_tokens.ttl.total_seconds()),
        refresh_token=refresh_token,
        refresh_expires_in=int(deps.refresh_ttl.total_seconds()),
    )
