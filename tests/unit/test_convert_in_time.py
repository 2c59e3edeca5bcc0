"""On Lambda the remaining time just runs down. A conversion that needs more ends with a word, wherever it is then."""

import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from typing import BinaryIO

import pytest

from functions.convert.encoder import Encoded, Progress
from functions.convert.failures import Interrupted, TookTooLong
from functions.convert.heartbeat import Deadline
from functions.convert.reading import OnTracks
from functions.convert.video import Video
from functions.shared.conversions import State
from functions.shared.files import StoredFile
from functions.shared.options import Options
from tests.conversions import VIDEO
from tests.fakes.convert import FakeEncoder
from tests.fakes.shared import FakeFiles
from tests.unit.test_convert import World

LAMBDA_S = 840.0
# What is left must do for one operation of the storage to be given up, and for one to write the failure.
OPERATION_S = 10.0


class Time:
    """Time that passes when somebody takes it, and what Lambda then has left."""

    def __init__(self, given_s: float = LAMBDA_S) -> None:
        self.now = 0.0
        self.given_s = given_s
        self.moved_s = 0.0

    def monotonic(self) -> float:
        return self.now

    def remaining_s(self) -> float:
        return max(0.0, self.given_s - self.now - self.moved_s)

    def take(self, seconds: float) -> None:
        self.now += seconds


@pytest.fixture
def time(monkeypatch: pytest.MonkeyPatch) -> Time:
    time = Time()
    monkeypatch.setattr("functions.convert.heartbeat.time", time)
    return time


class SlowFiles(FakeFiles):
    """Files of which each part takes long."""

    def __init__(self, time: Time, *, part_s: float) -> None:
        super().__init__()
        self._time = time
        self._part_s = part_s

    def put(self, file_id: str, parts: Iterable[bytes]) -> StoredFile:
        return super().put(file_id, self._slowly(parts))

    def read(self, file_id: str, start: int = 0, end: int | None = None) -> Iterator[bytes]:
        return self._slowly(super().read(file_id, start, end))

    def _slowly(self, parts: Iterable[bytes]) -> Iterator[bytes]:
        for part in parts:
            self._time.take(self._part_s)
            yield part


class LookingEncoder(FakeEncoder):
    """Looks at the video in many places first, as for an index that is spread over it."""

    def encode(
        self,
        video: Video,
        mp3: BinaryIO,
        options: Options,
        on_progress: Progress,
        on_tracks: OnTracks = lambda _: None,
    ) -> Encoded:
        for position in range(1000):
            video.read(position % len(VIDEO), position % len(VIDEO) + 1)
        return super().encode(video, mp3, options, on_progress, on_tracks)


def look_slowly(world: World, time: Time) -> None:
    world.encoder = LookingEncoder()
    world.videos = SlowFiles(time, part_s=4)


def encode_slowly(world: World, time: Time) -> None:
    def work(on_progress: Progress) -> None:
        for done in range(1000):
            time.take(1.5)
            on_progress(done / 1000)

    world.encoder.then = work


def store_slowly(world: World, time: Time) -> None:
    # What is stored is the tag and the frames: two parts.
    world.mp3s = SlowFiles(time, part_s=LAMBDA_S - 15)


@pytest.mark.parametrize("work", [look_slowly, encode_slowly, store_slowly])
def test_a_conversion_that_takes_too_long_fails_with_a_word_and_leaves_time_to_write_it(
    time: Time, work: Callable[[World, Time], None]
):
    """Lambda would kill the function, and the next attempt would take as long: the person would wait for ever."""
    world = World()
    work(world, time)
    world.videos.put("c1", [VIDEO])
    world.deps = replace(world.deps, videos=world.videos, mp3s=world.mp3s, encoder=world.encoder)

    world.convert(remaining_s=time.remaining_s)

    assert world.conversion.state == State.FAILED
    assert world.conversion.error is not None
    assert world.conversion.error.type == "took-too-long"
    assert time.remaining_s() > OPERATION_S
    assert world.mp3s.contents == {}


def test_nearly_all_of_the_time_is_used(time: Time):
    """A conversion of thirteen minutes is one that Lambda can do."""
    world = World()

    def work(on_progress: Progress) -> None:
        for done in range(810):
            time.take(1)
            on_progress(done / 810)

    world.encoder.then = work

    world.convert(remaining_s=time.remaining_s)

    assert world.conversion.state == State.COMPLETED


def test_whoever_is_given_little_time_may_be_stopping(time: Time):
    """A message may be taken in the moment of the signal; took-too-long would be for ever."""
    time.given_s = 20
    deadline = Deadline(time.remaining_s)
    time.take(16)

    with pytest.raises(Interrupted):
        deadline.check()


def test_whose_function_has_little_time_in_all_took_too_long(time: Time):
    """What was handed off never begins in a host that stops. So there is no more time in the next attempt either."""
    time.given_s = 20
    deadline = Deadline(time.remaining_s, may_be_stopping=False)
    time.take(17)
    deadline.check()
    time.take(2)

    with pytest.raises(TookTooLong):
        deadline.check()


@pytest.mark.parametrize("may_be_stopping", [True, False])
def test_a_host_that_stops_earlier_than_it_said_interrupts(time: Time, *, may_be_stopping: bool):
    """The conversion is nobody's failure then. And it has until five seconds before the end."""
    deadline = Deadline(time.remaining_s, may_be_stopping=may_be_stopping)
    time.take(100)
    time.moved_s = LAMBDA_S - 100 - 25
    deadline.check()
    time.take(19)
    deadline.check()
    time.take(2)

    with pytest.raises(Interrupted):
        deadline.check()


def test_the_time_that_is_kept_back_is_small(time: Time):
    """Whatever the limit is set to."""
    for given_s in (40.0, 300.0, 840.0, 4 * 3600.0):
        time.now, time.given_s = 0, given_s
        deadline = Deadline(time.remaining_s)
        time.take(math.floor(given_s * 0.88))
        deadline.check()
