"""A conversion that was completed and one that has failed, for tests of what comes after."""

from functions.shared.conversions import Failure, Mp3, State, Video
from tests.conversions import NOW, conversion

COMPLETED = conversion(
    state=State.COMPLETED,
    progress=1.0,
    filename="holiday.mp4",
    video=Video(bytes=1_000_000, sha256="0" * 64, duration_s=725.4),
    mp3=Mp3(
        bytes=14_200_000, sha256="1" * 64, duration_s=725.4, bit_rate_bps=156_600, sample_rate_hz=44_100, channels=2
    ),
    attempts=1,
    completed_at=NOW,
)

FAILED = conversion(
    state=State.FAILED,
    filename="holiday.mp4",
    error=Failure(
        type="no-audio-track",
        title="The video has no sound",
        detail="The video has no soundtrack, or an empty one, so there is nothing to make an MP3 of.",
    ),
    attempts=1,
    completed_at=NOW,
)
