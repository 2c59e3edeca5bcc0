"""What ffmpeg logs about a video, read."""

import pytest

from functions.convert.media import read_description

LOG = """Input #0, mov,mp4,m4a,3gp,3g2,mj2, from 'fd:':
  Metadata:
    title           : A
                    : Duration: 99:00:00.00
  Duration: 01:02:03.50, start: 0.000000, bitrate: 1 kb/s
  Stream #0:0[0x1](und): Video: h264 (High) (avc1 / 0x31637661), none, 320x240, 25 fps (default)
  Stream #0:1[0x2](und): Audio: aac (LC) (mp4a / 0x6134706D), 48000 Hz, 5.1(side), fltp, 341 kb/s (default)
"""


def test_duration_rate_and_channels_are_read():
    """They decide what is proved, resampled and mixed down."""
    found = read_description(LOG, "")

    assert found is not None
    assert (found.duration_s, found.sample_rate_hz, found.channels) == (3723.5, 48_000, 6)


def test_no_soundtrack_is_seen():
    assert read_description(LOG.replace("Audio", "Subtitle"), "") is None


def test_a_guessed_duration_counts_as_none():
    """Ffmpeg guesses from the bit rate where a container says nothing; that proves nothing."""
    found = read_description("Estimating duration from bitrate, this may be inaccurate\n" + LOG, "")

    assert found is not None
    assert found.duration_s is None


@pytest.mark.parametrize(
    ("layout", "channels"), [("mono", 1), ("stereo", 2), ("7.1", 8), ("2.1", 3), ("3 channels", 3), ("odd", None)]
)
def test_channel_layouts_are_counted(layout, channels):
    found = read_description(LOG.replace("5.1(side)", layout), "")

    assert found is not None
    assert found.channels == channels


def test_metadata_is_unescaped():
    """An escape is a backslash before the character; the container's own tags win over the track's."""
    text = ";FFMETADATA1\ntitle=a\\; b \\= c\ncomment=two\\\nlines\n[STREAM]\nTITLE=track\nartist=Zoë\n"

    found = read_description(LOG, text)

    assert found is not None
    assert found.metadata == {"title": "a; b = c", "comment": "two\nlines", "artist": "Zoë"}
