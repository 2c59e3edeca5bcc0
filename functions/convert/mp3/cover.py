"""The cover of an MP3: a small square JPEG, made from a picture that is trusted as little as the video itself."""

import io
import itertools
import re
import struct
import time
from collections.abc import Callable, Iterator, Sequence
from statistics import median
from typing import IO, BinaryIO, NamedTuple, cast

from functions.convert.failures import AttemptFailed
from functions.convert.ffmpeg import Source, run_briefly, scratch
from functions.convert.media.listing import packets

# Decoders for attached pictures. Others, such as SVG, are never opened.
PICTURE_DECODERS = "mjpeg,png,bmp,gif,webp"
# Decoders for what cameras, screen recorders, editors and downloads produce. Hardware decoders are left out, and so are
# those for games and forgotten programs, whose code has seen little fuzzing.
FRAME_DECODERS = (
    "h264,hevc,vp8,vp9,libdav1d,mpeg4,mpeg2video,mpeg1video,mjpeg,prores,dvvideo,wmv1,wmv2,wmv3,vc1,flv,vp6,vp6f,"
    "theora,msmpeg4v1,msmpeg4v2,msmpeg4,h263,h263p,h263i,svq1,svq3,cinepak,rv10,rv20,rv30,rv40,qtrle,"
    "rawvideo,png,dnxhd,cfhd,ffv1,huffyuv,ffvhuff,utvideo,v210,jpeg2000,amv"
)
MAX_SIDE = 1200
_UNCHANGED_MAX_BYTES = 1024**2
_PICTURE_MAX_BYTES = 16 * 1024**2
_MAX_PIXELS = 50_000_000
_MIN_SIDE = 32
_MAX_ASPECT = 8.0
# A picture that is nearly square is cropped: padding of two pixels would look like a mistake.
_NEARLY_SQUARE = 1.02
_THUMBNAIL_SIDE = 256
_PICTURE_LIMIT_S = 5.0
_FRAME_LIMIT_S = 20.0
# A slide may have come up long ago; nearly all frames have not.
_LOOKED_BACK_S = 15.0
_LOOKED_AHEAD_S = 2.0
_ROUNDED_S = 0.002

# The middle square is the cover if the bands beside it are plain, or blurred and separated from it by an edge, which is
# how players fill a wide screen. Levels are from 0 to 255, in a thumbnail of _THUMBNAIL_SIDE.
_PLAIN_DEVIATION = 4.0
# Measured on blurred bands: steps of 2 to 7, at most 0.35 of the steps in the middle, and edges of at least 75. In
# photos: steps of about 20, or, if they are blurred as a whole, steps of 3 everywhere and edges below 12.
_BLURRED_STEP = 8.0
_BLURRED_TO_SHARP = 0.5
_EDGE_STEP = 12.0

_FRONT_COVER = "0:v:disp:attached_pic:m:comment:Cover (front)"
# An optional map (with a question mark) does not work here: if it matches nothing, ffmpeg picks a track by itself.
_FIRST_PICTURE = "0:v:disp:attached_pic:0"
_SHRINK, _SHRINK_TO_THUMBNAIL = (
    f"scale=w='min({side},iw)':h='min({side},ih)':force_original_aspect_ratio=decrease"
    for side in (MAX_SIDE, _THUMBNAIL_SIDE)
)
# Transparent pixels become white. A JPEG has no alpha and would show the colours hidden under it.
_ON_WHITE = "format=gbrap,negate=components=r+g+b,premultiply=inplace=1,format=gbrp,negate"

_BASELINE, _END_OF_IMAGE, _START_OF_SCAN, _APP0, _APP15, _COMMENT = 0xC0, 0xD9, 0xDA, 0xE0, 0xEF, 0xFE
# Its size without a thumbnail.
_JFIF_BYTES = 18
_FRAME_HEADERS = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
# In the data of a scan, 0xFF is followed by 0 or by a restart marker: ISO/IEC 10918-1, B.1.1.
_MARKER_IN_SCAN = re.compile(rb"\xff[^\x00\xff\xd0-\xd7]")

OnTick = Callable[[], None]


class _Picture(NamedTuple):
    """What the header of a picture says. `is_final` marks a JPEG that every player can show as it is."""

    demuxer: str
    decoder: str
    width: int
    height: int
    is_final: bool = False


class _Thumbnail(NamedTuple):
    """Red, green and blue, each as rows of levels from 0 to 255. A portrait picture is transposed."""

    planes: tuple[Sequence[bytes], ...]
    length: int
    breadth: int


class _TooSlow(Exception):
    """Raised to kill an ffmpeg that takes longer than a cover is worth."""


def make_cover(picture: bytes, *, on_tick: OnTick = lambda: None) -> bytes | None:
    """Return a square baseline JPEG without metadata, at most MAX_SIDE pixels wide, or None if the picture is unusable.

    A picture that is not square is cropped to its middle if only plain or blurred bands lie beside it, as in the wide
    thumbnails of albums. Otherwise it is padded with the colour of its border. A JPEG that already fits is not
    re-encoded; it only loses its metadata. The cover of an animation is its first picture.

    Raises:
        AttemptFailed: ffmpeg was killed.
    """
    seen = _look(picture)
    if seen is None or seen.width * seen.height > _MAX_PIXELS:
        return None
    shorter, longer = sorted((seen.width, seen.height))
    if shorter < _MIN_SIDE or longer > shorter * _MAX_ASPECT:
        return None
    tick = _limited(on_tick, _PICTURE_LIMIT_S)
    on_white = [] if seen.demuxer == "jpeg_pipe" else [_ON_WHITE]
    with scratch() as file:
        file.write(picture)
        ppm = _convert(file, seen, [_SHRINK_TO_THUMBNAIL, *on_white, "format=rgb24"], ["-c:v", "ppm"], tick)
        if not ppm:
            return None
        fits = seen.is_final and shorter == longer <= MAX_SIDE and len(picture) <= _UNCHANGED_MAX_BYTES
        if fits and (unchanged := _without_metadata(picture)):
            return unchanged
        filters = [*_squared(_read_ppm(ppm), on_white), "format=yuvj420p"]
        jpeg = _convert(file, seen, filters, ["-c:v", "mjpeg", "-q:v", "3", "-flags", "+bitexact"], tick)
    return _without_metadata(jpeg) if jpeg else None


def find_attached_picture(
    video: Callable[[], Source], demuxers: str, *, on_tick: OnTick = lambda: None
) -> bytes | None:
    """Return the bytes of the picture attached to a file, for `make_cover`, or None if there is none.

    If there are several, the front cover is preferred to the first. Nothing is decoded. `video` is called up to twice
    and returns the source, at its start. `demuxers` lists those that ffmpeg may use.

    Raises:
        AttemptFailed: ffmpeg was killed.
    """
    inputs = [
        *("-format_whitelist", demuxers, "-codec_whitelist", PICTURE_DECODERS),
        # Otherwise a picture of a gigabyte would be copied before its size is known.
        *("-max_alloc", str(4 * _PICTURE_MAX_BYTES)),
    ]
    output = ["-c", "copy", "-frames:v", "1"]
    tick = _limited(on_tick, _FRAME_LIMIT_S)
    first = _written(video(), inputs, ["-map", _FIRST_PICTURE, *output], tick)
    if first is None:
        return None
    return _written(video(), inputs, ["-map", _FRONT_COVER, *output], tick) or first


def find_frame(video: BinaryIO, demuxers: str, time_s: float, *, on_tick: OnTick = lambda: None) -> bytes | None:
    """Return the frame shown `time_s` seconds after the start of a video, as a PNG for `make_cover`, or None.

    There is no frame after the end, or if the codec is not one of FRAME_DECODERS. `demuxers` lists those that ffmpeg
    may use.

    Raises:
        AttemptFailed: ffmpeg was killed.
    """
    shown_s = _shown_since(video, demuxers, time_s, on_tick)
    if shown_s is None:
        return None
    inputs = [
        *("-format_whitelist", demuxers, "-codec_whitelist", FRAME_DECODERS),
        # The first frame from there on is taken, and time stamps are rounded.
        *("-threads", "1", "-max_pixels", str(_MAX_PIXELS), "-ss", f"{max(shown_s - 0.001, 0.0):.3f}"),
    ]
    # DV and DVDs do not have square pixels.
    filters = f"scale=w='iw*clip(sar,0.25,4)':h=ih,setsar=1,{_SHRINK},format=rgb24"
    output = ["-map", "0:V:0", "-frames:v", "1", "-vf", filters, "-threads", "1", "-c:v", "png"]
    return _written(video, inputs, output, _limited(on_tick, _FRAME_LIMIT_S))


def _shown_since(video: BinaryIO, demuxers: str, time_s: float, on_tick: OnTick) -> float | None:
    """Return when the frame that is shown at a time came up, in seconds, or None after the end. Nothing is decoded."""
    for before_s in (_LOOKED_BACK_S, time_s):
        start_s = max(time_s - before_s, 0.0)
        with scratch() as listing:
            arguments = [
                *("-protocol_whitelist", "fd", "-format_whitelist", demuxers, "-codec_whitelist", FRAME_DECODERS),
                *("-ss", f"{start_s:.3f}", "-t", f"{time_s - start_s + _LOOKED_AHEAD_S:.3f}", "-fd", "0", "-i", "fd:"),
                *("-map", "0:V:0", "-c", "copy", "-f", "framecrc", "-fd", str(listing.fileno()), "fd:"),
            ]
            tick = _limited(on_tick, _FRAME_LIMIT_S)
            try:
                code = run_briefly(arguments, video, passed=[listing.fileno()], on_tick=tick, stall_s=_FRAME_LIMIT_S)
            except _TooSlow:
                return None
            listing.seek(0)
            frames = [(start_s + each.pts * each.tick_s, start_s + each.end_s) for each in packets(listing)]
        shown = [(at, end) for at, end in frames if at <= time_s + _ROUNDED_S]
        if code == 0 and shown:
            at_s, _ = max(shown)
            is_last = len(shown) == len(frames)
            return None if is_last and time_s > max(end for _, end in shown) + _ROUNDED_S else at_s
        if start_s == 0.0:
            break
    return None


def _convert(
    picture: IO[bytes], seen: _Picture, filters: Sequence[str], encoder: Sequence[str], tick: OnTick
) -> bytes | None:
    inputs = [
        *("-format_whitelist", seen.demuxer, "-codec_whitelist", seen.decoder, "-f", seen.demuxer),
        # By default, the missing part of a truncated picture would be grey.
        *("-threads", "1", "-max_pixels", str(_MAX_PIXELS), "-err_detect", "explode"),
    ]
    output = ["-map", "0:v:0", "-frames:v", "1", "-vf", ",".join(filters), "-threads", "1", *encoder]
    return _written(cast("BinaryIO", picture), inputs, output, tick)


def _written(source: Source, inputs: Sequence[str], output: Sequence[str], tick: OnTick) -> bytes | None:
    """Run ffmpeg and return the picture it writes, or None if there is none, or it is too large or takes too long."""
    with scratch() as target:
        arguments = [
            *("-protocol_whitelist", "fd", "-filter_threads", "1", *inputs, "-fd", "0", "-i", "fd:"),
            *("-map_metadata", "-1", *output, "-f", "image2pipe", "-fd", str(target.fileno()), "fd:"),
        ]
        try:
            code = run_briefly(arguments, source, passed=[target.fileno()], on_tick=tick, stall_s=2 * _FRAME_LIMIT_S)
        except _TooSlow:
            return None
        except AttemptFailed as failed:
            # The picture needs too much memory, and would need as much in the next attempt.
            if failed.code != "resource-limit":
                raise
            return None
        if code != 0 or not 0 < target.seek(0, io.SEEK_END) <= _PICTURE_MAX_BYTES:
            return None
        target.seek(0)
        return target.read()


def _limited(on_tick: OnTick, limit_s: float) -> OnTick:
    """Return a tick that raises _TooSlow once the time is up."""
    ends_at = time.monotonic() + limit_s

    def tick() -> None:
        if time.monotonic() > ends_at:
            raise _TooSlow
        on_tick()

    return tick


def _squared(thumbnail: _Thumbnail, on_white: Sequence[str]) -> list[str]:
    """Return the filters that make the picture of this thumbnail square and small enough."""
    if thumbnail.length <= thumbnail.breadth * _NEARLY_SQUARE or _lies_between_bands(thumbnail):
        return ["crop=w='min(iw,ih)':h='min(iw,ih)'", _SHRINK, *on_white]
    border = (median((*rows[0], *rows[-1])) for rows in thumbnail.planes)
    colour = "".join(f"{round(level):02X}" for level in border)
    return [_SHRINK, *on_white, "format=gbrp", f"pad=w='max(iw,ih)':h='max(iw,ih)':x=-1:y=-1:color=0x{colour}"]


def _lies_between_bands(thumbnail: _Thumbnail) -> bool:
    """Say whether the middle square is the cover, and the rest was added to fill a screen."""
    start = (thumbnail.length - thumbnail.breadth) // 2
    end = start + thumbnail.breadth
    if start < 4:
        return False
    # Scaling blends the columns next to the edge.
    bands = [
        [row[part] for row in rows]
        for rows in thumbnail.planes
        for part in (slice(0, start - 1), slice(end + 1, thumbnail.length))
    ]
    if all(_deviation(band) <= _PLAIN_DEVIATION for band in bands):
        return True
    middles = [[row[start + 1 : end - 1] for row in rows] for rows in thumbnail.planes]
    roughest = max(map(_step, bands))
    if roughest > min(_BLURRED_STEP, _BLURRED_TO_SHARP * max(map(_step, middles))):
        return False
    return all(
        max(_mean(abs(row[edge - 2] - row[edge + 1]) for row in rows) for rows in thumbnail.planes) >= _EDGE_STEP
        for edge in (start, end)
    )


def _deviation(rows: Sequence[bytes]) -> float:
    levels = b"".join(rows)
    mean = sum(levels) / len(levels)
    return float((sum((level - mean) ** 2 for level in levels) / len(levels)) ** 0.5)


def _step(rows: Sequence[bytes]) -> float:
    """Return by how much pixels differ from their neighbours, on average."""
    beside = (abs(one - other) for row in rows for one, other in itertools.pairwise(row))
    below = (
        abs(one - other) for row, next_row in itertools.pairwise(rows) for one, other in zip(row, next_row, strict=True)
    )
    return _mean(beside) + _mean(below)


def _mean(values: Iterator[int]) -> float:
    total = count = 0
    for value in values:
        total += value
        count += 1
    return total / max(count, 1)


def _read_ppm(ppm: bytes) -> _Thumbnail:
    """Read a PPM (https://netpbm.sourceforge.net/doc/ppm.html) as written by ffmpeg, without comments."""
    _, size, _, pixels = ppm.split(b"\n", 3)
    width, height = map(int, size.split())
    planes = []
    for channel in range(3):
        plane = pixels[channel::3]
        rows = [plane[row * width : (row + 1) * width] for row in range(height)]
        planes.append(rows if width >= height else [plane[column::width] for column in range(width)])
    return _Thumbnail(tuple(planes), max(width, height), min(width, height))


def _look(picture: bytes) -> _Picture | None:
    """Return what the header of a picture says, or None if it is not a kind of picture that is used here."""
    try:
        if picture.startswith(b"\xff\xd8\xff"):
            return _look_at_jpeg(picture)
        if picture.startswith(b"\x89PNG\r\n\x1a\n") and picture[12:16] == b"IHDR":
            return _Picture("png_pipe", "png", *struct.unpack_from(">II", picture, 16))
        if picture.startswith((b"GIF87a", b"GIF89a")) and picture.rstrip(b"\0").endswith(b";"):
            return _Picture("gif", "gif", *struct.unpack_from("<HH", picture, 6))
        if picture.startswith(b"BM"):
            old = struct.unpack_from("<I", picture, 14)[0] == 12
            width, height = struct.unpack_from("<HH" if old else "<ii", picture, 18)
            return _Picture("bmp_pipe", "bmp", abs(width), abs(height))
        if picture.startswith(b"RIFF") and picture[8:12] == b"WEBP":
            return _look_at_webp(picture)
    except struct.error:  # it ends within its header
        return None
    return None


def _look_at_webp(picture: bytes) -> _Picture | None:
    """Read the size from the first chunk (https://developers.google.com/speed/webp/docs/riff_container)."""
    chunk = picture[12:16]
    if chunk == b"VP8 ":
        width, height = struct.unpack_from("<HH", picture, 26)
        return _Picture("webp_pipe", "webp", width & 0x3FFF, height & 0x3FFF)
    if chunk == b"VP8L":
        (bits,) = struct.unpack_from("<I", picture, 21)
        return _Picture("webp_pipe", "webp", (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1)
    if chunk == b"VP8X":
        width, width_high, height, height_high = struct.unpack_from("<HBHB", picture, 24)
        return _Picture("webp_pipe", "webp", (width_high << 16 | width) + 1, (height_high << 16 | height) + 1)
    return None


def _look_at_jpeg(picture: bytes) -> _Picture | None:
    size: tuple[int, int] | None = None
    is_final = True
    for marker, segment in _segments(picture):
        if marker in _FRAME_HEADERS:
            precision, height, width, components = struct.unpack_from(">BHHB", segment, 4)
            size = (width, height)
            is_final &= marker == _BASELINE and precision == 8 and components in {1, 3}
        elif segment[4:10] == b"Exif\0\0":  # it may ask for a rotation
            is_final = False
    return _Picture("jpeg_pipe", "mjpeg", *size, is_final) if size else None


def _without_metadata(jpeg: bytes) -> bytes | None:
    """Return a JPEG without Exif, XMP, comments, thumbnails and anything after its end, or None if it is truncated.

    Colour profiles are kept.
    """
    kept = [b"\xff\xd8"]
    for marker, segment in _segments(jpeg):
        named = segment[4:]
        if not (_APP0 <= marker <= _APP15 or marker == _COMMENT) or (
            (named.startswith(b"JFIF\0") and len(segment) == _JFIF_BYTES)
            or named.startswith((b"ICC_PROFILE\0", b"Adobe"))
        ):
            kept.append(segment)
        if marker == _END_OF_IMAGE:
            return b"".join(kept)
    return None


def _segments(jpeg: bytes) -> Iterator[tuple[int, bytes]]:
    """Yield each marker of a JPEG with its segment, up to the end of the image or the first malformed segment."""
    position = 2
    while (marker := jpeg[position : position + 2])[:1] == b"\xff" and len(marker) == 2:
        if marker[1] == 0xFF:  # fill bytes may precede a marker
            position += 1
            continue
        if marker[1] == _END_OF_IMAGE:
            yield _END_OF_IMAGE, marker
            return
        length = int.from_bytes(jpeg[position + 2 : position + 4], "big")
        end = position + 2 + length
        if length < 2 or end > len(jpeg):
            return
        if marker[1] == _START_OF_SCAN:
            found = _MARKER_IN_SCAN.search(jpeg, end)
            if not found:
                return
            end = found.start()
        yield marker[1], jpeg[position:end]
        position = end
