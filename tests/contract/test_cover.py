"""Covers that the real ffmpeg makes from ordinary and from hostile pictures."""

import struct
import subprocess
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import imageio_ffmpeg
import pytest

from functions.convert.failures import AttemptFailed
from functions.convert.mp3 import cover
from functions.convert.mp3.cover import MAX_SIDE, find_attached_picture, find_frame, make_cover
from tests.media import ffmpeg, real_clip

DEMUXERS = "mov,matroska,mp3,flac,ogg,avi"
ART = "testsrc2=size=720x720"
# Players fill a wide screen with the same picture, enlarged, blurred and darkened.
BLURRED_BANDS = [
    "split[a][b];[b]scale=1280:1280,crop=1280:720,"
    f"gblur=sigma={sigma},eq=brightness={brightness}[c];[c][a]overlay=280:0"
    for sigma, brightness in ((20, -0.2), (40, -0.2), (80, -0.1))
]
PLAIN_BANDS = ["pad=1280:720:-1:-1:color=black", "pad=1280:720:-1:-1:color=0xC0D0E0"]

Colour = tuple[int, int, int]


class Pixels(NamedTuple):
    """A decoded picture."""

    width: int
    height: int
    rgb: bytes

    def at(self, x: float, y: float) -> Colour:
        """Return the colour at a place from 0 to 1 from the left and from the top."""
        start = 3 * (min(int(y * self.height), self.height - 1) * self.width + min(int(x * self.width), self.width - 1))
        return self.rgb[start], self.rgb[start + 1], self.rgb[start + 2]


def decode(picture: bytes) -> Pixels:
    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", "-i", "-", "-f", "image2pipe", "-c:v", "ppm", "-"]
    done = subprocess.run(command, input=picture, capture_output=True, timeout=60, check=True)
    _, size, _, rgb = done.stdout.split(b"\n", 3)
    width, height = map(int, size.split())
    return Pixels(width, height, rgb)


def close(one: Colour, other: Colour, tolerance: int = 12) -> bool:
    return all(abs(a - b) <= tolerance for a, b in zip(one, other, strict=True))


Draw = Callable[..., bytes]


@pytest.fixture
def draw(tmp_path: Path) -> Draw:
    """Makes a picture from one of ffmpeg's sources."""

    def drawn(source: str, ending: str = "jpg", *filters: str) -> bytes:
        path = tmp_path / f"drawn.{ending}"
        ffmpeg("-f", "lavfi", "-i", source, *(["-filter_complex", *filters] if filters else []), *_one(path))
        return path.read_bytes()

    return drawn


def _one(path: Path) -> list[str]:
    quality = ["-q:v", "2"] if path.suffix == ".jpg" else []
    return ["-frames:v", "1", *quality, "-update", "1", str(path)]


def png(width: int, height: int, rows: bytes) -> bytes:
    """Return a PNG of one bit a pixel, of any size and with any content."""
    header = struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0)
    chunks = ((b"IHDR", header), (b"IDAT", zlib.compress(rows)), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data)) for name, data in chunks
    )


def exif(orientation: int) -> bytes:
    """Return the segment in which a phone notes how it was held, and where: 48° 12' 29" north."""
    start = 8 + 2 + 2 * 12 + 4
    tags = struct.pack(">HHHIHHHHII", 2, 0x0112, 3, 1, orientation, 0, 0x8825, 4, 1, start) + bytes(4)
    place = struct.pack(">HHHI4sHHII", 2, 1, 2, 2, b"N\0\0\0", 2, 5, 3, start + 2 + 2 * 12 + 4) + bytes(4)
    body = b"Exif\0\0MM\0*" + struct.pack(">I", 8) + tags + place + struct.pack(">6I", 48, 1, 12, 1, 29, 1)
    return b"\xff\xe1" + struct.pack(">H", len(body) + 2) + body


def with_segments(jpeg: bytes, *segments: bytes) -> bytes:
    return jpeg[:2] + b"".join(segments) + jpeg[2:]


@pytest.mark.parametrize("bands", [*PLAIN_BANDS, *BLURRED_BANDS])
def test_an_album_cover_on_a_wide_screen_is_cropped_to_the_album_cover(draw, bands):
    """Download tools attach such thumbnails to music, but the bands are not part of the cover."""
    made = make_cover(draw(ART, "jpg", bands))

    assert made
    shown, art = decode(made), decode(draw(ART, "png"))
    assert (shown.width, shown.height) == (720, 720)
    places = [(x / 10 + 0.05, y / 10 + 0.05) for x in range(10) for y in range(10)]
    alike = sum(close(shown.at(*place), art.at(*place), 40) for place in places)
    assert alike >= 90


def test_bands_above_and_below_are_cropped_as_well(draw):
    """Phones are held upright."""
    made = make_cover(draw(ART, "jpg", "pad=720:1280:-1:-1:color=black"))

    assert made
    assert decode(made)[:2] == (720, 720)
    assert decode(made).at(0.5, 0.02) != (0, 0, 0)


def test_a_wide_picture_is_padded(draw):
    """Cropping would cut off what a photo shows at its sides."""
    with real_clip().open("rb") as video:
        photo = find_frame(video, DEMUXERS, 2.0)
    assert photo
    before = decode(photo)

    made = make_cover(photo)

    assert made
    after = decode(made)
    assert after.width == after.height == max(before.width, before.height) <= MAX_SIDE
    top = (1 - before.height / before.width) / 2
    for x, y in ((0.1, 0.3), (0.5, 0.5), (0.9, 0.7)):
        assert close(after.at(x, top + y * (1 - 2 * top)), before.at(x, y), 40)


@pytest.mark.parametrize("colour", ["0x2040A0", "0xF0F0F0"])
def test_the_padding_has_the_colour_of_the_border(draw, colour):
    """Black bars above a white cover would look like a mistake."""
    framed = f"drawbox=x=0:y=0:w=iw:h=ih:t=30:color={colour}"

    made = make_cover(draw("testsrc2=size=900x600", "png", framed))

    assert made
    red, green, blue = bytes.fromhex(colour[2:])
    after = decode(made)
    assert after[:2] == (900, 900)
    assert all(close(after.at(x, y), (red, green, blue)) for x, y in ((0, 0), (0.5, 0.1), (1, 1), (0.5, 0.95)))


@pytest.mark.parametrize("change", ["drawbox=x=280:y=0:w=720:h=720:t=fill:color=white", "gblur=sigma=20", "null"])
def test_sides_that_are_not_bands_are_kept(draw, change):
    """Neither a sharp edge nor a soft side makes a band by itself."""
    made = make_cover(draw("testsrc2=size=1280x720", "jpg", change))

    assert made
    assert decode(made)[:2] == (1200, 1200)


@pytest.mark.parametrize(
    ("size", "side"), [("3000x3000", 1200), ("1200x1188", 1188), ("64x64", 64), ("2000x500", 1200)]
)
def test_a_cover_is_square_and_no_larger_than_players_show(draw, size, side):
    """Nothing is enlarged, and a picture that is nearly square gets no thin line at its side."""
    made = make_cover(draw(f"testsrc2=size={size}", "png"))

    assert made
    assert decode(made)[:2] == (side, side)


@pytest.mark.parametrize("ending", ["jpg", "png", "bmp", "gif", "webp"])
def test_every_kind_of_picture_makes_a_cover(draw, ending):
    """The colours must not change on the way."""
    made = make_cover(draw("color=0xC04020:size=300x300", ending))

    assert made
    assert made.startswith(b"\xff\xd8")
    assert close(decode(made).at(0.5, 0.5), (0xC0, 0x40, 0x20))


def test_the_first_picture_of_an_animation_makes_the_cover(tmp_path):
    """A cover does not move."""
    path = tmp_path / "a.gif"
    ffmpeg("-f", "lavfi", "-i", "color=red:size=99x99:rate=5:duration=1,fade=out:0:5:color=blue", str(path))

    made = make_cover(path.read_bytes())

    assert made
    assert close(decode(made).at(0.5, 0.5), (255, 0, 0), 20)


def test_transparent_pixels_become_white(draw):
    """A JPEG has no alpha, and the hidden colour under it is often black."""
    hole = "format=rgba,geq=r=200:g=0:b=0:a='if(lt(X,100),0,255)'"

    made = make_cover(draw("color=black:size=200x200", "png", hole))

    assert made
    assert close(decode(made).at(0.2, 0.5), (255, 255, 255))
    assert close(decode(made).at(0.8, 0.5), (200, 0, 0))


def test_a_jpeg_that_fits_passes_byte_for_byte(draw):
    """Every re-encoding of a JPEG loses quality."""
    picture = draw(ART)
    comment_at = picture.index(b"\xff\xfe")
    comment_ends = comment_at + 2 + int.from_bytes(picture[comment_at + 2 : comment_at + 4], "big")

    assert make_cover(picture) == picture[:comment_at] + picture[comment_ends:]


@pytest.mark.parametrize("size", ["400x400", "400x300", "1600x1600"])
def test_a_cover_does_not_say_where_it_was_taken(draw, size):
    """A photo on a cover must not reveal where its owner lives."""
    made = make_cover(with_segments(draw(f"testsrc2=size={size}"), exif(1)))

    assert made
    assert b"Exif" not in made
    assert b"\xff\xe1" not in made[:200]


def test_other_metadata_and_appended_data_are_removed(draw):
    """XMP and IPTC hold places and names, and phones append a short film to a photo."""
    xmp = b"http://ns.adobe.com/xap/1.0/\0<GPSLatitude>48,12.5N</GPSLatitude>"
    picture = draw(ART)
    told = with_segments(picture, b"\xff\xe1" + struct.pack(">H", len(xmp) + 2) + xmp, b"\xff\xed\0\x0dPhotoshop 3")

    made = make_cover(told + b"\0\0\0\x18ftypmp42 and a film")

    assert made == make_cover(picture)


def test_a_photo_that_was_taken_sideways_stands_upright(draw):
    """The rotation is noted in the metadata, which is removed."""
    left_is_red = "drawbox=x=0:y=0:w=200:h=400:t=fill:color=red"
    picture = draw("color=blue:size=400x400", "jpg", left_is_red)

    made = make_cover(with_segments(picture, exif(6)))  # to be turned clockwise

    assert made
    assert close(decode(made).at(0.5, 0.1), (255, 0, 0), 20)
    assert close(decode(made).at(0.5, 0.9), (0, 0, 255), 20)


def test_a_jpeg_that_is_not_baseline_is_re_encoded(draw):
    """Car radios do not show progressive ones."""
    picture = draw(ART)
    frame_at = picture.index(b"\xff\xc0")
    # An extended sequential JPEG of 8 bits has the same data under another marker.
    made = make_cover(picture[: frame_at + 1] + b"\xc1" + picture[frame_at + 2 :])

    assert made
    assert b"\xff\xc0" in made
    assert b"\xff\xc1" not in made[:1000]


@pytest.mark.parametrize("ending", ["jpg", "png", "gif", "bmp"])
def test_a_truncated_picture_makes_no_cover(draw, ending):
    """By default, ffmpeg would paint the missing part grey."""
    picture = draw("testsrc2=size=400x400", ending)

    assert make_cover(picture[: len(picture) * 6 // 10]) is None


@pytest.mark.parametrize(
    "picture",
    [
        b"",
        b"\xff\xd8\xff",
        b"GIF89a",
        b"BM",
        b"RIFF\0\0\0\0WEBPVP8X",
        b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR",
        b'<svg xmlns="http://www.w3.org/2000/svg" width="500" height="500"><rect width="9" height="9"/></svg>',
        b"ffconcat version 1.0\nfile /etc/passwd\n",
        b"\xff\xd8" + b"\xff" * 100_000,
        b"\xff\xd8\xff\xda\0\x02" + b"\xff\0" * 1_000_000,
        b"GIF89a" + struct.pack("<HH", 64, 64) + b"\0\0\0," + struct.pack("<4H", 0, 0, 65_535, 65_535) + b"\0\x08\xff",
        png(10, 500, bytes(3 * 500)),
        png(100, 100, b""),
    ],
    ids=lambda picture: repr(picture[:12]),
)
def test_garbage_makes_no_cover(picture):
    """Anything can be attached to a video. It may cost the cover, but never the conversion."""
    assert make_cover(picture) is None


@pytest.mark.parametrize("size", [(10_000, 10_000), (60_000, 60_000), (2**31 - 1, 2**31 - 1)])
def test_a_picture_too_large_to_decode_is_not_decoded(monkeypatch, size):
    """A PNG of 100 megapixels may have 12 kB, and takes 400 MB of memory."""
    monkeypatch.setattr(cover, "run_briefly", lambda *_, **__: pytest.fail("ffmpeg was asked"))

    assert make_cover(png(size[0], size[1], bytes(1_251 * 10_000))) is None


def test_a_picture_that_lies_about_its_size_makes_no_cover(draw):
    """The limit is enforced by ffmpeg as well."""
    picture = draw("testsrc2=size=7200x7200")
    frame_at = picture.index(b"\xff\xc0")
    small = struct.pack(">BBHBHH", 0xFF, 0xC0, 11, 8, 64, 64) + picture[frame_at + 9 : frame_at + 13]

    assert make_cover(picture[:frame_at] + small + picture[frame_at:]) is None


def test_a_picture_that_takes_too_long_makes_no_cover(draw, monkeypatch):
    """The MP3 must not wait for it."""

    def run(*_: object, on_tick: Callable[[], None], **__: object) -> int:
        on_tick()
        pytest.fail("ffmpeg was not ended")

    monkeypatch.setattr(cover, "run_briefly", run)
    monkeypatch.setattr(cover, "_PICTURE_LIMIT_S", -1.0)

    assert make_cover(draw(ART)) is None


@pytest.mark.parametrize("code", ["attempts-exhausted", "resource-limit"])
def test_only_a_killed_ffmpeg_fails_the_attempt(draw, monkeypatch, code):
    """A picture that needs too much memory would need as much in the next attempt."""

    def fail(*_: object, **__: object) -> int:
        raise AttemptFailed("", code)

    picture = draw(ART)
    monkeypatch.setattr(cover, "run_briefly", fail)

    if code == "resource-limit":
        assert make_cover(picture) is None
    else:
        with pytest.raises(AttemptFailed):
            make_cover(picture)


@pytest.mark.parametrize("ending", ["m4a", "mp3", "flac"])
def test_an_attached_picture_is_found(draw, tmp_path, ending):
    """Its bytes are copied, not decoded."""
    picture, path = tmp_path / "a.png", tmp_path / f"a.{ending}"
    picture.write_bytes(draw(ART, "png"))
    inputs = ["-f", "lavfi", "-i", "sine=duration=1", "-i", str(picture)]
    ffmpeg(*inputs, "-map", "0", "-map", "1", "-c:v", "copy", "-disposition:v", "attached_pic", str(path))

    with path.open("rb") as file:
        assert find_attached_picture(lambda: file, DEMUXERS) == picture.read_bytes()


def test_a_picture_attached_to_matroska_is_found(draw, tmp_path):
    """Download tools store thumbnails as attachments there."""
    picture, path = tmp_path / "cover.jpg", tmp_path / "a.mka"
    picture.write_bytes(draw(ART))
    ffmpeg(
        *("-f", "lavfi", "-i", "sine=duration=1", "-attach", str(picture), "-metadata:s:t", "mimetype=image/jpeg"),
        str(path),
    )

    with path.open("rb") as file:
        assert find_attached_picture(lambda: file, DEMUXERS) == picture.read_bytes()


def test_the_front_cover_is_preferred(draw, tmp_path):
    """Some files have the back of the booklet first."""
    back, front, path = tmp_path / "back.png", tmp_path / "front.jpg", tmp_path / "a.mp3"
    back.write_bytes(draw(ART, "png"))
    front.write_bytes(draw(ART))
    ffmpeg(
        *("-f", "lavfi", "-i", "sine=duration=1", "-i", str(back), "-i", str(front)),
        *("-map", "0", "-map", "1", "-map", "2", "-c:v", "copy", "-disposition:v", "attached_pic"),
        *("-metadata:s:v:0", "comment=Cover (back)", "-metadata:s:v:1", "comment=Cover (front)", str(path)),
    )

    with path.open("rb") as file:
        assert find_attached_picture(lambda: file, DEMUXERS) == front.read_bytes()


def test_the_video_is_not_an_attached_picture(media):
    """If a map matches nothing, ffmpeg may pick a track by itself."""
    with media.video("mp4 moov last").open("rb") as file:
        assert find_attached_picture(lambda: file, DEMUXERS) is None


def test_garbage_has_neither_a_picture_nor_a_frame(tmp_path):
    """A script for ffmpeg must not make it read other files."""
    path = tmp_path / "a"
    path.write_bytes(b"ffconcat version 1.0\nfile a.mp4\n" * 100)

    with path.open("rb") as file:
        assert find_attached_picture(lambda: file, DEMUXERS) is None
        assert find_frame(file, DEMUXERS, 0.0) is None


@pytest.mark.parametrize(("time_s", "colour"), [(0.0, (255, 0, 0)), (1.05, (255, 0, 0)), (2.5, (0, 0, 255))])
def test_a_frame_is_the_one_shown_at_its_time(tmp_path, time_s, colour):
    """It need not be a key frame."""
    path = tmp_path / "a.mp4"
    red_then_blue = (
        "color=red:size=320x240:rate=10:duration=2[a];color=blue:size=320x240:rate=10:duration=2[b];[a][b]concat"
    )
    ffmpeg("-filter_complex", red_then_blue, "-c:v", "mpeg4", "-g", "100", str(path))

    with path.open("rb") as video:
        frame = find_frame(video, DEMUXERS, time_s)

    assert frame
    assert decode(frame)[:2] == (320, 240)
    assert close(decode(frame).at(0.5, 0.5), colour, 20)


def test_there_is_no_frame_after_the_end(media):
    """In that case, ffmpeg ends successfully without a picture."""
    with media.video("mp4 moov last").open("rb") as video:
        assert find_frame(video, DEMUXERS, 60.0) is None


def test_frames_of_rare_codecs_are_not_decoded(tmp_path):
    """Every decoder that is allowed can be attacked."""
    path = tmp_path / "a.mkv"
    ffmpeg("-f", "lavfi", "-i", "testsrc=size=176x144:duration=1", "-c:v", "snow", str(path))

    with path.open("rb") as video:
        assert find_frame(video, DEMUXERS, 0.0) is None


def test_the_pixels_of_a_frame_become_square(tmp_path):
    """The pixels of DVDs and DV are not."""
    path = tmp_path / "a.mkv"
    ffmpeg("-f", "lavfi", "-i", "testsrc=size=360x288:duration=1,setsar=64/45", "-c:v", "mpeg4", str(path))

    with path.open("rb") as video:
        frame = find_frame(video, DEMUXERS, 0.0)

    assert frame
    assert decode(frame)[:2] == (512, 288)


def test_every_decoder_that_is_named_exists():
    """A name that ffmpeg does not know is ignored without a warning."""
    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", "-decoders"]
    listed = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()

    assert set(cover.FRAME_DECODERS.split(",")) | set(cover.PICTURE_DECODERS.split(",")) <= set(listed)
