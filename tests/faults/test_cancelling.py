"""Who deletes a conversion stops the work on it."""

import time

import pytest
from pymongo.database import Database

from functions.shared.mongo import Document
from infra.local.stack import RunningStack
from tests.faults.workers import seconds_until_gone, stopped_in_mid_encode
from tests.media import Media
from tests.tus import Tus, until


@pytest.mark.usefixtures("faults")
def test_a_deleted_conversion_ends_its_ffmpeg_at_once(
    stack: RunningStack, database: Database[Document], tus: Tus, media: Media
) -> None:
    """A core must not be busy for an hour with what nobody wants. The heartbeat of each second sees the deletion.

    This ffmpeg stands still, so it cannot end by itself; and it is not given up for that before a minute has passed.
    """
    conversion_id = tus.person.upload(media.video("mp4 moov last", 120)).id
    ffmpeg = stopped_in_mid_encode(stack.pids["triggers"])

    started = time.monotonic()
    tus.person.delete(conversion_id)
    seconds_until_gone(ffmpeg)

    # It takes between one and one and a half on a machine that does nothing else.
    assert time.monotonic() - started < 10
    assert database.conversions.distinct("state", {"_id": conversion_id}) == ["cancelled"]
    until(lambda: not _stored(database, conversion_id))
    later = tus.person.upload(media.video("mp4 moov last", 3)).id
    assert tus.person.wait(later, timeout_s=60).state == "completed"
    assert not _stored(database, conversion_id)


def _stored(database: Database[Document], conversion_id: str) -> list[str]:
    """Return the ids of all files, and parts of files, that a conversion has."""
    return [
        *database["videos.chunks"].distinct("files_id", {"files_id": conversion_id}),
        *database["mp3s.chunks"].distinct("files_id", {"files_id": {"$regex": f"^{conversion_id}-"}}),
    ]
