"""The frames of an MP3: made of the sound that the person wants, and proved to be all of it."""

import io
from collections.abc import Iterator, Mapping
from typing import BinaryIO, NamedTuple

from functions.convert.failures import (
    AttemptFailed,
    ConversionFailed,
    DurationExceeded,
    EncryptedMedia,
    InvalidMedia,
    InvalidOption,
    NoAudioTrack,
    NothingDecodable,
    TruncatedMedia,
)
from functions.convert.feed import Feed
from functions.convert.look import soundtrack_of
from functions.convert.media.bare import junk_bytes
from functions.convert.media.kinds import BARE, LISTS_PACKETS, NEVER_JUST_SHORT
from functions.convert.media.probe import Description
from functions.convert.media.reach import reached_s
from functions.convert.media.tracks import Choice, choices
from functions.convert.mp3.frame_copy import NotCopyable
from functions.convert.mp3.frames import BrokenMp3, Mp3Facts, read_mp3
from functions.convert.mp3.info import set_padding
from functions.convert.reading import Reading, Unproved
from functions.convert.sound import whole
from functions.convert.sound.copying import copy_sound
from functions.convert.sound.decoder import Decoder, Part
from functions.convert.sound.filters import Form, Levels, form_of
from functions.convert.sound.lame import Gauge, Lame, Loudness, highest_kbps
from functions.convert.sound.levels import LIMITED, about_levels, find_levels, lowered
from functions.convert.sound.transcode import TooLoud, Undecodable, survey, transcode
from functions.shared.conversions import Method, Note, Track
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
        if not self._container.missing_bytes:
            self._refuse_what_is_too_long(self._container.duration_s)
        ranked = choices(self._description.tracks, self._container.kind, self._options)
        silent: Choice | None = None
        empty: ConversionFailed | None = None
        for choice in ranked:
            try:
                made = self._make(choice)
            except (NoAudioTrack, TruncatedMedia, NothingDecodable) as failed:
                empty = empty or failed
                continue
            except ConversionFailed:
                # A silent one that is whole is better than another that is not.
                if silent is None:
                    raise
                continue
            if made.loudness.peak_db is not None or len(ranked) == 1 or self._wants_a_part:
                return made._replace(notes=(*made.notes, *_about_the_choice(choice, silent, ranked)))
            silent = silent or choice
        if silent is None:
            raise self._reading.doubtful(empty or NoAudioTrack())
        return self._make(silent)

    def _make(self, choice: Choice) -> Made:
        for track in choice.tracks:
            soundtrack = soundtrack_of(track, self._container)
            if soundtrack and soundtrack.encryption:
                raise EncryptedMedia
            if soundtrack and soundtrack.is_cut and self._options.damaged is Damaged.REFUSE:
                raise TruncatedMedia
        if self._may_be_copied(choice):
            try:
                return self._copy(choice)
            except NotCopyable:
                self._empty_mp3()
        if self._options.quality is Quality.COPY:
            what = "has gaps, damage or changes" if choice.tracks[0].codec == "mp3" else "is not MP3"
            advice = "so it cannot be copied as it is. Upload the video with quality=auto to have it encoded."
            raise self._reading.doubtful(InvalidOption("quality", f"The sound {what}, {advice}"))
        return self._encode(choice)

    # As it is

    @property
    def _wants_a_part(self) -> bool:
        return self._options.start is not None or self._options.end is not None

    def _may_be_copied(self, choice: Choice) -> bool:
        options = self._options
        wants_other_sound = (
            options.loudness is not None
            or options.sample_rate is not None
            or options.channels is not Channels.AUTO
            or self._wants_a_part
        )
        is_mp3 = len(choice.tracks) == 1 and choice.tracks[0].codec == "mp3"
        return is_mp3 and options.quality in {Quality.AUTO, Quality.COPY} and not wants_other_sound

    def _copy(self, choice: Choice) -> Made:
        copied = copy_sound(
            self._reading.source_of_the_mp3(),
            choice.tracks[0],
            self._description,
            self._mp3,
            on_tick=self._reading.tick,
            stall_s=self._reading.limits.stall_s,
        )
        if whole.falls_short(copied.sound_s, self._promised_s(choice.tracks[0]), self._container.kind):
            raise NotCopyable("It ends early.")
        if self._junk_share():
            raise NotCopyable("There is something else between its frames.")
        self._refuse_what_is_too_long(copied.sound_s)
        return Made(choice, copied.facts, copied.loudness, Method.COPIED, copied.sound_s, ())

    # Encoded

    def _encode(self, choice: Choice) -> Made:
        surveyed = self._survey(choice) if len(choice.tracks) > 1 else {}
        if choice.layout is None and surveyed:
            choice = Choice(tuple(surveyed))
        form = form_of(choice, self._options)
        levels = find_levels(self._options.loudness, lambda tried: self._measure(choice, form, tried))
        decoder, loudness, levels = self._encode_with(levels, choice, form)
        facts = self._prove(decoder)
        if surveyed and whole.falls_short(
            decoder.sound_end / form.rate, max(each.sound_end / each.rate for each in surveyed.values()), ""
        ):
            detail = "The soundtracks lie too far apart in time to be mixed. Choose one of them with `track`."
            raise self._reading.doubtful(InvalidOption("tracks", detail))
        notes = (
            *self._judge(surveyed or {choice.tracks[0]: decoder}),
            *whole.about_the_start(decoder, form.rate),
            *about_levels(levels, loudness, self._options, form, highest_kbps(form.rate)),
        )
        return Made(choice, facts, loudness, Method.ENCODED, decoder.sound_end / form.rate, notes)

    def _survey(self, choice: Choice) -> dict[Track, Decoder]:
        """Decode each of several soundtracks alone: mixed, nobody can tell what is missing. Empty ones are left out."""
        surveyed: dict[Track, Decoder] = {}
        for track in choice.tracks:
            alone = Choice((track,))
            form = form_of(alone, self._options)
            decoder = Decoder(alone, self._description, form, self._part(form))

            def tick(decoder: Decoder = decoder) -> None:
                self._refuse_what_is_too_long(decoder.timeline.length / decoder.rate)
                self._reading.tick()

            try:
                survey(self._reading.source(), decoder, tick, self._reading.limits.stall_s)
            except Undecodable:
                if self._reading.is_streamed:
                    raise Unproved from None
                continue
            if decoder.packets.count:
                surveyed[track] = decoder
        if not surveyed:
            raise self._reading.doubtful(TruncatedMedia())
        return surveyed

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
        promised_s = self._promised_s(choice.tracks[0]) or self._container.duration_s

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
            failed = InvalidMedia() if decoder.timeline.length else NothingDecodable()
            raise reading.doubtful(failed) from error
        except ConversionFailed as failed:
            raise reading.doubtful(failed) from failed
        if not decoder.written:
            raise InvalidOption(
                "start",
                f"The sound is only {whole.spoken(decoder.timeline.length / form.rate)} long. Choose an earlier start.",
            )
        return decoder

    def _part(self, form: Form) -> Part:
        start, end = self._options.start or 0.0, self._options.end
        part = Part(round(start * form.rate), None if end is None else round(end * form.rate))
        if part.start == part.end:
            raise InvalidOption("end", "The part is shorter than one sample. Choose a later end.")
        return part

    def _empty_mp3(self) -> None:
        if self._mp3.seek(0, io.SEEK_END):
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

    def _judge(self, decoders: Mapping[Track, Decoder]) -> Iterator[Note]:
        """Yield what there is to say of what is missing. See `whole.judge` for what it raises."""
        found, whole_s = whole.NOTHING, 0.0
        for track, decoder in decoders.items():
            missing, track_s = self._missing(track, decoder)
            found, whole_s = found.and_of(missing), max(whole_s, track_s)
        soundtracks = (soundtrack_of(track, self._container) for track in decoders)
        if any(soundtrack and soundtrack.is_cut for soundtrack in soundtracks):
            yield whole.CUT_OFF
        yield from whole.judge(found, whole_s, self._options)

    def _missing(self, track: Track, decoder: Decoder) -> tuple[whole.Missing, float]:
        """Return what is missing of a soundtrack, and how long all of it ought to be, in seconds.

        Raises:
            TruncatedMedia: it is not there.
            Unproved: a file would tell more than a pipe.
        """
        soundtrack, rate = soundtrack_of(track, self._container), decoder.rate
        found = whole.missing(decoder, rate, has_clock=self._has_clock)
        promised_s = self._promised_s(track)
        reached = max(decoder.sound_end, decoder.packets.end - decoder.timeline.jumped) / rate
        if decoder.is_done:
            return found, reached
        if not self._has_clock and promised_s is None:
            # Nothing else tells what was lost.
            found = found.with_damage(self._junk_share() * decoder.packets.end / rate)
        falls_short = whole.falls_short(reached, promised_s, self._container.kind)
        listed = soundtrack.samples if soundtrack and self._container.kind in LISTS_PACKETS else None
        lacks_packets = listed is not None and decoder.packets.count < listed
        if self._reading.is_streamed and (not found.is_nothing or falls_short or lacks_packets):
            raise Unproved
        if lacks_packets and listed and promised_s is not None:
            # They are listed, so what is missing was not left out by the recorder.
            lost_s = (listed - decoder.packets.count) / listed * promised_s
            found = found.with_damage(lost_s)._replace(pauses=())
        if falls_short and self._container.kind == "mp3" and not self._junk_share():
            # It is frames from end to end, so its header counts frames that never were.
            falls_short, promised_s = False, None
        if falls_short and promised_s is not None:
            ends_alone = not whole.falls_short(self._reached_by_any_s(), promised_s, self._container.kind)
            is_its_own = soundtrack is not None and soundtrack.duration_s is not None
            all_is_there = self._container.kind in NEVER_JUST_SHORT or (ends_alone and is_its_own)
            if all_is_there or self._options.damaged is Damaged.ACCEPT:
                found = found.with_damage(promised_s - reached)
            elif not ends_alone:
                raise TruncatedMedia
        return found, max(reached, promised_s or 0.0)

    def _junk_share(self) -> float:
        """Return how much there is between the frames of a stream without a container, for each byte of the frames."""
        source = None if self._has_clock else self._reading.source()
        if source is None or isinstance(source, Feed):
            return 0.0
        junk = junk_bytes(source, self._container.kind, self._reading.tick)
        return min(junk / max(self._reading.size - junk, 1), 1.0)

    def _reached_by_any_s(self) -> float:
        """Return when the last track ends: where only the file promises a length, sound may end before the pictures."""
        reading = self._reading
        return reached_s(reading.source(), self._description, reading.tick, reading.limits.stall_s)

    def _promised_s(self, track: Track) -> float | None:
        """Return when the sound ought to end: what the index says of it, or else of the file."""
        if self._container.is_unfinished or self._container.missing_bytes:
            return None
        soundtrack = soundtrack_of(track, self._container)
        if soundtrack and soundtrack.duration_s is not None:
            return soundtrack.duration_s
        return self._container.duration_s

    def _refuse_what_is_too_long(self, seconds: float | None) -> None:
        """Raise DurationExceeded if what is wanted of sound of a length is longer than the limit."""
        if seconds is None:
            return
        start_s, end_s = self._options.start or 0.0, self._options.end
        wanted_s = (seconds if end_s is None else min(seconds, end_s)) - start_s
        if wanted_s > self._reading.limits.max_duration_s:
            raise DurationExceeded(self._reading.limits.max_duration_s)


def _about_the_choice(choice: Choice, silent: Choice | None, ranked: list[Choice]) -> Iterator[Note]:
    if silent is not None:
        detail = f"Soundtrack {silent.number} is silent. The MP3 has soundtrack {choice.number} instead."
        yield Note("other-track", detail)
    elif choice is not ranked[0]:
        detail = (
            f"Soundtrack {ranked[0].number} is empty or cannot be decoded. "
            f"The MP3 has soundtrack {choice.number} instead."
        )
        yield Note("other-track", detail)
