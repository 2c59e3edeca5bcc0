"""One pass over the sound: decoded, laid out in time, and encoded or only measured, all at the same time."""

import contextlib
from collections.abc import Callable

from functions.convert.decoder import Decoder
from functions.convert.failures import AttemptFailed
from functions.convert.ffmpeg import ENDED, Pipe, Source, watch
from functions.convert.lame import Gauge, Lame


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

        def tick() -> None:
            if decoder.is_done:
                decoding.kill()
            if isinstance(target, Lame) and target.alarm.is_raised:
                raise TooLoud
            on_tick()

        watch([decoding, encoding], tick, lambda: max(decoder.moved_at, target.meter.moved_at), stall_s)
        # An encoder that is gone takes the decoder with it, so it is asked first.
        encoded = encoding.exit_code()
        decoded = 0 if decoder.is_done else decoding.exit_code()
        if encoded == ENDED or (decoded == ENDED and decoder.packets.count):
            raise AttemptFailed("ffmpeg was told to end")
        if decoded:
            raise Undecodable(decoded)
        decoder.check()
        # Of nothing no MP3 can be made.
        if encoded and decoder.written:
            raise AttemptFailed(f"ffmpeg could not encode: {encoded}: {encoding.last_words[-300:].strip()}")
    if isinstance(target, Lame) and target.alarm.is_raised:
        raise TooLoud
