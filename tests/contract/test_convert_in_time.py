"""Lambda's time runs down while the real ffmpeg works: it is ended in time, and the person is told."""

import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from functions.convert.app import create_handler
from functions.convert.encoder import FfmpegEncoder
from functions.convert.hand_off import to_hand_off
from functions.convert.heartbeat import Deadline
from functions.shared.conversions import State, Video
from tests.conversions import conversion, event
from tests.fakes.shared import FakeFiles
from tests.media import ffmpeg
from tests.rmq_events import rmq_event
from tests.unit.test_convert import World

LIMIT_S = 3.0
# LAME needs about five seconds for it.
SOUND_S = 600


class LambdaContext:
    """The context of an invocation whose time just runs down."""

    aws_request_id = "request-1"
    invoked_function_arn = "arn:aws:lambda:eu-central-1:123456789012:function:convert"

    def __init__(self) -> None:
        self._deadline = time.monotonic() + LIMIT_S

    def get_remaining_time_in_millis(self) -> int:
        return max(0, int((self._deadline - time.monotonic()) * 1000))


class SlowFiles(FakeFiles):
    """Files of which each part takes long."""

    def read(self, file_id: str, start: int = 0, end: int | None = None) -> Iterator[bytes]:
        for part in super().read(file_id, start, end):
            time.sleep(0.4)
            yield part


@pytest.mark.parametrize(
    ("ending", "videos"),
    [
        pytest.param("mkv", FakeFiles(), id="from a pipe"),
        # Ogg has no index.
        pytest.param("ogg", FakeFiles(), id="from a file"),
        pytest.param("mkv", SlowFiles(), id="while ffmpeg waits for the storage"),
    ],
)
def test_a_video_that_takes_too_long_fails_before_the_function_is_killed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ending: str, videos: FakeFiles
):
    """A function that is killed says nothing, leaves its ffmpeg, and is called again for the same."""
    monkeypatch.setattr("functions.convert.heartbeat._BEAT_S", 0.1)
    monkeypatch.setattr(Deadline, "_GIVE_UP_SHARE", 0.5)
    path = tmp_path / f"long.{ending}"
    sine = f"sine=sample_rate=48000:duration={SOUND_S},aformat=channel_layouts=stereo"
    ffmpeg("-f", "lavfi", "-i", sine, "-c:a", "flac", str(path))
    world = World()
    world.upload(conversion("long", video=Video(bytes=path.stat().st_size, sha256=None)))
    videos.put("long", [path.read_bytes()])
    world.deps = replace(world.deps, videos=videos, encoder=FfmpegEncoder(max_duration_s=2 * SOUND_S))
    (handed_off,) = to_hand_off(rmq_event("video_conversion_queue", event(conversion_id="long")))
    context = LambdaContext()

    create_handler(lambda: world.deps)(handed_off, context)

    ended = world.conversions.get("long")
    assert (ended.state, ended.error and ended.error.type) == (State.FAILED, "took-too-long")
    assert ended.attempts == 1
    assert 0 < context.get_remaining_time_in_millis() < LIMIT_S / 2 * 1000
    assert world.mp3s.contents == {}
    assert [child.name() for child in psutil.Process().children(recursive=True) if "ffmpeg" in child.name()] == []
