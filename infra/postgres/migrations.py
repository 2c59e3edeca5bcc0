"""Run the migrations that a database does not have yet."""

from pathlib import Path

import psycopg
from alembic import command
from alembic.config import Config
from sqlalchemy import NullPool, create_engine, text

# Any number will do, as long as all that migrate take the same.
_LOCK = 0x76326D33
_CONNECT_TIMEOUT_S = 5
_LOCK_TIMEOUT_S = 60


def migrate(url: str) -> None:
    """Bring the database at `url`, such as postgresql://user@host/name, to the newest version.

    All of it happens in one transaction, or nothing does. Of two that run at once the second waits, at most
    a minute, and then finds nothing to do. The role needs CREATE on the database, for the extension citext.

    Raises:
        sqlalchemy.exc.OperationalError: the server cannot be reached, or another migration takes too long.
        sqlalchemy.exc.ProgrammingError: the URL is none.
    """

    def connect() -> psycopg.Connection:
        # libpq reads the URL here as it does for the functions, with all that it may say.
        return psycopg.connect(
            url,
            connect_timeout=_CONNECT_TIMEOUT_S,
            # A migration may take long; a server that has gone away is noticed within a minute all the same.
            keepalives_idle=30,
            keepalives_interval=10,
            keepalives_count=3,
            options=f"-c lock_timeout={_LOCK_TIMEOUT_S}s",
            application_name="video2mp3-migrate",
        )

    engine = create_engine("postgresql+psycopg://", poolclass=NullPool, creator=connect)
    with engine.begin() as connection:
        connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _LOCK})
        config = Config()
        config.set_main_option("script_location", str(Path(__file__).parent).replace("%", "%%"))
        config.attributes["connection"] = connection
        command.upgrade(config, "head")
