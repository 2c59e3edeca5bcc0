"""Where each piece of sound lies in the video's time."""

from collections.abc import Iterable, Sequence
from itertools import accumulate

import pytest
from hypothesis import given
from hypothesis import strategies as st

from functions.convert.sound.timeline import Covered, Filled, Gap, Piece, Step, Timeline

RATE = 48_000
PIECE = 1024
MOST_DRIFT = RATE // 20

lengths = st.integers(1, RATE)
anything = st.lists(st.builds(Piece, st.integers(-RATE, 100 * RATE), lengths), max_size=60)
# Pieces in their order, each of which begins where the last one ends or later.
in_order = st.lists(st.tuples(st.one_of(st.just(0), st.integers(0, 2 * RATE)), lengths), max_size=60)


def laid_out(pieces: Iterable[Piece], timeline: Timeline | None = None) -> tuple[Timeline, list[Step]]:
    timeline = timeline or Timeline(RATE)
    return timeline, list(timeline.steps(pieces))


def seconds(number: float) -> int:
    return round(number * RATE)


def row(start: int, count: int, length: int = PIECE, stamp: int | None = None) -> list[Piece]:
    """Return pieces in a row whose time stamps are `stamp` apart, or follow each other."""
    return [Piece(start + number * (stamp or length), length) for number in range(count)]


def after_gaps(spaced: Sequence[tuple[int, int]]) -> list[Piece]:
    """Return a piece for each gap and length."""
    ends = accumulate(spaced, lambda end, each: end + sum(each), initial=0)
    return [Piece(end + gap, length) for end, (gap, length) in zip(ends, spaced, strict=False)]


def positions(steps: Sequence[Step]) -> list[int]:
    """Return where the sound of each step begins."""
    ends = accumulate(steps, lambda end, step: end + sum(step), initial=0)
    return [end + step.silence for end, step in zip(ends, steps, strict=False)]


@given(anything, st.booleans(), st.booleans())
def test_no_sound_is_dropped_whatever_its_time_stamps_say(pieces, follows_clock, may_wait):
    """Time stamps can be nonsense; what was recorded is kept in its order."""
    timeline, steps = laid_out(pieces, Timeline(RATE, follows_clock=follows_clock, may_wait=may_wait))

    assert [step.sound for step in steps] == [piece.length for piece in pieces]
    assert all(step.silence >= 0 for step in steps)
    assert timeline.length == sum(map(sum, steps))


@given(anything)
def test_all_silence_is_accounted_for(pieces):
    """What the person is told is added up from the gaps and the late start."""
    timeline, steps = laid_out(pieces)

    filled = timeline.late_start + sum(gap.end - gap.start for gap, _ in timeline.gaps)
    assert filled == sum(step.silence for step in steps)


@given(anything)
def test_each_gap_tells_where_its_silence_is(pieces):
    """A person may want a part of the sound, so it matters in which part a gap lies."""
    timeline, steps = laid_out(pieces)
    begins = [position - step.silence for position, step in zip(positions(steps), steps, strict=True) if step.silence]

    assert [at for _, at in timeline.gaps] == begins[1 if timeline.late_start else 0 :]


@given(in_order)
def test_sound_is_never_off_its_picture_by_more_than_people_bear(spaced):
    """Gaps too small to be one add up, until the sound would be seen to be early: 50 ms."""
    # Shorter pieces are joined to one of 4 ms.
    pieces = after_gaps([(gap, max(length, RATE // 250)) for gap, length in spaced])
    _, steps = laid_out(pieces)

    early = [piece.start - position for piece, position in zip(pieces, positions(steps), strict=True)]
    assert all(0 <= each < MOST_DRIFT for each in early)


@given(in_order)
def test_sound_ends_when_its_last_piece_does(spaced):
    """The end is told from time stamps, and compared with what the container promises."""
    pieces = after_gaps(spaced)
    timeline, _ = laid_out(pieces)

    assert timeline.end == (pieces[-1].start + pieces[-1].length if pieces else 0)


@given(st.lists(lengths, max_size=60), st.booleans())
def test_sound_without_gaps_is_left_alone(sizes, follows_clock):
    """Most recordings have none, and get into the MP3 sample by sample."""
    timeline, steps = laid_out(after_gaps([(0, size) for size in sizes]), Timeline(RATE, follows_clock=follows_clock))

    assert not any(step.silence for step in steps)
    assert (timeline.gaps, timeline.late_start) == ([], 0)


@pytest.mark.parametrize("missing_s", [0.03, 0.3, 2.0, 3600.0])
def test_a_gap_is_filled_where_it_is(missing_s):
    """What comes behind a gap stays beside its pictures."""
    behind = 50 * PIECE + seconds(missing_s)
    timeline, steps = laid_out([*row(0, 50), *row(behind, 50)])

    assert [(number, step.silence) for number, step in enumerate(steps) if step.silence] == [(50, seconds(missing_s))]
    assert timeline.gaps == [Filled(Gap(50 * PIECE, behind), 50 * PIECE)]
    assert timeline.late_start == 0


@pytest.mark.parametrize("length", [480, 960, 1024, 1152, 1536, 2048, 4608])
def test_one_lost_piece_is_filled(length):
    """One lost packet makes all that follows early, and a hundred of them make it seconds early."""
    timeline, _ = laid_out([*row(0, 30, length), *row(31 * length, 30, length)])

    assert timeline.gaps == [Filled(Gap(30 * length, 31 * length), 30 * length)]


def test_many_lost_pieces_are_filled_one_by_one():
    """A slow computer loses a packet now and then."""
    pieces = [piece for number, piece in enumerate(row(0, 2000)) if number % 20 != 19 or number == 1999]
    timeline, _ = laid_out(pieces)

    assert len(timeline.gaps) == 99
    assert timeline.length == 2000 * PIECE


def test_a_gap_between_big_pieces_is_filled():
    """Some containers keep half a second of sound in a piece."""
    half = seconds(0.5)
    timeline, _ = laid_out([Piece(0, half), Piece(half + seconds(0.3), half)])

    assert timeline.gaps == [Filled(Gap(half, half + seconds(0.3)), half)]


def test_the_rounding_of_time_stamps_is_no_gap():
    """FLV and Matroska count in milliseconds."""
    pieces = [Piece(number * PIECE * 1000 // RATE * RATE // 1000, PIECE) for number in range(2000)]
    timeline, _ = laid_out(pieces)

    assert timeline.gaps == []


@pytest.mark.parametrize("jitter_s", [0.005, 0.02, 0.08])
def test_jitter_is_no_gap(jitter_s):
    """Recorders of live streams stamp packets when they come, which is late at times; nothing is missing."""
    pieces = [
        piece._replace(start=piece.start + (seconds(jitter_s) if number % 7 == 3 else 0))
        for number, piece in enumerate(row(0, 500))
    ]
    timeline, _ = laid_out(pieces)

    assert timeline.gaps == []


def test_a_clock_that_drifts_is_followed():
    """The sound card of a long recording runs slow: without help the sound would end seconds before the pictures."""
    pieces = row(0, 20_000, stamp=PIECE + 1)
    timeline, steps = laid_out(pieces)

    assert timeline.gaps
    assert pieces[-1].start - positions(steps)[-1] < MOST_DRIFT
    assert max(step.silence for step in steps) <= MOST_DRIFT + PIECE


def test_time_stamps_that_are_counted_from_packets_are_no_clock():
    """Those of an MP3 are rounded by its own average, and drift for no reason."""
    timeline, _ = laid_out(row(0, 20_000, stamp=PIECE + 1), Timeline(RATE, follows_clock=False))

    assert timeline.gaps == []


def test_overlapping_sound_is_kept_and_no_gap_is_seen_until_time_has_caught_up():
    """Where time goes back, as at a splice, nothing may be cut out, and nothing put in."""
    timeline, steps = laid_out([*row(0, 100), *row(90 * PIECE, 100)])

    assert not any(step.silence for step in steps)
    assert timeline.length == 200 * PIECE
    assert timeline.end == 190 * PIECE


def test_sound_that_starts_late_waits_for_its_pictures():
    """The microphone was plugged in after the camera had started."""
    timeline, steps = laid_out(row(seconds(4), 100))

    assert steps[0] == Step(seconds(4), PIECE)
    assert timeline.late_start == seconds(4)
    assert timeline.gaps == []


@pytest.mark.parametrize("length", [120, 480, PIECE, 4608])
def test_a_start_that_is_hardly_late_is_none(length):
    """Sound and pictures rarely begin at the same moment, and a decoder takes a piece or two until sound comes out."""
    timeline, steps = laid_out(row(seconds(0.029), 100, length))

    assert not any(step.silence for step in steps)
    assert (timeline.gaps, timeline.late_start) == ([], 0)


def test_what_follows_a_gap_is_beside_its_picture_though_the_start_was_a_little_late():
    """What was not worth a silence at the start is part of the first one that is."""
    late, missing = seconds(0.02), seconds(0.3)
    pieces = [*row(late, 50), *row(late + 50 * PIECE + missing, 50)]
    timeline, steps = laid_out(pieces)

    assert [step.silence for step in steps if step.silence] == [late + missing]
    assert positions(steps)[50:] == [piece.start for piece in pieces[50:]]
    assert timeline.late_start == 0


@pytest.mark.parametrize("start", [-PIECE, -312])
def test_a_start_before_the_pictures_is_kept(start):
    """A codec's first samples lie before zero where its container cannot leave them out."""
    timeline, steps = laid_out(row(start, 100))

    assert not any(step.silence for step in steps)
    assert timeline.length == 100 * PIECE


def test_sound_alone_waits_for_nothing_but_its_gaps_are_filled():
    """A part of an internet radio's stream begins at any time; there is nothing that comes before it."""
    start, gap = seconds(1800), seconds(1.5)
    timeline, _ = laid_out([*row(start, 50), *row(start + 50 * PIECE + gap, 50)], Timeline(RATE, may_wait=False))

    assert timeline.late_start == 0
    assert timeline.length == 100 * PIECE + gap
    assert timeline.gaps == [Filled(Gap(start + 50 * PIECE, start + 50 * PIECE + gap), 50 * PIECE)]


def test_steps_come_before_all_pieces_are_known():
    """Sound is encoded while the rest of it is still being decoded: it must not wait for hours of it."""
    read = 0

    def pieces() -> Iterable[Piece]:
        nonlocal read
        for piece in row(0, 1000):
            read += 1
            yield piece

    next(Timeline(RATE).steps(pieces()))

    assert read <= seconds(0.1) // PIECE + 2


def with_jumps(*, is_jump: bool = True) -> tuple[Timeline, list[Gap]]:
    """Return a timeline that takes long gaps for jumps, or takes none for one, and the gaps that it asks about."""
    asked: list[Gap] = []

    def answer(gap: Gap) -> bool:
        asked.append(gap)
        return is_jump

    return Timeline(RATE, is_jump=answer), asked


@pytest.mark.parametrize("jump_s", [10, 65, 39_600])
def test_a_jump_of_time_is_no_gap(jump_s):
    """Where two recordings are joined, or a clock is set, nothing was to be heard."""
    timeline, asked = with_jumps()
    behind = 50 * PIECE + seconds(jump_s)
    _, steps = laid_out([*row(0, 50), *row(behind, 50)], timeline)

    assert not any(step.silence for step in steps)
    assert (timeline.gaps, timeline.late_start) == ([], 0)
    assert timeline.jumped == seconds(jump_s)
    assert timeline.end - timeline.jumped == timeline.length == 100 * PIECE
    assert asked == [Gap(50 * PIECE, behind)]


def test_a_long_gap_in_which_time_did_not_jump_is_filled():
    """The pictures go on while the microphone is off."""
    timeline, asked = with_jumps(is_jump=False)
    behind = 50 * PIECE + seconds(65)
    laid_out([*row(0, 50), *row(behind, 50)], timeline)

    assert timeline.gaps == [Filled(Gap(50 * PIECE, behind), 50 * PIECE)]
    assert timeline.jumped == 0
    assert asked == [timeline.gaps[0].gap]


def test_a_gap_of_less_than_ten_seconds_is_never_a_jump():
    """Sound pauses for so long in many a recording, whether there are pictures or not."""
    timeline, asked = with_jumps()
    laid_out([*row(0, 50), *row(50 * PIECE + seconds(9.9), 50)], timeline)

    assert [gap.end - gap.start for gap, _ in timeline.gaps] == [seconds(9.9)]
    assert (asked, timeline.jumped) == ([], 0)


def test_a_late_start_is_never_a_jump():
    """Nothing came before it that time could have jumped from."""
    timeline, asked = with_jumps()
    laid_out(row(seconds(65), 50), timeline)

    assert timeline.late_start == seconds(65)
    assert (asked, timeline.jumped) == ([], 0)


def test_gaps_are_filled_behind_a_jump_as_before_it():
    """The joined recording has pauses of its own, and their silence is where they are in what is made."""
    timeline, _ = with_jumps()
    first, pause = 50 * PIECE + seconds(3600), seconds(0.3)
    second = first + 50 * PIECE + pause
    laid_out([*row(0, 50), *row(first, 50), *row(second, 50)], timeline)

    assert timeline.gaps == [Filled(Gap(second - pause, second), 100 * PIECE)]
    assert timeline.length == timeline.end - timeline.jumped == 150 * PIECE + pause


def test_jumps_add_up():
    """A broadcast was recorded in several parts."""
    timeline, _ = with_jumps()
    laid_out([piece for start_s in (0, 20, 45, 4000) for piece in row(seconds(start_s), 50)], timeline)

    assert timeline.length == timeline.end - timeline.jumped == 200 * PIECE
    assert timeline.gaps == []


@given(anything)
def test_no_silence_is_as_long_as_a_jump_where_time_jumps(pieces):
    """An hour of silence for nothing is worse than any misplaced second."""
    timeline, _ = with_jumps()
    _, steps = laid_out(pieces, timeline)

    assert all(gap.end - gap.start < seconds(10) for gap, _ in timeline.gaps)
    assert timeline.length == sum(map(sum, steps))
    assert timeline.jumped >= 0


@pytest.mark.parametrize(
    ("gap", "covered", "samples"),
    [
        (Gap(10, 20), [], 0),
        (Gap(10, 20), [Gap(0, 10), Gap(20, 30)], 0),
        (Gap(10, 20), [Gap(0, 12), Gap(15, 17), Gap(19, 40)], 5),
        (Gap(10, 20), [Gap(0, 100)], 10),
        (Gap(10, 10), [Gap(0, 100)], 0),
    ],
)
def test_the_overlap_is_what_a_gap_has_in_common_with_packets(gap, covered, samples):
    """Packets in a gap could not be decoded; without any, nothing was stored."""
    assert Covered(covered).of(gap) == samples
