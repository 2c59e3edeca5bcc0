"""Migrate the database at POSTGRES_URL: python -m infra.postgres."""

import os
import sys

import msgspec
from sqlalchemy.exc import OperationalError, ProgrammingError

from functions.shared.settings import InvalidSettings, from_env
from infra.postgres.migrations import migrate


class Settings(msgspec.Struct, frozen=True):
    """Where PostgreSQL is."""

    postgres_url: str


def main() -> int:
    """Return the exit code."""
    try:
        migrate(from_env(Settings, os.environ).postgres_url)
    except InvalidSettings as error:
        print(error, file=sys.stderr)
        return 1
    except ProgrammingError:
        # Its words could repeat the password that the URL holds.
        print("POSTGRES_URL cannot be used: write it as postgresql://user:password@host/name.", file=sys.stderr)
        return 1
    except OperationalError as error:
        print(f"PostgreSQL at POSTGRES_URL cannot be used: {error.orig}", file=sys.stderr)
        return 1
    print("PostgreSQL is up to date")
    return 0


if __name__ == "__main__":
    sys.exit(main())
