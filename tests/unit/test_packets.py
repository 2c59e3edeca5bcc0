"""What is known of the packets of a soundtrack while they are being listed."""

import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TypeVar

import pytest
from hypothesis import given
from hypothesis import strategies as st

from functions.convert.media.listing import Packet
from functions.convert.sound.decoder import Packets
from functions.convert.sound.timeline import Gap

RATE = 48_000
LENGTH = 1024
SOUND, PICTURES = 0, 1
# Nothing takes so long, unless it waits for what never comes.
LONG_S = 60.0

Result = TypeVar("Result")


def packet(start: int, length: int = LENGTH, stream: int = SOUND, tick_s: float = 1 / RATE, size: int = 100) -> Packet:
    return Packet(stream, start, length, size, b"0x00000000", tick_s)


def row(start: int, count: int, length: int = LENGTH) -> list[Packet]:
    """Return packets of sound that follow each other."""
    return [packet(start + number * length, length) for number in range(count)]


def frames(start_s: float, end_s: float, per_second: float) -> list[Packet]:
    """Return packets of pictures."""
    length = round(RATE / per_second)
    return [
        packet(start, length, PICTURES)
        for start in range(round(start_s * RATE), round(end_s * RATE) - length + 1, length)
    ]


def lines(found: Iterable[Packet]) -> Iterator[bytes]:
    """Yield the listing of some packets whose times are in samples."""
    yield b"#tb 0: 1/48000\n"
    yield b"#tb 1: 1/48000\n"
    for each in found:
        yield b"%d, %d, %d, %d, %d, 0x00000000\n" % (each.stream, each.pts, each.pts, each.duration, each.size)


def read(found: Iterable[Packet]) -> Packets:
    packets = Packets(RATE)
    packets.read(lines(found))
    return packets


def seconds(number: float) -> int:
    return round(number * RATE)


def lengths(stretches: Sequence[Gap]) -> list[int]:
    return [stretch.end - stretch.start for stretch in stretches]


def test_packets_and_their_bytes_are_counted():
    """An index says how many there ought to be. Pictures are none of the soundtrack's."""
    packets = read([packet(0, size=10), packet(0, stream=PICTURES, size=5000), packet(LENGTH, size=7)])

    assert (packets.count, packets.bytes) == (2, 17)


def test_nothing_is_there_without_packets():
    packets = read([])

    assert (packets.count, packets.bytes, packets.end, packets.stretches, packets.pictures) == (0, 0, 0, [], [])


@pytest.mark.parametrize("tick_s", [1 / 1000, 1 / 90_000, 1 / 14_112_000])
def test_times_are_in_samples_whatever_the_container_counts_in(tick_s):
    """They are compared with the decoded sound."""
    packets = Packets(RATE)
    for number in range(50):
        packets.add(packet(round(number * 0.02 / tick_s), round(0.02 / tick_s), tick_s=tick_s))

    assert packets.stretches == [Gap(0, seconds(1))]


def test_packets_that_touch_are_one_stretch_though_their_time_stamps_are_rounded():
    """FLV and Matroska count in milliseconds."""
    found = (number * LENGTH * 1000 // RATE for number in range(500))
    packets = read(packet(start * RATE // 1000) for start in found)

    assert len(packets.stretches) == 1


def test_a_pause_parts_two_stretches():
    """Nothing was stored in it."""
    packets = read([*row(0, 50), *row(50 * LENGTH + seconds(0.5), 50)])

    assert lengths(packets.stretches) == [50 * LENGTH] * 2
    assert packets.end == 100 * LENGTH + seconds(0.5)


def test_a_step_back_in_time_begins_another_stretch():
    """Where recordings are joined, the clock may start at zero again."""
    packets = read([*row(seconds(60), 50), *row(0, 50)])

    assert packets.stretches == [Gap(seconds(60), seconds(60) + 50 * LENGTH), Gap(0, 50 * LENGTH)]
    assert packets.end == seconds(60) + 50 * LENGTH


@pytest.mark.parametrize("before", [1, 2, 10, 15, 16, 17, 300])
def test_a_packet_that_is_said_to_last_through_a_pause_does_not_hide_it(before):
    """Some containers store no length, so ffmpeg takes the time until the next packet for it."""
    whole = row(0, before)
    pause = seconds(3)
    whole[-1] = whole[-1]._replace(duration=LENGTH + pause)
    packets = read([*whole, *row(before * LENGTH + pause, 50)])

    assert len(packets.stretches) == 2
    assert packets.stretches[0].end == pytest.approx(before * LENGTH, abs=0.1 * LENGTH + 1)
    assert packets.stretches[1] == Gap(before * LENGTH + pause, (before + 50) * LENGTH + pause)


def test_how_long_a_packet_is_shows_in_few():
    """A clip of a second is as short as a notification."""
    packets = read([*row(0, 3), packet(3 * LENGTH, seconds(5))])

    assert packets.end == pytest.approx(4 * LENGTH, abs=0.1 * LENGTH + 1)


def test_nothing_is_said_until_it_is_known_how_long_a_packet_is():
    """The very first may be the one that is said to last through a pause."""
    packets = Packets(RATE)
    for each in row(0, 15):
        packets.add(each)
    assert packets.stretches == []

    packets.add(packet(15 * LENGTH))
    assert packets.stretches == [Gap(0, 16 * LENGTH)]


def test_packets_that_are_a_little_longer_are_taken_as_they_are():
    """Lengths are rounded, too."""
    packets = read(packet(number * LENGTH, LENGTH + number % 2 * 48) for number in range(41))

    assert packets.end == 41 * LENGTH


def test_packets_without_a_length_are_where_they_are():
    """Nothing is known of them but their time stamps."""
    packets = read(packet(number * LENGTH, 0) for number in range(50))

    assert len(packets.stretches) == 1
    assert packets.end == pytest.approx(49 * LENGTH, abs=1)


@given(st.lists(st.builds(packet, st.integers(0, 10 * RATE), st.integers(0, RATE)), max_size=60))
def test_stretches_in_the_order_of_time_never_overlap(found):
    """What is missing is added up from them, and must not count twice."""
    packets = read(sorted(found, key=lambda each: each.pts))

    ends = [0, *(stretch.end for stretch in packets.stretches)]
    assert all(stretch.start <= stretch.end for stretch in packets.stretches)
    assert all(stretch.start >= end for stretch, end in zip(packets.stretches, ends, strict=False))
    assert packets.count == len(found)


@given(st.lists(st.builds(packet, st.integers(-RATE, 10 * RATE), st.integers(0, RATE), st.integers(0, 1)), max_size=60))
def test_each_packet_of_sound_begins_in_a_stretch(found):
    """Whatever order they come in, none is forgotten."""
    packets = read(found)

    starts = [each.pts for each in found if each.stream == SOUND]
    assert all(any(stretch.start <= start <= stretch.end for stretch in packets.stretches) for start in starts)


@pytest.mark.parametrize("per_second", [0.5, 1, 25, 60])
def test_pictures_go_on_however_few_there_are(per_second):
    """A camera shows what moves, a slide show a slide every two seconds."""
    packets = read(frames(0, 60, per_second))

    assert packets.pictures == [Gap(0, seconds(60))]
    assert packets.has_pictures_in(Gap(seconds(20), seconds(40)))


@pytest.mark.parametrize(
    ("pictures", "go_on"),
    [
        pytest.param([(0, 60)], True, id="all the time"),
        pytest.param([(0, 20), (40, 60)], False, id="only beside it"),
        pytest.param([(0, 31), (40, 60)], True, id="in more than half of it"),
        pytest.param([(0, 29), (40, 60)], False, id="in less than half of it"),
        pytest.param([(0, 26), (34, 60)], True, id="at both ends"),
        pytest.param([], False, id="none at all"),
    ],
)
def test_pictures_tell_a_pause_from_a_jump(pictures, go_on):
    """While a microphone is off they go on; where time jumps they jump, too."""
    packets = read([*row(0, 20), *(each for start, end in pictures for each in frames(start, end, 25))])

    assert packets.has_pictures_in(Gap(seconds(20), seconds(40))) is go_on


class Waiting(threading.Condition):
    """Says when it is waited for, and whether that takes a while. While `is_over`, nobody has the patience to wait."""

    def __init__(self) -> None:
        super().__init__()
        self.begun = threading.Event()
        self.limits_s: list[float | None] = []
        self.took_a_while: list[bool] = []
        self.is_over = False

    def wait_for(self, predicate: Callable[[], Result], timeout: float | None = None) -> Result:
        self.limits_s.append(timeout)
        self.took_a_while.append(not predicate())
        self.begun.set()
        return predicate() if self.is_over else super().wait_for(predicate, LONG_S)


@pytest.fixture
def waiting(monkeypatch: pytest.MonkeyPatch) -> Waiting:
    """What the Packets of a test wait with."""
    made = Waiting()
    monkeypatch.setattr("functions.convert.sound.decoder.threading", _Threading(made))
    return made


class _Threading:
    def __init__(self, condition: threading.Condition) -> None:
        self._condition = condition

    def Condition(self) -> threading.Condition:  # noqa: N802  # it is called so
        return self._condition


def test_pictures_that_are_not_listed_yet_are_waited_for(waiting):
    """The sound is decoded by one thread, and another one lists its packets and pictures: either may be ahead."""
    packets = Packets(RATE)
    answers: list[bool] = []
    gap = Gap(seconds(20), seconds(40))
    asking = threading.Thread(target=lambda: answers.append(packets.has_pictures_in(gap)), daemon=True)
    asking.start()
    assert waiting.begun.wait(LONG_S)

    packets.read(lines([*row(0, 20), *frames(0, 60, 25), *row(seconds(40), 20)]))
    asking.join(LONG_S)

    assert answers == [True]
    assert waiting.took_a_while == [True]


def test_what_is_listed_is_not_waited_for(waiting):
    """The first packet behind the gap shows that all pictures in it have come."""
    packets = Packets(RATE)
    for each in [*row(0, 20), *frames(0, 40, 25), packet(seconds(40))]:
        packets.add(each)

    assert packets.has_pictures_in(Gap(seconds(20), seconds(40)))
    assert waiting.took_a_while == [False]


def test_pictures_behind_a_gap_do_not_show_that_its_sound_was_listed(waiting):
    """In some containers they come seconds before the sound of the same time."""
    waiting.is_over = True
    packets = Packets(RATE)
    for each in [*row(0, 20), *frames(0, 60, 25)]:
        packets.add(each)
    packets.has_pictures_in(Gap(seconds(20), seconds(40)))

    assert waiting.took_a_while == [True]


def test_nothing_is_waited_for_when_the_listing_has_ended(waiting):
    """A gap may be the last thing in a file."""
    packets = read(frames(0, 30, 25))

    assert not packets.has_pictures_in(Gap(seconds(30), seconds(4000)))
    assert waiting.took_a_while == [False]


def test_nothing_is_waited_for_when_the_listing_has_failed(waiting):
    """The pipe broke, and nothing more will come of it."""

    def broken() -> Iterator[bytes]:
        yield from lines(row(0, 20))
        raise OSError("broken")

    packets = Packets(RATE)
    with pytest.raises(OSError, match="broken"):
        packets.read(broken())

    assert not packets.has_pictures_in(Gap(seconds(20), seconds(40)))
    assert waiting.took_a_while == [False]


def test_patience_has_an_end(waiting):
    """A listing that got stuck must not stop the sound: what is known by then decides."""
    waiting.is_over = True
    packets = Packets(RATE)
    for each in frames(0, 60, 25):
        packets.add(each)

    assert packets.has_pictures_in(Gap(seconds(20), seconds(40)))
    assert [limit_s is not None and limit_s <= 10 for limit_s in waiting.limits_s] == [True]
