"""Finding a person's upload. What belongs to somebody else is answered exactly like what does not exist."""

import re

from msgspec.structs import replace

from functions.shared.conversions import Owner
from functions.shared.problems import NotFound, Problem
from functions.upload.deps import Deps
from functions.upload.finishing import conversion_of
from functions.upload.uploads import Kind, Upload, UploadMissing

_ID = re.compile(r"[0-9a-f]{32}")


class UploadExpired(Problem):
    """Raised when nothing was added to an upload for too long."""

    code = "upload-expired"

    def __init__(self) -> None:
        super().__init__("Nothing was added to this upload for too long. Begin a new one.")


def find_upload(upload_id: str, owner: Owner, deps: Deps) -> Upload:
    """Return a person's upload. It is whole as soon as its video was accepted, even if nobody could write that down.

    Raises:
        NotFound: there is none, or it became a conversion that was deleted.
        UploadExpired: nothing was added for too long.
    """
    upload = owned_upload(upload_id, owner, deps)
    if upload.kind is not Kind.PARTIAL:
        if accepted := as_accepted(upload, deps):
            return accepted
        if upload.is_whole:
            raise NotFound
    if deps.clock() >= upload.expires_at:
        raise UploadExpired
    return upload


def as_accepted(upload: Upload, deps: Deps) -> Upload | None:
    """Return an upload as it is since its video was accepted: whole, even if nobody could write that down."""
    if conversion := conversion_of(upload.id, deps):
        return replace(upload, offset=conversion.video.bytes, length=conversion.video.bytes)
    return None


def owned_upload(upload_id: str, owner: Owner, deps: Deps) -> Upload:
    """Return a person's upload as it was written down, be it expired. Raises NotFound."""
    if not _ID.fullmatch(upload_id):
        raise NotFound
    try:
        upload = deps.uploads.get(upload_id)
    except UploadMissing as error:
        raise NotFound from error
    if upload.owner.id != owner.id:
        raise NotFound
    return upload
