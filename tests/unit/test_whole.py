"""How much may be missing, and what the person is told of it."""

import sys
from collections.abc import Iterable, Sequence

import pytest

from functions.convert.failures import CorruptMedia, NoAudioTrack, NothingDecodable, TruncatedMedia
from functions.convert.media.probe import Description
from functions.convert.media.tracks import Choice
from functions.convert.sound import whole
from functions.convert.sound.decoder import Decoder, Part
from functions.convert.sound.filters import Form
from functions.convert.sound.timeline import Piece
from functions.convert.sound.whole import NOTHING, Missing
from functions.shared.conversions import Track
from functions.shared.options import Damaged, Options

RATE = 48_000
FORM = Form(RATE, 2)
PIECE_S = 0.02


TRACK = Track(
    number=1,
    codec="aac",
    channels=2,
    sample_rate_hz=RATE,
    language=None,
    title=None,
    default=True,
    role=None,
    usable=True,
)
VIDEO = Description(
    kind="matroska",
    tracks=(TRACK,),
    layouts=("stereo",),
    specifiers=("0:a:0",),
    tags={},
    track_tags=({},),
    chapters=(),
    has_pictures=True,
    attached_pictures=0,
    input_arguments=(),
)


class Decoded(Decoder):
    """Is told when sound came out and when packets went in, in seconds, and which part of it is wanted."""

    def __init__(
        self,
        sound: Sequence[tuple[float, float]] = (),
        stored: Sequence[tuple[float, float]] = (),
        start_s: float = 0,
        end_s: float | None = None,
    ) -> None:
        part = Part(round(start_s * RATE), None if end_s is None else round(end_s * RATE))
        super().__init__(Choice((TRACK,)), VIDEO, FORM, part)
        for _ in self.timeline.steps(Piece(start, end - start) for start, end in _pieces(sound)):
            pass
        lines = [f"0, {start}, {start}, {end - start}, 100, 0x00000000" for start, end in _pieces(stored)]
        self.packets.read([b"#tb 0: 1/48000", *(line.encode() for line in lines)])
        self.written = max(min(self.timeline.length, part.end or sys.maxsize) - part.start, 0)
        self._is_done = part.end is not None and self.timeline.length >= part.end


def _pieces(stretches: Iterable[tuple[float, float]]) -> Iterable[tuple[int, int]]:
    """Yield where each piece of some stretches begins and ends, in samples."""
    for start_s, end_s in stretches:
        for number in range(round((end_s - start_s) / PIECE_S)):
            yield round((start_s + number * PIECE_S) * RATE), round((start_s + (number + 1) * PIECE_S) * RATE)


def missing(*sound: tuple[float, float], stored: Sequence[tuple[float, float]], has_clock: bool = True) -> Missing:
    return rounded(whole.missing(Decoded(sound, stored), RATE, has_clock=has_clock))


def missing_from(start_s: float, end_s: float | None, *sound: tuple[float, float], stored_s: float) -> Missing:
    """Return what is missing from a part of sound whose packets are all there."""
    return rounded(whole.missing(Decoded(sound, [(0, stored_s)], start_s, end_s), RATE, has_clock=True))


def rounded(found: Missing) -> Missing:
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
    assert missing_from(0, 8, (0, 8), stored_s=10).is_nothing


def test_packets_behind_the_last_sound_are_damage_as_far_as_they_are_wanted():
    """Only two seconds of what cannot be decoded belong to the part, however many follow it."""
    assert missing_from(0, 10, (0, 8), stored_s=60) == Missing((), 2.0, 2.0)


@pytest.mark.parametrize(
    ("start_s", "end_s", "damage_s"), [(0, None, 3.0), (3, 5, 1.0), (0, 4, 0), (7, None, 0), (8, 10, 0)]
)
def test_damage_counts_only_in_the_part_that_is_wanted(start_s, end_s, damage_s):
    """The person gets, and is told of, what they asked for; what else is in the video may be as bad as it likes."""
    found = missing_from(start_s, end_s, (0, 4), (7, 10), stored_s=10)

    assert found == Missing((), damage_s, damage_s)


@pytest.mark.parametrize(
    ("start_s", "end_s", "pauses"), [(0, None, (3.0,)), (0, 5, (1.0,)), (6, None, (1.0,)), (0, 4, ()), (7, 10, ())]
)
def test_pauses_count_only_in_the_part_that_is_wanted(start_s, end_s, pauses):
    """They are told how much of their MP3 is silent, not how much of the video is."""
    decoded = Decoded([(0, 4), (7, 10)], [(0, 4), (7, 10)], start_s, end_s)

    assert rounded(whole.missing(decoded, RATE, has_clock=True)) == Missing(pauses, 0, 0)


@pytest.mark.parametrize("start_s", [4, 6])
def test_packets_before_the_first_sound_are_no_damage_where_only_what_follows_is_wanted(start_s):
    """The start of the recording cannot be decoded, and nobody asked for it."""
    assert missing_from(start_s, None, (4, 10), stored_s=10).is_nothing


@pytest.mark.parametrize(("pause_s", "is_one"), [(0.06, True), (0.02, True), (0.0, False)])
def test_a_pause_is_known_however_short(pause_s, is_one):
    """One lost packet is a fiftieth of a second, and many of them are heard."""
    found = missing((0, 4), (4 + pause_s, 8), stored=[(0, 4), (4 + pause_s, 8)])

    assert found == Missing((pause_s,) if is_one else (), 0, 0)


def test_there_are_no_pauses_without_a_clock():
    """The time stamps of an MP3 are counted from its frames, and jump where there is something else between them."""
    assert missing((0, 4), (7, 10), stored=[(0, 4), (7, 10)], has_clock=False).is_nothing


@pytest.mark.parametrize("kind", ["mp4", "matroska", ""])
@pytest.mark.parametrize(
    ("reached_s", "promised_s", "is_short"),
    [(10, None, False), (10, 10, False), (12, 10, False), (9.86, 10, False), (9.84, 10, True), (3599.84, 3600, True)],
)
def test_a_promise_is_missed_by_a_fixed_time(reached_s, promised_s, kind, is_short):
    """A share of the whole would be a minute of an hour."""
    assert whole.falls_short(reached_s, promised_s, kind) is is_short


@pytest.mark.parametrize("kind", ["mp3", "ogg"])
@pytest.mark.parametrize(
    ("reached_s", "promised_s", "is_short"),
    [(10, None, False), (9.96, 10, False), (9.94, 10, True), (3599.94, 3600, True)],
)
def test_a_promise_to_the_sample_is_missed_sooner(reached_s, promised_s, kind, is_short):
    """An MP3 counts its frames, and the last page of an Ogg its samples: no more than one piece of sound is rounded."""
    assert whole.falls_short(reached_s, promised_s, kind) is is_short


def test_sound_that_comes_out_is_no_reason():
    whole.check_sound(Decoded([(0, 1)], [(0, 1)]), FORM)


@pytest.mark.parametrize(
    ("decoded", "reason"),
    [
        pytest.param(Decoded(), TruncatedMedia, id="no packets"),
        pytest.param(Decoded(stored=[(0, 10)]), NothingDecodable, id="nothing decoded"),
    ],
)
def test_the_reason_for_no_sound_is_what_was_seen(decoded, reason):
    """A track that is listed and empty was cut off; one that is full and silent is damaged."""
    with pytest.raises(reason):
        whole.check_sound(decoded, FORM)


def test_a_few_samples_are_no_sound():
    """Nobody hears less than a hundredth of a second."""
    decoded = Decoded(stored=[(0, 1)])
    list(decoded.timeline.steps([Piece(0, RATE // 101)]))

    with pytest.raises(NoAudioTrack):
        whole.check_sound(decoded, FORM)


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


def test_what_is_missing_from_several_soundtracks_is_not_missing_twice():
    """They sound together: a second that is damaged in all of them is one second of what is made."""
    one, other = Missing((1.0,), 3.0, 2.0), Missing((0.5, 2.0), 2.5, 2.5)

    assert one.and_of(other) == Missing((1.0, 0.5, 2.0), 3.0, 2.5)
    assert one.and_of(NOTHING) == NOTHING.and_of(one) == one


@pytest.mark.parametrize(("late_s", "codes"), [(0.08, []), (0.1, ["sound-starts-late"]), (60, ["sound-starts-late"])])
def test_a_late_start_is_told_if_somebody_notices_it(late_s, codes):
    """Silence at the start of an MP3 looks like a fault."""
    decoder = Decoded([(late_s, late_s + 1)])

    assert [note.code for note in whole.about_the_start(decoder, RATE)] == codes


@pytest.mark.parametrize("start_s", [4.95, 5, 6])
def test_a_late_start_is_not_told_where_the_mp3_starts_later(start_s):
    """The person asked for what comes behind it."""
    decoder = Decoded([(5, 10)], start_s=start_s)

    assert not list(whole.about_the_start(decoder, RATE))


def test_the_person_learns_how_long_the_mp3_is_silent_at_its_start():
    """It counts from where the MP3 starts, not from where the video does."""
    [note] = whole.about_the_start(Decoded([(5, 10)], start_s=2), RATE)

    assert " for the first 3.0 s." in note.detail


def test_a_part_that_ends_before_the_sound_starts_is_told_to_be_silent():
    """The person looks for a mistake in the times that they chose."""
    [note] = whole.about_the_start(Decoded([(60, 70)], start_s=10, end_s=30), RATE)

    assert note.code == "sound-starts-late"
    assert "so the MP3 is silent." in note.detail


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
