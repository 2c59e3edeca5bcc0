"""The frames of an MP3: made of the sound that the person wants, and proved to be all of it."""

from collections.abc import Iterator
from typing import BinaryIO, NamedTuple

from functions.convert import whole
from functions.convert.copying import copy_sound
from functions.convert.decoder import Decoder, Part
from functions.convert.failures import (
    AttemptFailed,
    ConversionFailed,
    CorruptMedia,
    DurationExceeded,
    EncryptedMedia,
    InvalidMedia,
    InvalidOption,
    NoAudioTrack,
    TruncatedMedia,
)
from functions.convert.lame import Gauge, Lame, Loudness, highest_kbps
from functions.convert.levels import LIMITED, about_levels, find_levels, lowered
from functions.convert.look import soundtrack_of
from functions.convert.media.kinds import BARE, NEVER_JUST_SHORT
from functions.convert.media.probe import Description
from functions.convert.media.reach import reached_s
from functions.convert.media.tracks import Choice, choices
from functions.convert.mp3_copy import NotCopyable
from functions.convert.mp3_frames import BrokenMp3, Mp3Facts, read_mp3
from functions.convert.mp3_info import set_padding
from functions.convert.reading import Reading, Unproved
from functions.convert.sound import Form, Levels, form_of
from functions.convert.transcode import TooLoud, Undecodable, transcode
from functions.shared.conversions import Method, Note
from functions.shared.options import Channels, Damaged, Options, Quality

_MOST_PASSES = 4
# How much of the progress goes to measuring where a loudness is wanted.
_MEASURED = 0.4


class Made(NamedTuple):
    """The frames of one choice. `sound_s` is when its sound ends, in seconds of the video."""

    choice: Choice
    facts: Mp3Facts
    loudness: Loudness
    method: Method
    sound_s: float
    notes: tuple[Note, ...]


class Maker:
    """Makes the frames of an MP3 in `mp3`, a file."""

    def __init__(self, reading: Reading, description: Description, options: Options, mp3: BinaryIO) -> None:
        self._reading = reading
        self._container = reading.container
        self._description = description
        self._options = options
        self._mp3 = mp3
        self._has_clock = reading.container.kind not in BARE

    def make(self) -> Made:
        """Make those of the best choice that has sound. If all are silent, it is the first of them.

        Raises:
            ConversionFailed, AttemptFailed: see Encoder.
            Unproved: a file would tell more than a pipe.
        """
        self._refuse_what_is_too_long(self._container.duration_s)
        ranked = choices(self._description.tracks, self._container.kind, self._options)
        silent: Choice | None = None
        empty: ConversionFailed | None = None
        for choice in ranked:
            try:
                made = self._make(choice)
            except (NoAudioTrack, TruncatedMedia, CorruptMedia) as failed:
                empty = empty or failed
                continue
            if made.loudness.peak_db is not None or len(ranked) == 1:
                return made._replace(notes=(*made.notes, *_about_the_choice(choice, silent, ranked)))
            silent = silent or choice
        if silent is None:
            raise self._reading.doubtful(empty or NoAudioTrack())
        return self._make(silent)

    def _make(self, choice: Choice) -> Made:
        soundtrack = soundtrack_of(choice.tracks[0], self._container)
        if soundtrack and soundtrack.encryption:
            raise EncryptedMedia
        if soundtrack and soundtrack.is_cut and self._options.damaged is Damaged.REFUSE:
            raise TruncatedMedia
        if self._may_be_copied(choice):
            try:
                return self._copy(choice)
            except NotCopyable:
                self._empty_mp3()
        made = self._encode(choice)
        if self._options.quality is Quality.COPY:
            detail = "The sound is not MP3, or has gaps or damage, so that it was encoded, as v2, and not copied."
            made = made._replace(notes=(*made.notes, Note("not-copied", detail)))
        return made

    # As it is

    def _may_be_copied(self, choice: Choice) -> bool:
        options = self._options
        wants_other_sound = (
            options.loudness is not None
            or options.sample_rate is not None
            or options.channels is not Channels.AUTO
            or options.start is not None
            or options.end is not None
        )
        is_mp3 = len(choice.tracks) == 1 and choice.tracks[0].codec == "mp3"
        return is_mp3 and options.quality in {Quality.AUTO, Quality.COPY} and not wants_other_sound

    def _copy(self, choice: Choice) -> Made:
        copied = copy_sound(
            self._reading.source_of_the_mp3(),
            choice.tracks[0],
            self._description,
            self._mp3,
            promised_s=self._promised_s(choice),
            on_tick=self._reading.tick,
            stall_s=self._reading.limits.stall_s,
        )
        if whole.falls_short(copied.sound_s, self._promised_s(choice)):
            raise NotCopyable("It ends early.")
        if not self._has_clock and whole.unread_s(self._reading.size, copied.packets, copied.facts.sample_rate_hz):
            raise NotCopyable("There is something else between its frames.")
        self._refuse_what_is_too_long(copied.sound_s)
        return Made(choice, copied.facts, copied.loudness, Method.COPIED, copied.sound_s, ())

    # Encoded

    def _encode(self, choice: Choice) -> Made:
        form = form_of(choice, self._options)
        levels = find_levels(self._options.loudness, lambda tried: self._measure(choice, form, tried))
        decoder, loudness, levels = self._encode_with(levels, choice, form)
        facts = self._prove(decoder)
        notes = (
            *self._judge(decoder, choice, form),
            *about_levels(levels, loudness, self._options, form, highest_kbps(form.rate)),
        )
        return Made(choice, facts, loudness, Method.ENCODED, decoder.timeline.end / form.rate, notes)

    def _measure(self, choice: Choice, form: Form, levels: Levels) -> Loudness:
        gauge = Gauge(form, levels)
        self._pass(choice, form, gauge, 0.0, _MEASURED)
        return gauge.meter.result()

    def _encode_with(self, levels: Levels, choice: Choice, form: Form) -> tuple[Decoder, Loudness, Levels]:
        """Encode, and once more with lower levels if that became too loud. Returns the levels in the end, too."""
        for passed in range(_MOST_PASSES):
            self._empty_mp3()
            lame = Lame(form, self._options.quality, levels, self._mp3)
            try:
                decoder = self._pass(choice, form, lame, 0.0 if self._options.loudness is None else _MEASURED, 1.0)
            except TooLoud:
                levels = levels._replace(ceiling_db=LIMITED.ceiling_db)
                continue
            loudness = lame.meter.result()
            lower = lowered(levels, loudness, self._options)
            if lower is None or passed == _MOST_PASSES - 1:
                return decoder, loudness, levels
            levels = lower
        raise AttemptFailed("the limiter does not keep the sound below full scale")

    def _pass(self, choice: Choice, form: Form, target: Lame | Gauge, first: float, last: float) -> Decoder:
        """Send all of the sound to a target. Of the progress this takes what lies between `first` and `last`."""
        reading = self._reading
        decoder = Decoder(choice, self._description, form, self._part(form))
        promised_s = self._promised_s(choice) or self._container.duration_s

        def tick() -> None:
            reached_s = decoder.timeline.length / form.rate
            self._refuse_what_is_too_long(reached_s)
            done = min(reached_s / promised_s, 1.0) if promised_s else 0.0
            reading.on_progress(first + (last - first) * done)

        try:
            transcode(reading.source_of_the_mp3(), decoder, target, tick, reading.limits.stall_s)
            whole.check_sound(decoder, form)
            self._refuse_what_is_too_long(decoder.timeline.length / form.rate)
        except Undecodable as error:
            raise reading.doubtful(InvalidMedia()) from error
        except ConversionFailed as failed:
            raise reading.doubtful(failed) from failed
        if not decoder.written:
            raise InvalidOption("start", f"The sound is {whole.spoken(decoder.timeline.length / form.rate)} long.")
        return decoder

    def _part(self, form: Form) -> Part:
        start, end = self._options.start or 0.0, self._options.end
        return Part(round(start * form.rate), None if end is None else round(end * form.rate))

    def _empty_mp3(self) -> None:
        self._mp3.seek(0)
        self._mp3.truncate()

    # Is it that sound, and whole

    def _prove(self, decoder: Decoder) -> Mp3Facts:
        """Return what the frames say, which must be as long as the samples that went in."""
        try:
            set_padding(self._mp3, decoder.written)
            facts = read_mp3(self._mp3)
        except BrokenMp3 as error:
            raise AttemptFailed(f"the MP3 is not whole: {error}") from error
        if facts.samples != decoder.written:
            raise AttemptFailed(f"the MP3 has {facts.samples} samples, not {decoder.written}")
        return facts

    def _judge(self, decoder: Decoder, choice: Choice, form: Form) -> Iterator[Note]:
        soundtrack = soundtrack_of(choice.tracks[0], self._container)
        found = whole.missing(decoder, form.rate, has_clock=self._has_clock)
        if not self._has_clock and not decoder.is_done:
            found = found.with_damage(whole.unread_s(self._reading.size, decoder.packets, form.rate))
        promised_s = self._promised_s(choice)
        reached = max(decoder.timeline.end, decoder.packets.end) / form.rate
        falls_short = not decoder.is_done and whole.falls_short(reached, promised_s)
        listed = soundtrack.samples if soundtrack and not decoder.is_done else None
        lacks_packets = listed is not None and decoder.packets.count < listed
        if self._reading.is_streamed and (not found.is_nothing or falls_short or lacks_packets):
            raise Unproved
        if falls_short and promised_s is not None:
            if self._container.kind in NEVER_JUST_SHORT or self._options.damaged is Damaged.ACCEPT:
                found = found.with_damage(promised_s - reached)
            elif whole.falls_short(self._reached_by_any_s(), promised_s):
                raise TruncatedMedia
        yield from whole.judge(found, max(reached, promised_s or 0.0), self._options)
        yield from whole.about_the_start(decoder, form, self._options)

    def _reached_by_any_s(self) -> float:
        """Return when the last track ends: sound may rightly end before the pictures."""
        reading = self._reading
        return reached_s(reading.source(), self._description, reading.tick, reading.limits.stall_s)

    def _promised_s(self, choice: Choice) -> float | None:
        """Return when the sound ought to end: what the index says of it, or else of the file."""
        if self._container.is_unfinished or self._container.missing_bytes:
            return None
        soundtrack = soundtrack_of(choice.tracks[0], self._container)
        if soundtrack and soundtrack.duration_s is not None:
            return soundtrack.duration_s
        return self._container.duration_s

    def _refuse_what_is_too_long(self, seconds: float | None) -> None:
        part_s = seconds if self._options.end is None else min(seconds or 0.0, self._options.end)
        if part_s is not None and part_s > self._reading.limits.max_duration_s:
            raise DurationExceeded(self._reading.limits.max_duration_s)


def _about_the_choice(choice: Choice, silent: Choice | None, ranked: list[Choice]) -> Iterator[Note]:
    if silent is not None:
        detail = f"Soundtrack {silent.number} is silent. The MP3 has soundtrack {choice.number} instead."
        yield Note("other-track", detail)
    elif choice is not ranked[0]:
        detail = f"Soundtrack {ranked[0].number} has nothing to hear. The MP3 has soundtrack {choice.number} instead."
        yield Note("other-track", detail)
