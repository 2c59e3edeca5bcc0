"""How much may be missing, and what the person is told of it."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import cast

import pytest

from functions.convert.failures import CorruptMedia, NoAudioTrack, TruncatedMedia
from functions.convert.sound import whole
from functions.convert.sound.decoder import Decoder, Packets
from functions.convert.sound.filters import Form
from functions.convert.sound.timeline import Piece, Timeline
from functions.convert.sound.whole import Missing
from functions.shared.options import Damaged, Options

RATE = 48_000
FORM = Form(RATE, 2)
PIECE_S = 0.02
NOTHING = Missing((), 0.0, 0.0)


@dataclass
class Decoded:
    """What a Decoder knows in the end: when sound came out of it, and when packets went in."""

    sound: Sequence[tuple[float, float]] = ()
    stored: Sequence[tuple[float, float]] = ()
    is_done: bool = False
    timeline: Timeline = field(default_factory=lambda: Timeline(RATE))
    packets: Packets = field(default_factory=lambda: Packets(RATE))

    def __post_init__(self) -> None:
        for _ in self.timeline.steps(Piece(start, end - start) for start, end in _pieces(self.sound)):
            pass
        lines = [f"0, {start}, {start}, {end - start}, 100, 0x00000000" for start, end in _pieces(self.stored)]
        self.packets.read([b"#tb 0: 1/48000", *(line.encode() for line in lines)])

    @property
    def decoder(self) -> Decoder:
        return cast("Decoder", self)


def _pieces(stretches: Iterable[tuple[float, float]]) -> Iterable[tuple[int, int]]:
    """Yield where each piece of some stretches begins and ends, in samples."""
    for start_s, end_s in stretches:
        for number in range(round((end_s - start_s) / PIECE_S)):
            yield round((start_s + number * PIECE_S) * RATE), round((start_s + (number + 1) * PIECE_S) * RATE)


def missing(*sound: tuple[float, float], stored: Sequence[tuple[float, float]], has_clock: bool = True) -> Missing:
    found = whole.missing(Decoded(sound, stored).decoder, RATE, has_clock=has_clock)
    return Missing(
        tuple(round(pause, 3) for pause in found.pauses), round(found.damage_s, 3), round(found.longest_damage_s, 3)
    )


def told(found: Missing, whole_s: float, options: Options | None = None) -> list[str]:
    return [note.code for note in whole.judge(found, whole_s, options or Options())]


def test_nothing_is_missing_from_sound_without_gaps():
    assert missing((0, 10), stored=[(0, 10)]).is_nothing


def test_a_gap_in_which_nothing_was_stored_is_a_pause():
    """A muted microphone sends no packets: that is how the recording is, and no damage."""
    assert missing((0, 4), (7, 10), stored=[(0, 4), (7, 10)]) == Missing((3.0,), 0, 0)


def test_a_gap_in_which_packets_are_is_damage():
    """They were recorded, and cannot be decoded."""
    assert missing((0, 4), (7, 10), stored=[(0, 10)]) == Missing((), 3.0, 3.0)


def test_a_gap_can_be_both():
    """A bad card loses packets, and spoils those around them."""
    assert missing((0, 4), (7, 10), stored=[(0, 5), (7, 10)]) == Missing((2.0,), 1.0, 1.0)


def test_the_longest_stretch_of_damage_is_known():
    """Of ten seconds in one place a person misses more than of ten in a hundred places."""
    found = missing((0, 1), (2, 5), (8, 9), (9.5, 12), stored=[(0, 12)])

    assert found == Missing((), 4.5, 3.0)


@pytest.mark.parametrize(("lost_s", "damage_s"), [(0.04, 0.0), (0.06, 0.06)])
def test_a_codec_may_need_a_moment_behind_a_gap(lost_s, damage_s):
    """Codecs that refer to what came before are silent for a packet or two behind a pause."""
    found = missing((0, 4), (7 + lost_s, 10), stored=[(0, 4), (7, 10)])

    assert found.damage_s == pytest.approx(damage_s)
    assert sum(found.pauses) + found.damage_s == pytest.approx(3 + lost_s)


def test_a_late_start_is_neither_a_pause_nor_damage():
    """The microphone was switched on later. It is told in words of its own."""
    assert missing((4, 10), stored=[(4, 10)]).is_nothing


def test_packets_before_the_first_sound_are_damage():
    """The start of the recording cannot be decoded."""
    assert missing((4, 10), stored=[(0, 10)]) == Missing((), 4.0, 4.0)


def test_packets_behind_the_last_sound_are_damage():
    """The end of the recording cannot be decoded, and no gap shows it."""
    assert missing((0, 8), stored=[(0, 10)]) == Missing((), 2.0, 2.0)


def test_what_a_codec_keeps_back_at_the_end_is_no_damage():
    """The padding of the last packets is no sound."""
    assert missing((0, 9.9), stored=[(0, 10)]).is_nothing


def test_packets_behind_the_part_that_is_wanted_are_no_damage():
    """The person asked for the first eight seconds."""
    assert whole.missing(Decoded([(0, 8)], [(0, 10)], is_done=True).decoder, RATE, has_clock=True).is_nothing


def test_there_are_no_pauses_without_a_clock():
    """The time stamps of an MP3 are counted from its frames, and jump where there is something else between them."""
    assert missing((0, 4), (7, 10), stored=[(0, 4), (7, 10)], has_clock=False).is_nothing


@pytest.mark.parametrize(
    ("reached_s", "promised_s", "is_short"),
    [(10, None, False), (10, 10, False), (12, 10, False), (9.86, 10, False), (9.84, 10, True), (3599.84, 3600, True)],
)
def test_a_promise_is_missed_by_a_fixed_time(reached_s, promised_s, is_short):
    """A share of the whole would be a minute of an hour."""
    assert whole.falls_short(reached_s, promised_s) is is_short


def test_bytes_between_packets_are_sound_that_was_not_understood():
    """A stream without a container has nothing else in it: a third that is no packet was a third of the sound."""
    packets = Decoded(stored=[(0, 20)]).packets

    assert whole.unread_s(packets.bytes * 3 // 2, packets, RATE) == pytest.approx(10)


@pytest.mark.parametrize(("size", "other"), [(100_000, 9_000), (10_000_000, 100_000)])
def test_tags_and_padding_are_no_sound(size, other):
    """An MP3 has a tag at its end, and a broadcast some padding."""
    packets = Packets(RATE)
    packets.read([b"#tb 0: 1/48000", f"0, 0, 0, 48000, {size}, 0x00000000".encode()])

    assert whole.unread_s(size + other, packets, RATE) == 0


def test_nothing_is_known_of_bytes_without_any_packet():
    assert whole.unread_s(1_000_000, Packets(RATE), RATE) == 0


def test_sound_that_comes_out_is_no_reason():
    whole.check_sound(Decoded([(0, 1)], [(0, 1)]).decoder, FORM)


@pytest.mark.parametrize(
    ("decoded", "reason"),
    [
        pytest.param(Decoded(), TruncatedMedia, id="no packets"),
        pytest.param(Decoded(stored=[(0, 10)]), CorruptMedia, id="nothing decoded"),
    ],
)
def test_the_reason_for_no_sound_is_what_was_seen(decoded, reason):
    """A track that is listed and empty was cut off; one that is full and silent is damaged."""
    with pytest.raises(reason):
        whole.check_sound(decoded.decoder, FORM)


def test_a_few_samples_are_no_sound():
    """Nobody hears less than a hundredth of a second."""
    decoded = Decoded(stored=[(0, 1)])
    list(decoded.timeline.steps([Piece(0, RATE // 101)]))

    with pytest.raises(NoAudioTrack):
        whole.check_sound(decoded.decoder, FORM)


def test_nothing_is_told_where_nothing_is_missing():
    assert told(NOTHING, 10) == []


@pytest.mark.parametrize(
    ("damage_s", "longest_s", "whole_s"),
    [
        pytest.param(1.05, 1.05, 10, id="a tenth"),
        pytest.param(300, 9.9, 3600, id="many short stretches of an hour"),
        pytest.param(0.1, 0.1, 0.2, id="as little as nobody hears"),
    ],
)
def test_a_little_damage_is_told(damage_s, longest_s, whole_s):
    """The recording is worth having."""
    assert told(Missing((), damage_s, longest_s), whole_s) == ["damaged"]


@pytest.mark.parametrize(
    ("damage_s", "longest_s", "whole_s"),
    [
        pytest.param(1.2, 0.2, 10, id="more than a tenth"),
        pytest.param(10, 10, 3600, id="ten seconds at a stretch"),
        pytest.param(400, 5, 3600, id="more than a tenth of an hour"),
    ],
)
def test_much_damage_is_refused_unless_the_person_accepts_it(damage_s, longest_s, whole_s):
    """They expect a whole recording, and may have another copy."""
    found = Missing((), damage_s, longest_s)

    with pytest.raises(CorruptMedia, match="damaged=accept"):
        told(found, whole_s)
    assert told(found, whole_s, Options(damaged=Damaged.ACCEPT)) == ["damaged"]


def test_pauses_are_never_too_long():
    """A microphone was muted for an hour, and that is what was recorded."""
    assert told(Missing((3000.0,), 0, 0), 3600) == ["gaps-filled"]


def test_damage_and_pauses_are_both_told():
    assert told(Missing((2.0,), 0.5, 0.5), 60) == ["damaged", "gaps-filled"]


@pytest.mark.parametrize(
    ("pauses", "places", "length"),
    [((2.0,), "one place", "2.0 s"), ((0.2, 0.3), "2 places", "0.5 s"), ((60.0, 65.4), "2 places", "2 min 5 s")],
)
def test_the_person_learns_how_much_silence_was_put_in(pauses, places, length):
    """They can tell whether that is what they remember."""
    [note] = whole.judge(Missing(pauses, 0, 0), 3600, Options())

    assert f"in {places}" in note.detail
    assert f" {length} in all" in note.detail


def test_damage_in_several_stretches_adds_up():
    """What ought to follow the end is one more."""
    found = Missing((1.0,), 0.5, 0.5).with_damage(2.0).with_damage(1.0)

    assert found == Missing((1.0,), 3.5, 2.0)


@pytest.mark.parametrize(("late_s", "codes"), [(0.08, []), (0.1, ["sound-starts-late"]), (60, ["sound-starts-late"])])
def test_a_late_start_is_told_if_somebody_notices_it(late_s, codes):
    """Silence at the start of an MP3 looks like a fault."""
    decoder = Decoded([(late_s, late_s + 1)]).decoder

    assert [note.code for note in whole.about_the_start(decoder, FORM, Options())] == codes


def test_a_late_start_is_not_told_where_the_mp3_starts_later():
    """The person asked for what comes behind it."""
    decoder = Decoded([(5, 10)]).decoder

    assert not list(whole.about_the_start(decoder, FORM, Options(start=6.0)))


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0.44, "0.4 s"),
        (12, "12.0 s"),
        (59.94, "59.9 s"),
        (59.96, "1 min 0 s"),
        (60, "1 min 0 s"),
        (125.4, "2 min 5 s"),
        (3725, "1 h 2 min 5 s"),
    ],
)
def test_lengths_are_written_as_people_do(seconds, words):
    assert whole.spoken(seconds) == words
