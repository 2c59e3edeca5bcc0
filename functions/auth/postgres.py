"""Users and sessions in PostgreSQL. The tables are made by infra/postgres."""

import atexit
import contextlib
from collections.abc import Iterator
from datetime import datetime
from typing import ClassVar, TypeVar

import psycopg
from psycopg.abc import PQGen
from psycopg.rows import TupleRow
from psycopg_pool import ConnectionPool

from functions.auth.accounts import (
    Account,
    EmailRegistered,
    Session,
    TokenSpent,
    TokenUnknown,
    User,
    UserMissing,
)
from functions.shared.logs import get_logger
from functions.shared.problems import Unavailable

T = TypeVar("T")

CONNECT_TIMEOUT_S = 3
SILENCE_S = 6
MAX_CONNECTIONS = 8


class _Connection(psycopg.Connection[TupleRow]):
    """A connection that gives up on a server that holds the line but says nothing.

    `statement_timeout` is kept by the server, so it does not help when the server itself hangs.
    """

    silence_s: ClassVar[float] = SILENCE_S

    def wait(self, gen: PQGen[T], interval: float = 0.1, timeout: float | None = None) -> T:
        """See psycopg.Connection."""
        return super().wait(gen, interval, self.silence_s if timeout is None else timeout)


Pool = ConnectionPool[_Connection]


def connect_postgres(url: str, *, timeout_s: float = 5) -> Pool:
    """Return a pool of connections to the database that `url` names. None is opened before the first use.

    `timeout_s` is how long a statement may take, and how long to wait for a connection. One is checked before
    each use, so that a restart of the server costs nobody an error.
    """
    # The pool says why it cannot connect: in our form, too.
    get_logger("psycopg.pool").setLevel("WARNING")
    pool = ConnectionPool(
        url,
        connection_class=_Connection,
        kwargs={
            "autocommit": True,
            "connect_timeout": CONNECT_TIMEOUT_S,
            "application_name": "video2mp3-auth",
            "options": f"-c statement_timeout={int(timeout_s * 1000)}ms",
            # A network that swallows packets, as after a Lambda sandbox was frozen, is noticed within 2 s.
            "tcp_user_timeout": 2000,
        },
        min_size=0,
        max_size=MAX_CONNECTIONS,
        timeout=timeout_s,
        # A failed connect is tried again after pauses that grow; to give up soon keeps them short.
        reconnect_timeout=timeout_s,
        check=ConnectionPool.check_connection,
        name="auth",
        open=True,
    )
    # From Python 3.13 on, an open pool holds up the end of the process: https://github.com/psycopg/psycopg/issues/954
    atexit.register(pool.close, timeout=1)
    return pool


@contextlib.contextmanager
def _connection(pool: Pool) -> Iterator[_Connection]:
    try:
        with pool.connection() as connection:
            yield connection
    except psycopg.OperationalError as error:  # also: no connection in time, statement timed out, shutting down
        raise Unavailable("The account database") from error


class PostgresUsers:
    """The table `users`. Implements Users."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    def add(self, account: Account) -> None:
        """See Users."""
        user = account.user
        with _connection(self._pool) as connection:
            try:
                connection.execute(
                    "INSERT INTO users (id, email, password_hash, created_at) VALUES (%s, %s, %s, %s)",
                    (user.id, user.email, account.password_hash, user.created_at),
                )
            except psycopg.errors.UniqueViolation as error:
                raise EmailRegistered(user.email) from error

    def get(self, user_id: str) -> User:
        """See Users."""
        with _connection(self._pool) as connection:
            row = connection.execute("SELECT id, email, created_at FROM users WHERE id = %s", (user_id,)).fetchone()
        if row is None:
            raise UserMissing(user_id)
        return _to_user(row)

    def by_email(self, email: str) -> Account:
        """See Users."""
        with _connection(self._pool) as connection:
            row = connection.execute(
                "SELECT id, email, created_at, password_hash FROM users WHERE email = %s", (email,)
            ).fetchone()
        if row is None:
            raise UserMissing(email)
        return Account(_to_user(row), row[3])

    def replace_password_hash(self, user_id: str, old: str, new: str) -> None:
        """See Users."""
        with _connection(self._pool) as connection:
            connection.execute(
                "UPDATE users SET password_hash = %s WHERE id = %s AND password_hash = %s", (new, user_id, old)
            )


class PostgresSessions:
    """The table `refresh_tokens`. Implements Sessions.

    A session is revoked as soon as one of its tokens is. So revoking needs no lock: a token that a rotation
    adds at the same moment is as dead as those that were marked.
    """

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    def begin(self, session: Session, token_hash: bytes, now: datetime, expires_at: datetime) -> None:
        """See Sessions. A session goes when all its tokens have expired: until then the spent ones tell of theft."""
        with _connection(self._pool) as connection:
            connection.execute(
                """
                WITH gone AS (
                    DELETE FROM refresh_tokens WHERE family_id IN (
                        SELECT family_id FROM refresh_tokens WHERE user_id = %(user_id)s
                        GROUP BY family_id HAVING max(expires_at) < %(now)s
                    )
                )
                INSERT INTO refresh_tokens (user_id, family_id, token_hash, expires_at)
                VALUES (%(user_id)s, %(family_id)s, %(token_hash)s, %(expires_at)s)
                """,
                {
                    "user_id": session.user_id,
                    "family_id": session.id,
                    "token_hash": token_hash,
                    "expires_at": expires_at,
                    "now": now,
                },
            )

    def rotate(self, old_hash: bytes, new_hash: bytes, now: datetime, expires_at: datetime) -> tuple[Session, User]:
        """See Sessions."""
        with _connection(self._pool) as connection:
            rotated = connection.execute(
                """
                WITH spent AS (
                    UPDATE refresh_tokens AS token SET spent_at = %(now)s
                    WHERE token_hash = %(old)s AND spent_at IS NULL AND expires_at > %(now)s AND NOT EXISTS (
                        SELECT FROM refresh_tokens AS other
                        WHERE other.family_id = token.family_id AND other.revoked_at IS NOT NULL
                    )
                    RETURNING user_id, family_id
                ), gone AS (
                    DELETE FROM refresh_tokens AS token USING spent
                    WHERE token.family_id = spent.family_id AND spent_at IS NOT NULL AND expires_at <= %(now)s
                ), added AS (
                    INSERT INTO refresh_tokens (user_id, family_id, token_hash, expires_at)
                    SELECT user_id, family_id, %(new)s, %(expires_at)s FROM spent
                )
                SELECT users.id, email, created_at, family_id FROM spent JOIN users ON users.id = user_id
                """,
                {"old": old_hash, "new": new_hash, "now": now, "expires_at": expires_at},
            ).fetchone()
            if rotated is not None:
                user = _to_user(rotated)
                return Session(id=str(rotated[3]), user_id=user.id), user
            spent = connection.execute(
                "SELECT family_id FROM refresh_tokens"
                " WHERE token_hash = %s AND spent_at IS NOT NULL AND expires_at > %s",
                (old_hash, now),
            ).fetchone()
        if spent is not None:
            raise TokenSpent(str(spent[0]))
        raise TokenUnknown

    def revoke(self, session_id: str, now: datetime) -> None:
        """See Sessions."""
        with _connection(self._pool) as connection:
            connection.execute(
                "UPDATE refresh_tokens SET revoked_at = %s WHERE family_id = %s AND revoked_at IS NULL",
                (now, session_id),
            )

    def is_live(self, session: Session) -> bool:
        """See Sessions."""
        with _connection(self._pool) as connection:
            row = connection.execute(
                """
                SELECT EXISTS (SELECT FROM refresh_tokens WHERE family_id = %(id)s AND user_id = %(user_id)s)
                AND NOT EXISTS (SELECT FROM refresh_tokens WHERE family_id = %(id)s AND revoked_at IS NOT NULL)
                """,
                {"id": session.id, "user_id": session.user_id},
            ).fetchone()
        return row is not None and bool(row[0])


def _to_user(row: TupleRow) -> User:
    return User(id=str(row[0]), email=row[1], created_at=row[2])
