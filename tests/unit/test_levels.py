"""The gain and the ceiling that bring sound to a loudness, found with sound whose loudness can be computed."""

from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

from functions.convert.sound.filters import Form, Levels
from functions.convert.sound.lame import Loudness
from functions.convert.sound.levels import LIMITED, about_levels, find_levels, lowered
from functions.shared.options import Options, Quality

FORM = Form(48_000, 2)
TARGETS = st.floats(-23, -9)
# ffmpeg's meter shows no more, however loud the sound is.
LOUDEST_LUFS = 9.95


@dataclass
class Sound:
    """Sound of a loudness and a true peak, which a limiter changes.

    It takes away `loss` dB of the loudness for each dB by which peaks lie above its ceiling, and true peaks exceed that
    by `overshoot_db`. `tried` are the levels with which the sound was measured.
    """

    lufs: float | None
    peak_db: float | None
    loss: float = 0.1
    overshoot_db: float = 0.3
    tried: list[Levels] = field(default_factory=list)

    def measure(self, levels: Levels) -> Loudness:
        self.tried.append(levels)
        if self.lufs is None or self.peak_db is None:
            return Loudness(None, None)
        lufs, peak = self.lufs + levels.gain_db, self.peak_db + levels.gain_db
        if levels.ceiling_db is not None and peak > levels.ceiling_db:
            lufs -= self.loss * (peak - levels.ceiling_db)
            peak = levels.ceiling_db + self.overshoot_db
        return Loudness(min(lufs, LOUDEST_LUFS), peak)


def never(_levels: Levels) -> Loudness:
    raise AssertionError("measured for nothing")


def test_without_a_wanted_loudness_nothing_is_measured():
    """Measuring takes as long as encoding."""
    assert find_levels(None, never) == Levels()


def test_sound_that_is_right_is_left_alone():
    sound = Sound(-16.0, -3.0)

    assert find_levels(-16.0, sound.measure) == Levels()
    assert len(sound.tried) == 1


def test_loud_sound_is_turned_down_without_a_limiter():
    """A limiter changes the sound, so it is for what needs it."""
    sound = Sound(-8.0, 0.0)

    assert find_levels(-16.0, sound.measure) == Levels(gain_db=-8.0)
    assert len(sound.tried) == 1


def test_sound_with_room_above_its_peaks_is_turned_up_without_a_limiter():
    sound = Sound(-30.0, -20.0)

    assert find_levels(-16.0, sound.measure) == Levels(gain_db=14.0)


def test_peaks_that_would_be_clipped_are_limited():
    """Speech is quiet on average and has high peaks."""
    sound = Sound(-30.0, -6.0)
    levels = find_levels(-16.0, sound.measure)

    assert levels.ceiling_db is not None
    assert levels.gain_db > 14.0


@given(TARGETS, st.floats(-50, -5), st.floats(3, 20), st.floats(0, 0.4), st.floats(0, 1.5))
def test_the_wanted_loudness_is_reached_below_the_highest_peak(target, lufs, crest_db, loss, overshoot_db):
    """Within half an LU, and without a true peak above -1 dBTP, whatever the sound and its peaks (EBU R 128)."""
    sound = Sound(lufs, lufs + crest_db, loss, overshoot_db)
    measured = sound.measure(find_levels(target, sound.measure))

    assert measured.lufs == pytest.approx(target, abs=0.5)
    assert measured.peak_db is not None
    assert measured.peak_db <= -1.0 + 0.01


@given(TARGETS, st.floats(-50, -5), st.floats(3, 40), st.floats(0, 1.5))
def test_the_search_ends(target, lufs, crest_db, loss):
    """A loudness that cannot be had must not keep a worker busy."""
    sound = Sound(lufs, lufs + crest_db, loss)
    find_levels(target, sound.measure)

    assert len(sound.tried) <= 8


@pytest.mark.parametrize("lufs", [9.0, 10.0, 25.0, 60.0])
def test_sound_louder_than_the_meter_shows_is_brought_to_the_loudness(lufs):
    """Floats have no full scale, and some recorders write them as if there were 16 bits."""
    sound = Sound(lufs, lufs + 6.0)
    measured = sound.measure(find_levels(-16.0, sound.measure))

    assert measured.lufs == pytest.approx(-16.0, abs=0.5)
    assert measured.peak_db is not None
    assert measured.peak_db <= -1.0


def test_silence_is_left_as_it_is():
    """No gain makes it louder."""
    assert find_levels(-16.0, Sound(None, None).measure) == Levels()


def test_a_pause_for_breath_that_is_too_quiet_to_count_is_left_as_it_is():
    """Sound below the gate of EBU R 128 has a peak and no loudness."""
    assert find_levels(-16.0, lambda _: Loudness(None, -75.0)) == Levels()


@pytest.mark.parametrize("peak_db", [-20.0, 0.0, 3.0, None])
def test_what_was_not_touched_is_never_limited_afterwards(peak_db):
    """What an MP3 of ordinary sound gains at its peaks is the codec's, and in every MP3."""
    assert lowered(Levels(), Loudness(-10.0, peak_db), Options()) is None


@pytest.mark.parametrize(
    ("levels", "options", "peak_db"),
    [
        (LIMITED, Options(), -0.1),
        (LIMITED, Options(), 0.0),
        (LIMITED, Options(), None),
        (Levels(gain_db=4.0), Options(loudness=-16), -1.0),
    ],
)
def test_an_mp3_that_is_not_too_loud_is_done(levels, options, peak_db):
    assert lowered(levels, Loudness(-16.0, peak_db), options) is None


@pytest.mark.parametrize(
    ("levels", "options", "peak_db", "ceiling_db"),
    [
        pytest.param(LIMITED, Options(), 0.4, -2.0, id="limited, above full scale"),
        pytest.param(LIMITED, Options(loudness=-16), -0.5, -2.1, id="limited, above -1 dBTP"),
        pytest.param(Levels(4.0), Options(loudness=-16), -0.7, -1.9, id="gain only"),
        pytest.param(Levels(), Options(loudness=-16), -0.7, -1.9, id="already of that loudness"),
    ],
)
def test_an_mp3_that_became_too_loud_is_made_once_more_with_a_lower_ceiling(levels, options, peak_db, ceiling_db):
    """The encoder moves peaks, which shows only in what it made."""
    lower = lowered(levels, Loudness(-16.0, peak_db), options)

    assert lower is not None
    assert lower.gain_db == levels.gain_db
    assert lower.ceiling_db == pytest.approx(ceiling_db)


@pytest.mark.parametrize(
    ("levels", "lufs", "options", "codes"),
    [
        (Levels(), -10.0, Options(), []),
        (LIMITED, -10.0, Options(), ["limited"]),
        (Levels(6.0, -1.5), -16.2, Options(loudness=-16), []),
        (Levels(6.0, -1.5), -16.6, Options(loudness=-16), ["loudness-missed"]),
        (Levels(), None, Options(loudness=-16), ["loudness-missed"]),
        (Levels(), -10.0, Options(quality=Quality.CBR_320), []),
    ],
)
def test_the_person_is_told_what_was_done_to_the_loudness(levels, lufs, options, codes):
    """They asked for a loudness: that peaks are limited for it goes without saying, that it is missed does not."""
    notes = about_levels(levels, Loudness(lufs, -1.0), options, FORM, 320)

    assert [note.code for note in notes] == codes


@pytest.mark.parametrize(
    ("peak_db", "why"), [(None, "The sound is silent,"), (-75.0, "The sound is too short or too quiet to be measured,")]
)
def test_the_person_learns_why_a_loudness_could_not_be_reached(peak_db, why):
    """A whisper is not silence, and a beep is too short for a block of 400 ms (EBU R 128)."""
    [note] = about_levels(Levels(), Loudness(None, peak_db), Options(loudness=-16), FORM, 320)

    assert note.detail.startswith(why)


@pytest.mark.parametrize(
    ("quality", "is_told"), [(Quality.CBR_320, True), (Quality.CBR_128, False), (Quality.V0, False)]
)
def test_a_bit_rate_that_an_mp3_cannot_have_is_told(quality, is_told):
    """At low sample rates the highest bit rate is lower (ISO/IEC 13818-3)."""
    notes = list(about_levels(Levels(), Loudness(-10.0, -1.0), Options(quality=quality), Form(22_050, 2), 160))

    assert [note.code for note in notes] == ["bit-rate-lowered"] * is_told
