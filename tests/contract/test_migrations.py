"""The migrations of PostgreSQL, on a real one."""

import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import urlsplit

import psycopg
import pytest
from psycopg import sql
from sqlalchemy.exc import OperationalError

from infra.local.servers import ServerUrls
from infra.postgres import migrate
from infra.postgres.__main__ import main


@pytest.fixture
def empty_postgres(servers: ServerUrls) -> Iterator[str]:
    """A PostgreSQL database without anything in it."""
    name = f"empty_{uuid.uuid4().hex}"
    with psycopg.connect(servers.postgres, autocommit=True) as connection:
        # From template0, since nobody is ever connected to that.
        connection.execute(sql.SQL("CREATE DATABASE {} TEMPLATE template0").format(sql.Identifier(name)))
        yield urlsplit(servers.postgres)._replace(path=f"/{name}").geturl()
        connection.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))


def tables(url: str) -> dict[str, list[str]]:
    """Return the columns of all our tables."""
    with psycopg.connect(url) as connection:
        rows = connection.execute(
            "SELECT table_name, column_name FROM information_schema.columns"
            " WHERE table_schema = 'public' ORDER BY table_name, ordinal_position"
        ).fetchall()
    found: dict[str, list[str]] = {}
    for table, column in rows:
        found.setdefault(table, []).append(column)
    return found


def test_an_empty_database_gets_every_table(empty_postgres: str) -> None:
    """A fresh clone has no database; nobody should have to make tables by hand."""
    migrate(empty_postgres)

    assert tables(empty_postgres) == {
        "alembic_version": ["version_num"],
        "refresh_tokens": ["id", "user_id", "family_id", "token_hash", "expires_at", "spent_at", "revoked_at"],
        "users": ["id", "email", "password_hash", "created_at"],
    }


def test_migrating_again_changes_nothing(empty_postgres: str) -> None:
    """Every start of the stack migrates."""
    migrate(empty_postgres)
    with psycopg.connect(empty_postgres) as connection:
        connection.execute("INSERT INTO users VALUES (gen_random_uuid(), 'ada@example.com', 'hash', now())")

    migrate(empty_postgres)

    with psycopg.connect(empty_postgres) as connection:
        assert connection.execute("SELECT email FROM users").fetchall() == [("ada@example.com",)]


def test_many_that_migrate_at_once_do_not_get_into_each_others_way(empty_postgres: str) -> None:
    """Several pods start at the same moment."""
    with ThreadPoolExecutor(4) as threads:
        assert list(threads.map(migrate, [empty_postgres] * 4)) == [None] * 4

    with psycopg.connect(empty_postgres) as connection:
        assert connection.execute("SELECT count(*) FROM alembic_version").fetchone() == (1,)


def test_a_migration_leaves_the_logging_of_its_process_alone(
    empty_postgres: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Alembic's own template takes over the root logger."""
    migrate(empty_postgres)

    assert capsys.readouterr() == ("", "")


def test_a_server_that_is_not_there_is_an_error_soon() -> None:
    """Whoever waits for it can try again."""
    with pytest.raises(OperationalError):
        migrate("postgresql://nobody@127.0.0.1:1/nothing")


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("", "POSTGRES_URL is not set"),
        ("not a url", "POSTGRES_URL cannot be used"),
        ("postgresql://ada:hidden@127.0.0.1:1/x", "POSTGRES_URL cannot be used"),
        ("postgresql://ada:hidden@127.0.0.1:port/x", "POSTGRES_URL cannot be used"),
    ],
)
def test_the_command_says_what_is_wrong_and_keeps_the_password(
    url: str, says: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """It runs in deploys, whose logs are read by many."""
    monkeypatch.setenv("POSTGRES_URL", url)

    assert main() == 1
    said = capsys.readouterr().err
    assert says in said
    assert "hidden" not in said


def test_the_command_migrates(
    empty_postgres: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """`python -m infra.postgres` is what compose and Kubernetes run."""
    monkeypatch.setenv("POSTGRES_URL", empty_postgres)

    assert main() == 0
    assert "users" in tables(empty_postgres)
