"""How far the tracks of a file reach."""

import os
import threading
from collections.abc import Callable
from typing import IO

from functions.convert.ffmpeg import Ffmpeg, Pipe, Source, watch
from functions.convert.media.listing import packets
from functions.convert.media.probe import Description


def reached_s(source: Source, description: Description, on_tick: Callable[[], None], stall_s: float) -> float:
    """Return when the last packet of any track ends, in seconds of the video. Nothing is decoded for this."""
    pipe = Pipe()
    reached = [0.0]

    def read(listing: IO[bytes]) -> None:
        for packet in packets(listing):
            reached[0] = max(reached[0], packet.end_s)

    try:
        arguments = [*description.input_arguments, "-map", "0", "-copy_unknown", "-c", "copy", "-f", "framecrc"]
        program = Ffmpeg([*arguments, "-fd", str(pipe.write_end), "fd:"], source, passed=[pipe.write_end])
        pipe.close_write_end()
        with os.fdopen(pipe.read_end, "rb", closefd=False) as listing, program:
            thread = threading.Thread(target=read, args=(listing,), name="ffmpeg-packets", daemon=True)
            thread.start()
            watch([program], on_tick, lambda: 0.0, stall_s)
            thread.join()
    finally:
        pipe.close()
    return reached[0]
