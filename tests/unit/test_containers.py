"""Whether a file is whole, asked of its container. The videos are made by ffmpeg."""

import io

import pytest

from functions.convert.containers import has_encrypted_sound, is_cut_off
from functions.convert.failures import InvalidMedia

# Containers that say how long they are. MPEG-TS does not: a piece of a stream is a stream.
TELLING = ["mp4 moov last", "mp4 moov first", "mkv", "webm opus", "avi", "mov", "wmv", "ogv", "3gp"]


@pytest.mark.parametrize("name", [*TELLING, "mp4 fragmented", "flv", "mpeg-ts"])
def test_a_whole_file_is_whole(media, name):
    """A false alarm would refuse a good video."""
    content = media.video(name).read_bytes()

    assert not is_cut_off(io.BytesIO(content), len(content))


@pytest.mark.parametrize("name", TELLING)
@pytest.mark.parametrize("lost", [1, 7, 1000, 0.1, 0.5, 0.9])
def test_a_file_without_its_end_is_cut_off(media, name, lost):
    """Even one byte: ffmpeg would end such a file with success."""
    content = media.video(name).read_bytes()
    kept = content[: -int(lost if lost >= 1 else lost * len(content))]

    assert is_cut_off(io.BytesIO(kept), len(kept))


def test_an_flv_that_ends_within_a_tag_is_cut_off(media):
    """FLV tells no length, but each tag is followed by its own."""
    content = media.video("flv").read_bytes()[:-1000]

    assert is_cut_off(io.BytesIO(content), len(content))


@pytest.mark.parametrize(
    "content", [b"", b"\x00", b"RIFF", b"FLV", b"OggS", b"\x1a\x45\xdf\xa3", b"\x00\x00\x00\x08ftyp"]
)
def test_a_few_bytes_raise_nothing(content):
    """The smallest uploads must get an answer, too."""
    assert is_cut_off(io.BytesIO(content), len(content)) in (True, False)


def test_encrypted_sound_is_seen(media):
    """An encrypted soundtrack decodes to errors; the person should be told the reason."""
    for name, expected in (("encrypted", True), ("mp4 moov last", False), ("mkv", False)):
        content = media.video(name).read_bytes()
        assert has_encrypted_sound(io.BytesIO(content), len(content)) is expected


def test_padding_after_the_last_box_is_no_cut(media):
    """Some recorders fill up with zeros."""
    for padding in (3, 4, 100):
        content = media.video("mp4 moov last").read_bytes() + bytes(padding)
        assert not is_cut_off(io.BytesIO(content), len(content))


def test_a_file_of_nothing_but_tiny_boxes_is_refused_soon():
    """A walk past millions of boxes would hold the worker, and its lease would end."""
    content = b"\0\0\0\x08ftyp" + b"\0\0\0\x08free" * 300_000

    with pytest.raises(InvalidMedia):
        is_cut_off(io.BytesIO(content), len(content))


def test_encryption_is_found_across_blocks():
    """The index of a long video is read in blocks."""
    index = b"x" * (1024 * 1024 - 10) + b"enca" + b"x" * 100
    content = b"\0\0\0\x08ftyp" + (len(index) + 8).to_bytes(4, "big") + b"moov" + index

    assert has_encrypted_sound(io.BytesIO(content), len(content))
