"""The tables of PostgreSQL, as a chain of migrations in SQL."""

from infra.postgres.migrations import migrate

__all__ = ["migrate"]
