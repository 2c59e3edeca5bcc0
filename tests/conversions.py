"""Conversions and events for tests."""

import hashlib
import uuid
from datetime import UTC, datetime
from typing import Any

from functions.shared.conversions import Conversion, Owner, State, Video
from functions.shared.events import Event, EventName
from functions.shared.options import Options

NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)
OWNER = Owner(id="owner-1", email="ann@example.com")
VIDEO = b"a video" * 10


def conversion(conversion_id: str = "c1", **changes: Any) -> Conversion:
    """Return a conversion that was just accepted, with these fields changed. Its video is VIDEO."""
    fields: dict[str, Any] = {
        "owner": OWNER,
        "state": State.QUEUED,
        "progress": 0.0,
        "filename": "movie.mp4",
        "options": Options(),
        "video": Video(bytes=len(VIDEO), sha256=hashlib.sha256(VIDEO).hexdigest()),
        "mp3": None,
        "error": None,
        "attempts": 0,
        "created_at": NOW,
        "updated_at": NOW,
    }
    return Conversion(id=conversion_id, **{**fields, **changes})


def event(name: EventName = EventName.VIDEO_UPLOADED, conversion_id: str = "c1") -> Event:
    """Return a new event about a conversion."""
    return Event(id=str(uuid.uuid4()), event=name, conversion_id=conversion_id, occurred_at=NOW)
