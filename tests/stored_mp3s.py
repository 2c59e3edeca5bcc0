"""MP3s put straight into a real database, so that large ones need no encoding."""

import hashlib
import uuid
from collections.abc import Iterable

from pymongo.database import Database

from functions.shared.clock import utc_now
from functions.shared.conversions import Conversion, Mp3, Owner, State, Video
from functions.shared.files import GridFSFiles
from functions.shared.mongo import Document
from functions.shared.mongo_conversions import MongoConversions
from functions.shared.options import Options


def store_mp3(database: Database[Document], owner: Owner, parts: Iterable[bytes], filename: str = "movie.mp4") -> str:
    """Store an MP3 as convert does, and return the id of its completed conversion."""
    conversion_id, now = uuid.uuid4().hex, utc_now()
    file_id = f"{conversion_id}-1"
    stored = GridFSFiles(database, "mp3s").put(file_id, parts)
    conversion = Conversion(
        id=conversion_id,
        owner=owner,
        state=State.COMPLETED,
        progress=1.0,
        filename=filename,
        options=Options(),
        video=Video(bytes=1, sha256=hashlib.sha256(b"v").hexdigest(), duration_s=1.0),
        mp3=Mp3(stored.bytes, stored.sha256, 1.0, 192_000, 48_000, 2),
        error=None,
        attempts=1,
        created_at=now,
        updated_at=now,
        completed_at=now,
    )
    MongoConversions(database).add(conversion, [])
    database.conversions.update_one({"_id": conversion_id}, {"$set": {"mp3_file_id": file_id}})
    return conversion_id
