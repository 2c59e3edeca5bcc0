"""Forms that do not fit into one event: the video in one becomes an upload while it comes, and then a conversion.

When all is there, the function gets the client's request with `X-Stored-Upload: <id>` in place of the video, and the
other fields as application/x-www-form-urlencoded. The gateway removes this header from what clients send.
"""

import base64
import re
from urllib.parse import urlencode

from functions.shared.forms import FormReader
from functions.shared.sniffing import SNIFFED_BYTES, refuse_other_than_media
from infra.gateway.answers import Answer
from infra.gateway.bodies import BodyReader
from infra.gateway.calls import Call, Calls
from infra.gateway.requests import STORED_UPLOAD_HEADER
from infra.gateway.slices import BYTES, NEVER, TUS, UNSURE, UPLOADS, Uploads, has_key, path_of
from infra.gateway.threads import slice_in_thread

# In letters. Only 255 bytes of a name are kept, and Upload-Metadata may have 4096, which 700 letters never fill.
MAX_NAME_LENGTH = 700


class Forms:
    """Takes in long forms."""

    def __init__(self, uploads: Uploads, calls: Calls) -> None:
        self._uploads = uploads
        self._calls = calls

    async def convert(self, call: Call, body: BodyReader, first: bytes) -> Answer:
        """Store the video in a form, of whose body `first` has been read, and start its conversion.

        Unless the answer is a success, nothing is left. But with an Idempotency-Key the upload stays if nobody knows
        whether its video was accepted.

        Raises:
            BadMultipart, InvalidInput, TooLarge: the form is wrong. See FormReader.
            UnsupportedMedia: the video evidently is none. Little of it has been read then.
            BodyTooLarge, BodyTooSlow, ClientDisconnect, Unavailable: see Uploads.append.
        """
        video = Video(body, call.request.header("content-type") or "")
        head = video.feed(first)
        while len(head) < SNIFFED_BYTES and not video.ended:
            head += await self._uploads.read(video, SNIFFED_BYTES - len(head))
        refuse_other_than_media(head[:SNIFFED_BYTES])
        if video.ended:
            video.form.end()
        headers = {**TUS, "upload-defer-length": "1", "upload-metadata": _metadata(video.form.filename or "")}
        created = await slice_in_thread(self._calls.make, call.instead("POST", UPLOADS, headers), b"")
        if created.status != 201:
            return created
        path = path_of(created)
        stored = await self._uploads.kept_on_success(call, path, self._store(call, path, video, head))
        if not stored.is_success:
            return stored
        # Perhaps it is accepted although nobody can say so, and a repeat has been told that already.
        or_after = UNSURE if has_key(call) else NEVER
        return await self._uploads.kept_on_success(call, path, self._accept(call, path, video), or_after=or_after)

    async def _store(self, call: Call, path: str, video: "Video", head: bytes) -> Answer:
        headers = {**TUS, "content-type": BYTES, "upload-offset": "0"}
        stored = await self._uploads.append(call.instead("PATCH", path, headers), video, head)
        if stored.is_success:
            video.form.end()
        return stored

    async def _accept(self, call: Call, path: str, video: "Video") -> Answer:
        _, fields = video.form.end()
        stored = {STORED_UPLOAD_HEADER: path.rpartition("/")[2]}
        as_form = call.with_headers({"content-type": "application/x-www-form-urlencoded"})
        return await self._calls.make_patiently(as_form, urlencode(fields).encode(), stored)


class Video:
    """The video in a form, as a Source. Reading it raises what reading a body raises, and what FormReader raises."""

    total = None

    def __init__(self, body: BodyReader, content_type: str) -> None:
        """Begin. Raises BadMultipart: this is not the type of a form."""
        self.form = FormReader(content_type)
        self._body = body

    @property
    def ended(self) -> bool:
        """Whether the whole form has come."""
        return self._body.ended

    def feed(self, part: bytes) -> bytes:
        """Return what a part of the body holds of the video."""
        return b"".join(self.form.feed(part))

    async def read_until(self, count: int, seconds: float) -> bytes:
        """Return what the next `count` bytes of the body hold of the video, or what has come of it after `seconds`."""
        return self.feed(await self._body.read_until(count, seconds))


def _metadata(filename: str) -> str:
    # The base name is what counts, and of a long one only the beginning; a header has less room than a form.
    name = re.split(r"[/\\]", filename)[-1][:MAX_NAME_LENGTH]
    encoded = base64.b64encode(name.encode("utf-8", "replace")).decode()
    return f"filename {encoded}".rstrip()
