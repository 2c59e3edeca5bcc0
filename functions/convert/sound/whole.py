"""Is what was made that sound, and all of it?

Where sound is missing there is silence, and the person is told. What matters is why: a pause, in which nothing was
stored, is part of a recording; sound that is there and cannot be decoded is damage, of which only so much is borne.
"""

from collections.abc import Iterator
from typing import NamedTuple

from functions.convert.failures import CorruptMedia, NoAudioTrack, NothingDecodable, TruncatedMedia
from functions.convert.media.kinds import NEVER_JUST_SHORT
from functions.convert.sound.decoder import Decoder
from functions.convert.sound.filters import Form
from functions.convert.sound.timeline import Covered, Gap
from functions.shared.conversions import Note
from functions.shared.options import Damaged, Options

# A promise is missed by more than this and one piece of sound: containers round.
_SLACK_S = 0.1
_LONGEST_PIECE_S = 0.05
# Less than this at the edge of a gap is a codec that takes a moment to find its way again.
_SMALLEST_DAMAGE_S = 0.05
_SMALLEST_PAUSE_S = 0.01
# Some decoders take a few packets until the first sound comes out.
_START_UP_S = 0.2
_MOST_DAMAGE_SHARE = 0.1
_LONGEST_DAMAGE_S = 10.0
# A late start that nobody notices is not told.
_TOLD_S = 0.1
# Nobody hears anything shorter.
_AUDIBLE_S = 0.01
CUT_OFF = Note("cut-off", "The file ends before its container says it should. Only what is there was converted.")


class Missing(NamedTuple):
    """What is missing, in seconds: pauses, and damage, with the longest stretch of it."""

    pauses: tuple[float, ...]
    damage_s: float
    longest_damage_s: float

    @property
    def is_nothing(self) -> bool:
        """Whether all is there."""
        return not self.pauses and not self.damage_s

    def with_damage(self, seconds: float) -> "Missing":
        """Return this with more damage, in one stretch."""
        longest_s = max(self.longest_damage_s, seconds)
        return self._replace(damage_s=self.damage_s + seconds, longest_damage_s=longest_s)

    def and_of(self, other: "Missing") -> "Missing":
        """Return what is missing from this and another soundtrack. They sound together, so the worse damage counts."""
        return Missing(
            self.pauses + other.pauses,
            max(self.damage_s, other.damage_s),
            max(self.longest_damage_s, other.longest_damage_s),
        )


def missing(decoder: Decoder, rate: int, *, has_clock: bool) -> Missing:
    """Return what was filled with silence, or ought to follow the end, told apart by whether packets are there.

    Only what lies in the part that is wanted counts. Unless time stamps are a clock's, no pauses are known by them.
    """
    pauses, damage = [], []
    timeline, covered = decoder.timeline, Covered(decoder.packets.stretches)
    started_late = covered.of(decoder.wanted_of(Gap(0, timeline.late_start), 0))
    if started_late >= _START_UP_S * rate:
        damage.append(started_late / rate)
    for filled, at in timeline.gaps:
        gap = decoder.wanted_of(filled, at)
        damaged = covered.of(gap)
        damaged = damaged if damaged >= _SMALLEST_DAMAGE_S * rate else 0
        if damaged:
            damage.append(damaged / rate)
        if has_clock and gap.end - gap.start - damaged >= _SMALLEST_PAUSE_S * rate:
            pauses.append((gap.end - gap.start - damaged) / rate)
    if decoder.packets.end - timeline.end > (_SLACK_S + _LONGEST_PIECE_S) * rate:
        behind = covered.of(decoder.wanted_of(Gap(timeline.end, decoder.packets.end), timeline.length))
        if not decoder.is_done and behind:
            damage.append(behind / rate)
    return Missing(tuple(pauses), sum(damage), max(damage, default=0.0))


NOTHING = Missing((), 0.0, 0.0)


def falls_short(reached_s: float, promised_s: float | None, kind: str) -> bool:
    """Say whether a promised length is missed. A container of some kind promises it, and an MP3 to the sample."""
    slack_s = _LONGEST_PIECE_S if kind in NEVER_JUST_SHORT else _SLACK_S + _LONGEST_PIECE_S
    return promised_s is not None and reached_s < promised_s - slack_s


def check_sound(decoder: Decoder, form: Form) -> None:
    """Raise the reason if nothing came out of the decoder: NoAudioTrack, TruncatedMedia or NothingDecodable."""
    if decoder.packets.count == 0:
        # It is listed, and nothing of it is there.
        raise TruncatedMedia
    if decoder.timeline.length == decoder.timeline.late_start:
        raise NothingDecodable
    if decoder.timeline.length < _AUDIBLE_S * form.rate:
        raise NoAudioTrack


def judge(found: Missing, whole_s: float, options: Options) -> Iterator[Note]:
    """Yield what the person is told of what is missing from sound of `whole_s` seconds.

    Raises:
        CorruptMedia: too much is damaged, and the person does not accept it.
    """
    too_much = found.damage_s > _MOST_DAMAGE_SHARE * whole_s + _SLACK_S or found.longest_damage_s >= _LONGEST_DAMAGE_S
    if too_much and options.damaged is Damaged.REFUSE:
        raise CorruptMedia(f"{spoken(found.damage_s)} of {spoken(whole_s)} of sound cannot be decoded.")
    if found.damage_s:
        yield Note(
            "damaged",
            f"{spoken(found.damage_s)} of the sound could not be decoded. The MP3 is silent there, or ends before it.",
        )
    if found.pauses:
        places = "one place" if len(found.pauses) == 1 else f"{len(found.pauses)} places"
        yield Note(
            "gaps-filled",
            f"The sound pauses in {places}, for {spoken(sum(found.pauses))} in all. "
            "The MP3 is silent there, so that the rest stays beside its picture.",
        )


def about_the_start(decoder: Decoder, rate: int) -> Iterator[Note]:
    """Yield what the person is told if the sound starts after the pictures."""
    late_s = decoder.silent_at_start / rate
    if late_s < _TOLD_S:
        return
    if decoder.silent_at_start >= decoder.written:
        yield Note("sound-starts-late", "The sound starts after this part of the video, so the MP3 is silent.")
    else:
        yield Note("sound-starts-late", f"The sound starts late, so the MP3 is silent for the first {spoken(late_s)}.")


def spoken(seconds: float) -> str:
    """Return a length as people write it: `0.4 s`, `12.0 s`, `2 min 5 s`, `1 h 2 min 5 s`."""
    if round(seconds, 1) < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min {rest} s" if hours else f"{minutes} min {rest} s"
