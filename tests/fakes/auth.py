"""Fakes of the ports of auth, and what its rules need made of them."""

import itertools
import threading
import uuid
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Literal

from argon2 import PasswordHasher

from functions.auth.accounts import (
    Account,
    EmailRegistered,
    Session,
    TokenSpent,
    TokenUnknown,
    User,
    UserMissing,
)
from functions.auth.passwords import Passwords
from functions.auth.rules import Deps
from functions.auth.tokens import AccessTokens
from functions.shared.logs import get_logger
from functions.shared.problems import Unavailable
from tests.fakes.shared import FakeClock

KEYS = {"key-1": "the first secret, of 32 bytes or more"}


class FakeUsers:
    """Keeps accounts in memory; while `down` it answers as a database that does not."""

    def __init__(self) -> None:
        self.accounts: dict[str, Account] = {}
        self.down = False

    def add(self, account: Account) -> None:
        self._check()
        if any(known.user.email.lower() == account.user.email.lower() for known in self.accounts.values()):
            raise EmailRegistered(account.user.email)
        self.accounts[account.user.id] = account

    def get(self, user_id: str) -> User:
        self._check()
        if user_id not in self.accounts:
            raise UserMissing(user_id)
        return self.accounts[user_id].user

    def by_email(self, email: str) -> Account:
        self._check()
        for account in self.accounts.values():
            if account.user.email.lower() == email.lower():
                return account
        raise UserMissing(email)

    def replace_password_hash(self, user_id: str, old: str, new: str) -> None:
        self._check()
        account = self.accounts.get(user_id)
        if account is not None and account.password_hash == old:
            self.accounts[user_id] = Account(account.user, new)

    def _check(self) -> None:
        if self.down:
            raise Unavailable("The account database")


@dataclass(frozen=True)
class Token:
    """A refresh token as it is kept."""

    session: Session
    expires_at: datetime
    spent: bool = False


class FakeSessions:
    """Keeps refresh tokens of users in memory, by their hashes; while `down` it answers as a database that does not."""

    def __init__(self, users: FakeUsers) -> None:
        self._users = users
        self.tokens: dict[bytes, Token] = {}
        self.revoked: set[str] = set()
        self.down = False
        self._lock = threading.Lock()

    def begin(self, session: Session, token_hash: bytes, now: datetime, expires_at: datetime) -> None:
        self._check()
        self.tokens[token_hash] = Token(session, expires_at)

    def rotate(self, old_hash: bytes, new_hash: bytes, now: datetime, expires_at: datetime) -> tuple[Session, User]:
        self._check()
        with self._lock:
            token = self.tokens.get(old_hash)
            # With an account go its sessions.
            if token is None or token.session.user_id not in self._users.accounts:
                raise TokenUnknown
            if token.expires_at <= now:
                raise TokenUnknown
            if token.spent:
                raise TokenSpent(token.session.id)
            if token.session.id in self.revoked:
                raise TokenUnknown
            self.tokens[old_hash] = replace(token, spent=True)
            self.tokens[new_hash] = Token(token.session, expires_at)
            return token.session, self._users.accounts[token.session.user_id].user

    def revoke(self, session_id: str, now: datetime) -> None:
        self._check()
        self.revoked.add(session_id)

    def is_live(self, session: Session) -> bool:
        self._check()
        known = any(token.session == session for token in self.tokens.values())
        return known and session.id not in self.revoked

    def _check(self) -> None:
        if self.down:
            raise Unavailable("The account database")


class CountingHasher(PasswordHasher):
    """Argon2id with parameters that cost next to nothing. Counts the comparisons."""

    def __init__(self, time_cost: int = 1) -> None:
        super().__init__(time_cost=time_cost, memory_cost=8, parallelism=1)
        self.comparisons = 0

    def verify(self, hash: str | bytes, password: str | bytes) -> Literal[True]:  # noqa: A002 - the name is argon2's
        self.comparisons += 1
        return super().verify(hash, password)


@dataclass
class Accounts:
    """The fakes of one test, and the Deps that use them."""

    users: FakeUsers
    sessions: FakeSessions
    clock: FakeClock
    hasher: CountingHasher
    deps: Deps


def make_accounts() -> Accounts:
    """Return accounts without anybody. Refresh tokens are `refresh-1`, `refresh-2`, …."""
    users, clock, hasher = FakeUsers(), FakeClock(), CountingHasher()
    sessions = FakeSessions(users)
    numbers = itertools.count(1)
    deps = Deps(
        users=users,
        sessions=sessions,
        passwords=Passwords(hasher, at_once=2),
        access_tokens=AccessTokens(KEYS, timedelta(minutes=15), clock),
        refresh_ttl=timedelta(days=30),
        clock=clock,
        new_id=lambda: str(uuid.uuid4()),
        new_refresh_token=lambda: f"refresh-{next(numbers)}",
        logger=get_logger("auth"),
    )
    return Accounts(users, sessions, clock, hasher, deps)
