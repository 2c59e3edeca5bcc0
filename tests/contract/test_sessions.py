"""The contract of Sessions, on the fake and on PostgreSQL."""

import contextlib
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from hashlib import sha256
from typing import NamedTuple

import psycopg
import pytest

from functions.auth.accounts import (
    Account,
    Session,
    Sessions,
    TokenSpent,
    TokenUnknown,
    User,
)
from functions.auth.postgres import PostgresSessions, PostgresUsers, connect_postgres
from tests.fakes.auth import FakeSessions, FakeUsers
from tests.fakes.shared import FakeClock

NOW = FakeClock().now
LATER = NOW + timedelta(days=30)


class Subject(NamedTuple):
    """Sessions, with a user who can have one."""

    sessions: Sessions
    user_id: str

    def begin(self, token: str) -> Session:
        session = Session(str(uuid.uuid4()), self.user_id)
        self.sessions.begin(session, hashed(token), NOW, LATER)
        return session

    def rotate(self, old: str, new: str) -> Session:
        session, user = self.sessions.rotate(hashed(old), hashed(new), NOW, LATER)
        assert user == person(self.user_id)
        return session


def person(user_id: str) -> User:
    return User(user_id, "ada@example.com", NOW)


def hashed(token: str) -> bytes:
    return sha256(token.encode()).digest()


@pytest.fixture(params=["fake", "postgres"])
def subject(request: pytest.FixtureRequest) -> Iterator[Subject]:
    user_id = str(uuid.uuid4())
    account = Account(person(user_id), "hash")
    if request.param == "fake":
        users = FakeUsers()
        users.add(account)
        yield Subject(FakeSessions(users), user_id)
    else:
        with connect_postgres(request.getfixturevalue("postgres_url")) as pool:
            PostgresUsers(pool).add(account)
            yield Subject(PostgresSessions(pool), user_id)


def test_a_session_lives_from_its_begin(subject: Subject) -> None:
    """For its own user, and for nobody else."""
    session = subject.begin("a")

    assert subject.sessions.is_live(session)
    assert not subject.sessions.is_live(Session(session.id, str(uuid.uuid4())))
    assert not subject.sessions.is_live(Session(str(uuid.uuid4()), subject.user_id))


def test_a_refresh_token_is_replaced_in_the_same_session(subject: Subject) -> None:
    """A chain of them is one session, however long."""
    session = subject.begin("a")

    assert subject.rotate("a", "b") == session
    assert subject.rotate("b", "c") == session
    assert subject.sessions.is_live(session)


def test_a_spent_refresh_token_says_whose_session_is_in_danger(subject: Subject) -> None:
    """That session has to be revoked; and the token that came after still works until then."""
    session = subject.begin("a")
    subject.rotate("a", "b")

    with pytest.raises(TokenSpent) as raised:
        subject.rotate("a", "c")

    assert raised.value.session_id == session.id
    assert subject.rotate("b", "d") == session
    with pytest.raises(TokenUnknown):
        subject.rotate("c", "e")


def test_a_refresh_token_that_is_not_ours_or_has_expired_is_unknown(subject: Subject) -> None:
    """Neither tells of theft."""
    subject.begin("a")

    with pytest.raises(TokenUnknown):
        subject.rotate("x", "b")
    with pytest.raises(TokenUnknown):
        subject.sessions.rotate(hashed("a"), hashed("b"), LATER, LATER + timedelta(days=30))


def test_a_spent_refresh_token_is_forgotten_when_it_would_have_expired(subject: Subject) -> None:
    """Until then its owner may come back, and find that a thief was first. After that it works for nobody anyway."""
    session = subject.begin("a")
    subject.rotate("a", "b")
    last_moment, later = LATER - timedelta(seconds=1), LATER + timedelta(days=30)
    subject.sessions.rotate(hashed("b"), hashed("c"), last_moment, later)
    with pytest.raises(TokenSpent):
        subject.sessions.rotate(hashed("a"), hashed("x"), last_moment, later)

    subject.sessions.rotate(hashed("c"), hashed("d"), LATER, later)

    with pytest.raises(TokenUnknown):
        subject.sessions.rotate(hashed("a"), hashed("x"), LATER, later)
    assert subject.sessions.is_live(session)


def test_a_revoked_session_is_dead_with_all_its_tokens(subject: Subject) -> None:
    """And no other session is."""
    session, other = subject.begin("a"), subject.begin("other")
    subject.rotate("a", "b")

    subject.sessions.revoke(session.id, NOW)
    subject.sessions.revoke(session.id, NOW)

    assert not subject.sessions.is_live(session)
    with pytest.raises(TokenUnknown):
        subject.rotate("b", "c")
    assert subject.sessions.is_live(other)
    assert subject.rotate("other", "other-2") == other


def test_of_two_that_use_one_refresh_token_at_once_one_succeeds(subject: Subject) -> None:
    """If both did, a thief's copy would live beside its owner's, unseen."""
    for attempt in range(5):
        session = subject.begin(f"{attempt}")

        def use(number: int, token: str = f"{attempt}") -> Session | None:
            try:
                return subject.rotate(token, f"{token}-{number}")
            except TokenSpent:
                return None

        with ThreadPoolExecutor(8) as threads:
            results = list(threads.map(use, range(8)))

        assert results.count(session) == 1
        assert results.count(None) == 7


def test_a_session_revoked_while_its_token_is_replaced_is_dead(subject: Subject) -> None:
    """A logout at the moment of a refresh must not leave the new token alive."""
    for attempt in range(10):
        session = subject.begin(f"{attempt}-0")
        with ThreadPoolExecutor(2) as threads:
            rotating = threads.submit(_rotate_until_refused, subject, str(attempt))
            revoking = threads.submit(subject.sessions.revoke, session.id, NOW)
            revoking.result(30)
            rotated = rotating.result(30)

        assert not subject.sessions.is_live(session)
        with pytest.raises(TokenUnknown):
            subject.rotate(f"{attempt}-{rotated}", f"{attempt}-new")


def test_a_token_added_in_a_transaction_that_a_revoke_cannot_see_is_dead(postgres_url: str) -> None:
    """The same race, held still at its worst moment: the new token is written and not yet committed."""
    with connect_postgres(postgres_url) as pool:
        user_id = str(uuid.uuid4())
        PostgresUsers(pool).add(Account(person(user_id), "hash"))
        subject = Subject(PostgresSessions(pool), user_id)
        session = subject.begin("a")
        with psycopg.connect(postgres_url) as other:
            other.execute(
                "INSERT INTO refresh_tokens (user_id, family_id, token_hash, expires_at) VALUES (%s, %s, %s, %s)",
                (user_id, session.id, hashed("b"), LATER),
            )
            subject.sessions.revoke(session.id, NOW)

        assert not subject.sessions.is_live(session)
        with pytest.raises(TokenUnknown):
            subject.rotate("b", "c")


def test_expired_sessions_go_when_their_user_logs_in_again(postgres_url: str) -> None:
    """Else the table would grow for ever. A session of which any token still works stays whole."""
    with connect_postgres(postgres_url) as pool:
        user_id = str(uuid.uuid4())
        PostgresUsers(pool).add(Account(person(user_id), "hash"))
        sessions = PostgresSessions(pool)
        expired, living, new = (Session(str(uuid.uuid4()), user_id) for _ in range(3))
        sessions.begin(expired, hashed("a"), NOW, LATER)
        sessions.begin(living, hashed("b"), NOW, LATER)
        sessions.rotate(hashed("b"), hashed("c"), NOW, LATER + timedelta(days=1))

        sessions.begin(new, hashed("d"), LATER + timedelta(hours=1), LATER + timedelta(days=30))

        with pool.connection() as connection:
            rows = connection.execute("SELECT family_id::text, count(*) FROM refresh_tokens GROUP BY 1").fetchall()
        assert dict(rows) == {living.id: 2, new.id: 1}


def test_a_session_that_goes_on_for_ever_does_not_grow_for_ever(postgres_url: str) -> None:
    """A page that stays open gets a new token every quarter of an hour."""
    ttl, period = timedelta(days=1), timedelta(minutes=15)
    with connect_postgres(postgres_url) as pool:
        user_id = str(uuid.uuid4())
        PostgresUsers(pool).add(Account(person(user_id), "hash"))
        sessions = PostgresSessions(pool)
        session, now = Session(str(uuid.uuid4()), user_id), NOW
        sessions.begin(session, hashed("0"), now, now + ttl)
        for number in range(4 * 96):
            now += period
            sessions.rotate(hashed(f"{number}"), hashed(f"{number + 1}"), now, now + ttl)

        with pool.connection() as connection:
            [rows] = connection.execute("SELECT count(*) FROM refresh_tokens").fetchone() or [None]
        # One for each token that has not expired: a day's, and the new one.
        assert rows == 96
        assert sessions.is_live(session)


def test_the_table_takes_nothing_that_is_not_as_long_as_a_hash(postgres_url: str) -> None:
    """A token that was stored as itself by mistake could be used by who reads a backup."""
    with connect_postgres(postgres_url) as pool:
        user_id = str(uuid.uuid4())
        PostgresUsers(pool).add(Account(person(user_id), "hash"))
        PostgresSessions(pool).begin(Session(str(uuid.uuid4()), user_id), hashed("a"), NOW, LATER)

        with pool.connection() as connection, pytest.raises(psycopg.errors.CheckViolation):
            connection.execute("UPDATE refresh_tokens SET token_hash = 'a'")


def _rotate_until_refused(subject: Subject, name: str) -> int:
    """Return the number of the newest token."""
    newest = 0
    with contextlib.suppress(TokenUnknown):
        while True:
            subject.rotate(f"{name}-{newest}", f"{name}-{newest + 1}")
            newest += 1
    return newest
