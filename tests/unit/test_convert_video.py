"""A stored video, as the encoder reads it."""

import hashlib

import pytest

from functions.convert.video import StoredVideo
from functions.shared.conversions import Video
from functions.shared.files import CHUNK_BYTES, FileDamaged, FileMissing
from tests.conversions import conversion
from tests.fakes.shared import FakeFiles

CONTENT = bytes(range(256)) * (3 * CHUNK_BYTES // 256) + b"end"
SHA256 = hashlib.sha256(CONTENT).hexdigest()


def stored_video(sha256: str | None = None, size: int = len(CONTENT)) -> tuple[StoredVideo, FakeFiles]:
    files = FakeFiles()
    files.put("c1", [CONTENT])
    return StoredVideo(files, conversion(video=Video(bytes=size, sha256=sha256))), files


def test_all_parts_are_the_video():
    video, _ = stored_video()

    assert b"".join(video.parts()) == CONTENT


@pytest.mark.parametrize(
    ("start", "end"), [(0, 10), (CHUNK_BYTES - 1, CHUNK_BYTES + 1), (len(CONTENT) - 1, len(CONTENT) + 100), (5, 5)]
)
def test_a_piece_of_it_can_be_read(start, end):
    """The end of a header may be asked for where there is none."""
    video, _ = stored_video()

    assert video.read(start, end) == CONTENT[start:end]


def test_whoever_reads_it_whole_learns_its_sha256():
    """Of a video that came in slices nobody has seen the whole before."""
    video, _ = stored_video()
    assert video.sha256 is None

    for _ in video.parts():
        assert video.sha256 is None

    assert video.sha256 == SHA256


def test_a_sha256_that_is_known_stays():
    video, _ = stored_video(sha256="known")

    assert sum(map(len, video.parts())) == len(CONTENT)

    assert video.sha256 == "known"


def test_half_a_reading_tells_no_sha256():
    """The probe reads the beginning only."""
    video, _ = stored_video()

    next(video.parts())

    assert video.sha256 is None


@pytest.mark.parametrize("size", [len(CONTENT) - 1, len(CONTENT) + 1])
def test_another_size_than_was_taken_in_is_damage(size):
    video, _ = stored_video(size=size)

    with pytest.raises(FileDamaged):
        list(video.parts())

    assert video.sha256 is None


def test_damage_is_raised_in_place_of_the_damaged_part():
    video, files = stored_video()
    files.contents["c1"] = CONTENT[: 2 * CHUNK_BYTES] + b"x" + CONTENT[2 * CHUNK_BYTES + 1 :]
    parts = video.parts()

    assert next(parts) + next(parts) == CONTENT[: 2 * CHUNK_BYTES]
    with pytest.raises(FileDamaged):
        next(parts)


def test_a_video_that_is_gone_is_missing():
    video, files = stored_video()
    files.delete("c1")

    with pytest.raises(FileMissing):
        video.read(0, 10)
    with pytest.raises(FileMissing):
        next(video.parts())
