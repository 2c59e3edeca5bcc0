"""Videos that ffmpeg can read from a pipe: from the first byte to the last, and never back.

So it can be read while it is being fetched, and no disk has to hold it. All that ffmpeg needs to know must come before
the sound then. An MP4 is often written the other way round: its index is moved to the front.
"""

from collections.abc import Callable, Iterator
from functools import partial
from itertools import islice

from functions.convert.media.boxes import Box, MalformedIndex, is_box, move_index, top_boxes
from functions.convert.media.ebml import CLUSTER, EBML, INFO, SEEK_HEAD, SEGMENT, TAGS, TRACKS, elements
from functions.convert.video import Video
from functions.shared.files import CHUNK_BYTES

# An MP4 has three to six boxes. One that was made in fragments has thousands, and tells its length only at its end.
_MOST_BOXES = 32
_FRAGMENTED = {b"moof", b"mfra", b"sidx", b"ssix", b"styp", b"emsg", b"prft"}
_BEHIND_THE_MEDIA = {b"mdat", b"moov", b"free", b"skip", b"wide"}
# Eight hours with 60 pictures a second have one of 25 MB.
_INDEX_MAX_BYTES = 32 * 1024 * 1024

Stream = Callable[[], Iterator[bytes]]


def as_stream(video: Video) -> Stream | None:
    """Return what yields the video in parts as they can be read from a pipe, or None if only a file will do."""
    head = video.read(0, 8)
    if is_box(head):
        return _mp4_as_stream(video)
    if head.startswith(EBML) and _is_matroska_in_order(video):
        return video.parts
    return None


def _mp4_as_stream(video: Video) -> Stream | None:
    boxes = list(islice(top_boxes(video.read, video.size), _MOST_BOXES + 1))
    kinds = [box.kind for box in boxes]
    if len(boxes) > _MOST_BOXES or kinds.count(b"moov") != 1 or b"mdat" not in kinds or boxes[-1].end != video.size:
        return None
    media = kinds.index(b"mdat")
    if not _FRAGMENTED.isdisjoint(kinds) or not _BEHIND_THE_MEDIA.issuperset(kinds[media:]):
        return None
    index = boxes[kinds.index(b"moov")]
    if index.start < boxes[media].start:
        return video.parts
    return _with_index_at(boxes[media].start, index, video)


def _with_index_at(position: int, index: Box, video: Video) -> Stream | None:
    length = index.end - index.start
    if length > _INDEX_MAX_BYTES:
        return None
    try:
        moved = move_index(video.read(index.start, index.end), by=length, behind=position)
    except MalformedIndex:
        return None
    return partial(_index_first, video, moved, position)


def _index_first(video: Video, index: bytes, position: int) -> Iterator[bytes]:
    """Yield a video with this index put in at `position`, as qt-faststart does. The old one stays: ffmpeg skips it."""
    passed = 0
    for part in video.parts():
        before = position - passed
        if 0 <= before < len(part):
            if before:
                yield part[:before]
            yield index
            yield part[before:]
        else:
            yield part
        passed += len(part)


def _is_matroska_in_order(video: Video) -> bool:
    """Say whether tracks, length and tags come before the first cluster, which must begin soon."""
    head = video.read(0, CHUNK_BYTES)

    def read(start: int, end: int) -> bytes:
        return head[start:end]

    segment = next((element for element in elements(read, 0, len(head)) if element.id == SEGMENT), None)
    if segment is None or segment.end != video.size:
        return False
    found: list[bytes] = []
    sought = b""
    for element in elements(read, segment.start, len(head)):
        if element.id == CLUSTER:
            # From a file ffmpeg goes wherever a seek head points to: tags are often at the end.
            tags_come_first = sought.count(TAGS) <= found.count(TAGS)
            return {INFO, TRACKS} <= {*found} and tags_come_first and SEEK_HEAD not in sought
        found.append(element.id)
        if element.id == SEEK_HEAD:
            sought += read(element.start, element.end or 0)
    return False
