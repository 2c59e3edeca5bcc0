"""The contract of Users, on the fake and on PostgreSQL."""

import uuid
from collections.abc import Iterator

import psycopg
import pytest

from functions.auth.accounts import Account, EmailRegistered, User, UserMissing, Users
from functions.auth.postgres import PostgresUsers, _Connection, connect_postgres
from functions.shared.problems import Unavailable
from tests.fakes.auth import FakeUsers
from tests.fakes.shared import FakeClock
from tests.tcp_proxy import proxied


@pytest.fixture(params=["fake", "postgres"])
def users(request: pytest.FixtureRequest) -> Iterator[Users]:
    if request.param == "fake":
        yield FakeUsers()
    else:
        with connect_postgres(request.getfixturevalue("postgres_url")) as pool:
            yield PostgresUsers(pool)


@pytest.fixture
def ada() -> Account:
    return Account(User(str(uuid.uuid4()), "Ada@example.com", FakeClock().now), "hash-1")


def test_an_account_is_found_by_its_id_and_by_its_email_in_any_case(users: Users, ada: Account) -> None:
    """An e-mail is kept as it was given, and compared without its case."""
    users.add(ada)

    assert users.get(ada.user.id) == ada.user
    assert users.by_email("aDA@Example.com") == ada


def test_an_email_that_differs_only_in_case_is_registered(users: Users, ada: Account) -> None:
    """Two people who register one e-mail at once cannot both have it: the database decides."""
    users.add(ada)

    with pytest.raises(EmailRegistered):
        users.add(Account(User(str(uuid.uuid4()), "ada@EXAMPLE.com", ada.user.created_at), "hash-2"))

    assert users.by_email("ada@example.com") == ada


def test_nobody_is_found_where_nobody_is(users: Users) -> None:
    """Also by an e-mail that is a pattern or a piece of SQL."""
    with pytest.raises(UserMissing):
        users.get(str(uuid.uuid4()))
    for email in ("nobody@example.com", "%", "' OR '1'='1"):
        with pytest.raises(UserMissing):
            users.by_email(email)


def test_a_hash_is_replaced_only_if_it_is_still_the_old_one(users: Users, ada: Account) -> None:
    """Otherwise a slow login could bring back a password that was changed meanwhile."""
    users.add(ada)

    users.replace_password_hash(ada.user.id, "hash-0", "hash-2")
    assert users.by_email(ada.user.email).password_hash == "hash-1"
    users.replace_password_hash(ada.user.id, "hash-1", "hash-2")
    assert users.by_email(ada.user.email).password_hash == "hash-2"


def test_a_restart_of_postgres_costs_nobody_an_error(postgres_url: str, ada: Account) -> None:
    """The connections in the pool are dead after it, and the next request must not be the one that finds out."""
    with connect_postgres(postgres_url) as pool:
        users = PostgresUsers(pool)
        users.add(ada)
        with psycopg.connect(postgres_url, autocommit=True) as other:
            ended = other.execute(
                "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity"
                " WHERE datname = current_database() AND pid <> pg_backend_pid()"
            ).fetchall()

        assert ended == [(True,)]
        assert users.get(ada.user.id) == ada.user


def test_without_postgres_the_database_is_unavailable_until_it_is_back(postgres_url: str, ada: Account) -> None:
    """Unavailable becomes a 503; and no process has to be restarted for the next answer to be right."""
    with proxied(postgres_url) as (proxy, url), connect_postgres(url, timeout_s=0.5) as pool:
        users = PostgresUsers(pool)
        users.add(ada)
        proxy.go_down()
        with pytest.raises(Unavailable):
            users.get(ada.user.id)

        proxy.come_up()
        assert _eventually(users, ada.user.id) == ada.user


def test_a_postgres_that_says_nothing_is_given_up(
    postgres_url: str, ada: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A server that hangs, or a network that swallows packets, must not hang us too."""
    monkeypatch.setattr(_Connection, "silence_s", 0.3)
    with proxied(postgres_url) as (proxy, url), connect_postgres(url, timeout_s=0.5) as pool:
        users = PostgresUsers(pool)
        users.add(ada)
        proxy.freeze()
        with pytest.raises(Unavailable):
            users.get(ada.user.id)

        proxy.thaw()
        assert _eventually(users, ada.user.id) == ada.user


def test_a_statement_that_takes_too_long_is_given_up(postgres_url: str, ada: Account) -> None:
    """Somebody else's lock must not hold a login for ever."""
    with psycopg.connect(postgres_url) as other, connect_postgres(postgres_url, timeout_s=0.3) as pool:
        other.execute("LOCK TABLE users")
        with pytest.raises(Unavailable):
            PostgresUsers(pool).add(ada)


def _eventually(users: Users, user_id: str, tries: int = 20) -> User:
    for _ in range(tries - 1):  # each of which waits for a connection for as long as the pool allows
        try:
            return users.get(user_id)
        except Unavailable:
            continue
    return users.get(user_id)
