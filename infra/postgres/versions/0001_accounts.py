"""Users and their refresh tokens."""

from alembic import op

revision = "0001"
down_revision = None


def upgrade() -> None:
    op.execute("CREATE EXTENSION IF NOT EXISTS citext")
    op.execute(
        """
        CREATE TABLE users (
            id            uuid PRIMARY KEY,
            email         citext NOT NULL UNIQUE,
            password_hash text NOT NULL,
            created_at    timestamptz NOT NULL
        )
        """
    )
    # A session is the tokens of one family, revoked as soon as one of them is. A token is kept as its SHA-256.
    op.execute(
        """
        CREATE TABLE refresh_tokens (
            id         uuid PRIMARY KEY DEFAULT gen_random_uuid(),
            user_id    uuid NOT NULL REFERENCES users (id) ON DELETE CASCADE,
            family_id  uuid NOT NULL,
            token_hash bytea NOT NULL UNIQUE CHECK (octet_length(token_hash) = 32),
            expires_at timestamptz NOT NULL,
            spent_at   timestamptz,
            revoked_at timestamptz
        )
        """
    )
    op.execute("CREATE INDEX refresh_tokens_family_id ON refresh_tokens (family_id)")
    op.execute("CREATE INDEX refresh_tokens_revoked ON refresh_tokens (family_id) WHERE revoked_at IS NOT NULL")
    op.execute("CREATE INDEX refresh_tokens_user_id ON refresh_tokens (user_id)")
