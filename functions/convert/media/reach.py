"""How far the tracks of a file reach."""

import contextlib
import os
import threading
import time
from collections.abc import Callable, Iterable

from functions.convert.failures import AttemptFailed
from functions.convert.ffmpeg import ENDED, Ffmpeg, Pipe, Source, join_started, watch
from functions.convert.media.listing import packets
from functions.convert.media.probe import Description


class _Reach:
    """Notes when the last packet ends, and when one was last listed."""

    def __init__(self) -> None:
        self.seconds = 0.0
        self.moved_at = 0.0

    def read(self, listing: Iterable[bytes]) -> None:
        for packet in packets(listing):
            self.seconds = max(self.seconds, packet.end_s)
            self.moved_at = time.monotonic()


def reached_s(source: Source, description: Description, on_tick: Callable[[], None], stall_s: float) -> float:
    """Return when the last packet of any track ends, in seconds of the video. Nothing is decoded for this.

    Raises AttemptFailed: see Ffmpeg.
    """
    reach = _Reach()
    with contextlib.ExitStack() as stack:
        pipe = Pipe()
        stack.callback(pipe.close)
        listing = stack.enter_context(os.fdopen(pipe.read_end, "rb", closefd=False))
        thread = threading.Thread(target=reach.read, args=(listing,), name="ffmpeg-packets", daemon=True)
        stack.callback(join_started, thread)
        arguments = [*description.input_arguments, "-map", "0", "-copy_unknown", "-c", "copy", "-f", "framecrc"]
        command = [*arguments, "-fd", str(pipe.write_end), "fd:"]
        program = stack.enter_context(Ffmpeg(command, source, passed=[pipe.write_end]))
        pipe.close_write_end()
        thread.start()
        watch([program], on_tick, lambda: reach.moved_at, stall_s)
        if program.exit_code() == ENDED:
            raise AttemptFailed("ffmpeg was told to end")
    return reach.seconds
