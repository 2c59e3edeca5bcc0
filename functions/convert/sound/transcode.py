"""One pass over the sound: decoded, laid out in time, and encoded or only measured, all at the same time."""

import contextlib
from collections.abc import Callable

from functions.convert.failures import AttemptFailed
from functions.convert.ffmpeg import ENDED, NO_MEMORY, Ffmpeg, Nowhere, Pipe, Source, watch
from functions.convert.sound.decoder import Decoder
from functions.convert.sound.lame import Gauge, Lame


class TooLoud(Exception):
    """Raised when samples exceed full scale, so that they would be clipped."""


class Undecodable(Exception):
    """Raised when ffmpeg ended with an error by itself, which is the file's fault. `code` is what it ended with."""

    def __init__(self, code: int) -> None:
        super().__init__(code)
        self.code = code


def transcode(
    source: Source, decoder: Decoder, target: Lame | Gauge, on_tick: Callable[[], None], stall_s: float
) -> None:
    """Send the sound from the decoder to the target. Both know afterwards what there is to know about it.

    Raises:
        TooLoud: it has to be limited.
        Undecodable: the decoder ended with an error.
        AttemptFailed: see Ffmpeg.
        Exception: what `on_tick` raised, or what came in place of a part of a Feed.
    """
    with contextlib.ExitStack() as stack:
        samples = Pipe()
        stack.callback(samples.close)
        encoding = target.start(stack, samples)
        decoding = decoder.start(stack, source, samples)
        # They go before anybody waits for the threads between them: one that stands still would keep them for ever.
        for each in encoding:
            stack.callback(each.kill)
        alarm = target.alarm if isinstance(target, Lame) else None

        def tick() -> None:
            if decoder.is_done:
                decoding.kill()
            if alarm and alarm.is_raised:
                raise TooLoud
            on_tick()

        watch([decoding, *encoding], tick, lambda: max(decoder.moved_at, target.meter.moved_at), stall_s)
        # Of nothing no MP3 can be made, and ffmpeg fails in one way or another.
        is_of_nothing = not decoder.written and not decoder.is_done and decoding.exit_code() == 0
        # An encoder that is gone takes the decoder with it, so it is asked first.
        if alarm and (alarm.was_raised() or encoding[0].ended_with(NO_MEMORY)):
            # To LAME there is no memory for what is no number. As integers they are.
            raise TooLoud
        encoded = 0 if is_of_nothing else max(each.exit_code() for each in encoding)
        if encoded == ENDED:
            raise AttemptFailed("ffmpeg was told to end")
        _check(decoder, decoding)
        if encoded:
            words = " ".join(each.last_words for each in encoding)
            raise AttemptFailed(f"ffmpeg could not encode: {encoded}: {words[-300:].strip()}")


def survey(source: Source, decoder: Decoder, on_tick: Callable[[], None], stall_s: float) -> None:
    """Decode only to know what there is. Raises as `transcode` does, but for TooLoud."""
    with contextlib.ExitStack() as stack:
        nowhere = Nowhere()
        stack.callback(nowhere.close)
        decoding = decoder.start(stack, source, nowhere)
        watch([decoding], on_tick, lambda: decoder.moved_at, stall_s)
        _check(decoder, decoding)


def _check(decoder: Decoder, decoding: Ffmpeg) -> None:
    """Raise what kept the decoder from decoding all that is wanted, if anything did."""
    code = 0 if decoder.is_done else decoding.exit_code()
    if code == ENDED and decoder.packets.count:
        raise AttemptFailed("ffmpeg was told to end")
    if code:
        raise Undecodable(code)
    decoder.check()
