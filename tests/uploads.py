"""Uploads for tests of what keeps them."""

from datetime import UTC, datetime, timedelta
from typing import Any

from functions.upload.uploads import Kind, Upload
from tests.conversions import OWNER

# Far from now on purpose: an upload's own times come from its maker's clock.
CREATED_AT = datetime(2037, 1, 1, 12, tzinfo=UTC)
LENGTH = 20 * 1024**3


def upload(upload_id: str = "u1", **changes: Any) -> Upload:
    """Return an upload that was just begun, with these fields changed."""
    fields: dict[str, Any] = {
        "owner": OWNER,
        "kind": Kind.WHOLE,
        "parts": (),
        "concat": "",
        "metadata": "filename bW92aWUubXA0",
        "length": LENGTH,
        "offset": 0,
        "created_at": CREATED_AT,
        "expires_at": CREATED_AT + timedelta(days=1),
    }
    return Upload(id=upload_id, **{**fields, **changes})
