"""Users and their sessions, and the ports that keep them.

A session begins with a login and ends with a logout. It is a chain of refresh tokens, of which only the
newest works: each use of one puts the next in its place. RFC 9700, section 4.14.2, tells why:
https://www.rfc-editor.org/rfc/rfc9700#section-4.14.2
"""

from datetime import datetime
from typing import Protocol

import msgspec


class User(msgspec.Struct, frozen=True):
    """Somebody who registered, as they see themselves over HTTP."""

    id: str
    email: str
    created_at: datetime

    def to_json(self) -> bytes:
        """Return the user as JSON."""
        return msgspec.json.encode(self)


class Account(msgspec.Struct, frozen=True):
    """A user with the hash of their password, which never leaves this function."""

    user: User
    password_hash: str


class Session(msgspec.Struct, frozen=True):
    """Whose session it is. `id` is the same for all refresh tokens of the session."""

    id: str
    user_id: str


class UserMissing(Exception):
    """Raised when nobody has this id or e-mail."""


class EmailRegistered(Exception):
    """Raised when somebody has this e-mail already."""


class TokenUnknown(Exception):
    """Raised when a refresh token is not ours, has expired, or its session was revoked."""


class TokenSpent(Exception):
    """Raised when a refresh token comes a second time: it was stolen, or its thief was first."""

    def __init__(self, session_id: str) -> None:
        super().__init__(session_id)
        self.session_id = session_id


class Users(Protocol):
    """All users. E-mails that differ only in case are the same."""

    def add(self, account: Account) -> None:
        """Keep a new account. Raises EmailRegistered."""

    def get(self, user_id: str) -> User:
        """Return a user. Raises UserMissing."""

    def by_email(self, email: str) -> Account:
        """Return the account with this e-mail. Raises UserMissing."""

    def replace_password_hash(self, user_id: str, old: str, new: str) -> None:
        """Put a new hash in the place of an old one. Does nothing if the old one is no longer there."""


class Sessions(Protocol):
    """All sessions. Refresh tokens come in as their SHA-256, never as themselves."""

    def begin(self, session: Session, token_hash: bytes, now: datetime, expires_at: datetime) -> None:
        """Keep a new session with its first refresh token; what is left of the user's expired ones may go."""

    def rotate(self, old_hash: bytes, new_hash: bytes, now: datetime, expires_at: datetime) -> tuple[Session, User]:
        """Spend a refresh token and put a new one in its place, in one step: of two that try, one succeeds.

        Returns the session, and its user: a token must not be spent for an answer that then cannot be made.

        Of the tokens of its session that were spent, those that have expired are forgotten.

        Raises:
            TokenSpent: it was spent before, and has not expired since.
            TokenUnknown: it does not work for any other reason.
        """

    def revoke(self, session_id: str, now: datetime) -> None:
        """End a session for ever, with all tokens it has or is just getting."""

    def is_live(self, session: Session) -> bool:
        """Return whether this user has this session and it was not revoked."""
