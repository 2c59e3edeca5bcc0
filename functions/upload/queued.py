"""A video that was stored, as a conversion that waits, with the event that announces it."""

from datetime import datetime
from typing import NamedTuple

from functions.shared.conversions import Conversion, Owner, State, Video
from functions.shared.events import Event, EventName
from functions.shared.options import Options
from functions.upload.filenames import clean_filename


class Queued(NamedTuple):
    """A new conversion and the event that it owes."""

    conversion: Conversion
    uploaded: Event


def queue(
    conversion_id: str, owner: Owner, filename: str, options: Options, video: Video, *, event_id: str, now: datetime
) -> Queued:
    """Return the conversion of a video. `filename` is as it was sent."""
    conversion = Conversion(
        id=conversion_id,
        owner=owner,
        state=State.QUEUED,
        progress=0.0,
        filename=clean_filename(filename),
        options=options,
        video=video,
        mp3=None,
        error=None,
        attempts=0,
        created_at=now,
        updated_at=now,
    )
    uploaded = Event(id=event_id, event=EventName.VIDEO_UPLOADED, conversion_id=conversion_id, occurred_at=now)
    return Queued(conversion, uploaded)
