"""Holding an upload while one request works on it."""

import contextlib
from collections.abc import Iterator

from functions.shared.files import FileDamaged
from functions.shared.problems import NotFound, Problem, Unavailable
from functions.upload.deps import Deps
from functions.upload.uploads import Held, HoldLost, UploadLocked, UploadMissing


class Locked(Problem):
    """Raised when another request works on the upload, or took it over from this one."""

    code = "upload-locked"

    def __init__(self) -> None:
        super().__init__("Only one request at a time can change an upload. Ask for its offset, then try again.")


class StorageCorrupt(Problem):
    """Raised when stored bytes of an upload are not what was stored, so that no good video can come of it."""

    code = "storage-corrupt"

    def __init__(self) -> None:
        super().__init__("What was uploaded so far was damaged in storage. Delete this upload and begin a new one.")


@contextlib.contextmanager
def holding(upload_id: str, token: str, deps: Deps, *, comes_again: bool = False) -> Iterator[Held]:
    """Hold an upload for the request that `token` names. Whatever fails in the block lets it go.

    But a request that `comes_again` when the storage was unavailable finds it still held. A block that ends well has
    let the upload go, or keeps it on purpose for the next slice of the same request.

    Raises:
        NotFound: there is no such upload.
        Locked: another request holds it, or took it over while the block ran.
        StorageCorrupt: the block met bytes that were damaged.
    """
    try:
        held = deps.uploads.hold(upload_id, token)
    except UploadMissing as error:
        raise NotFound from error
    except UploadLocked as error:
        raise Locked from error
    keep = False
    try:
        yield held
        keep = True
    except Unavailable:
        keep = comes_again
        raise
    except HoldLost as error:
        raise Locked from error
    except FileDamaged as error:
        deps.logger.exception("stored upload is damaged", extra={"conversion_id": upload_id, "upload_id": upload_id})
        raise StorageCorrupt from error
    finally:
        if not keep:
            let_go(held, deps)


def let_go(held: Held, deps: Deps) -> None:
    """Release an upload; if the storage does not answer, the hold ends by itself a little later."""
    try:
        deps.uploads.release(held)
    except Unavailable as error:
        deps.logger.warning(
            "upload stays held",
            extra={"conversion_id": held.upload.id, "upload_id": held.upload.id, "reason": str(error)},
        )
