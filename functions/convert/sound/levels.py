"""How loud the MP3 becomes: the gain that brings it to a loudness, and a limiter where it would be clipped."""

from collections.abc import Callable, Iterator

from functions.convert.sound.filters import Form, Levels
from functions.convert.sound.lame import Loudness
from functions.shared.conversions import Note
from functions.shared.options import Options

# Above this a player clips. Sound of a chosen loudness stays below the other, for what is coded again: EBU R 128.
_FULL_SCALE_DBTP = 0.0
_NORMALISED_DBTP = -1.0
# Where a limiter begins, in dBFS. Between samples, and in the encoder, sound gets a little louder.
_CEILING_DB = -1.5
_MARGIN_DB = 0.1
_MOST_TRIES = 6
# What the meter says of all that is louder still.
_LOUDEST_LUFS = 9.9
_STEP_DB = 20.0
# How near a loudness is reached, and when a miss is told, in LU.
_NEAR_LU = 0.1
_MISSED_LU = 0.5

LIMITED = Levels(ceiling_db=_CEILING_DB)


def find_levels(target: float | None, measure: Callable[[Levels], Loudness]) -> Levels:
    """Return what brings sound to `target` LUFS. `measure` says how loud it is with some levels.

    Sound with high peaks has to be limited, which takes away some of its loudness, so that is tried.
    """
    levels = Levels()
    if target is None:
        return levels
    for _ in range(_MOST_TRIES):
        measured = measure(levels)
        if measured.lufs is None or measured.peak_db is None:
            return Levels()
        if measured.lufs >= _LOUDEST_LUFS:
            # It may be any louder, so it is brought to where it can be measured.
            levels = levels._replace(gain_db=levels.gain_db - max(measured.peak_db, _STEP_DB))
            continue
        missed_lu = target - measured.lufs
        excess_db = measured.peak_db - _NORMALISED_DBTP
        if abs(missed_lu) <= _NEAR_LU and excess_db <= 0:
            break
        levels = levels._replace(gain_db=levels.gain_db + missed_lu)
        if levels.ceiling_db is not None:
            levels = levels._replace(ceiling_db=levels.ceiling_db - max(excess_db, 0.0))
        elif measured.peak_db + missed_lu > _CEILING_DB:
            levels = levels._replace(ceiling_db=_CEILING_DB)
        else:
            break
    return levels


def lowered(levels: Levels, loudness: Loudness, options: Options) -> Levels | None:
    """Return levels with a lower ceiling for an MP3 that became too loud with these; None if it did not.

    An MP3 whose sound was neither limited nor brought to a loudness is as loud as its sound.
    """
    highest_db = _FULL_SCALE_DBTP if options.loudness is None else _NORMALISED_DBTP
    if levels == Levels() and options.loudness is None:
        return None
    if loudness.peak_db is None or loudness.peak_db <= highest_db:
        return None
    ceiling_db = _CEILING_DB if levels.ceiling_db is None else levels.ceiling_db
    return levels._replace(ceiling_db=ceiling_db - (loudness.peak_db - highest_db) - _MARGIN_DB)


def about_levels(levels: Levels, loudness: Loudness, options: Options, form: Form, highest_kbps: int) -> Iterator[Note]:
    """Yield what the person is told of the loudness and the bit rate."""
    target = options.loudness
    if target is None and levels.ceiling_db is not None:
        yield Note("limited", "In places, the sound is louder than an MP3 can be. A limiter keeps it from clipping.")
    elif target is not None and loudness.lufs is None:
        why = "silent" if loudness.peak_db is None else "too short or too quiet to be measured"
        yield Note("loudness-missed", f"The sound is {why}, so its loudness was left as it is.")
    elif target is not None and loudness.lufs is not None and abs(loudness.lufs - target) > _MISSED_LU:
        yield Note(
            "loudness-missed", f"The loudness is {loudness.lufs:.1f} LUFS, not {target:g} LUFS: more would distort it."
        )
    if options.quality.isdigit() and int(options.quality) > highest_kbps:
        yield Note(
            "bit-rate-lowered",
            f"The bit rate is {highest_kbps} kbit/s, the highest that an MP3 can have at {form.rate} Hz.",
        )
