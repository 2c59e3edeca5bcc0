"""What ffmpeg reads from a pipe, written into it by a thread."""

import contextlib
import fcntl
import threading
import time
from collections.abc import Iterator
from typing import IO

# Enough for ffmpeg to go on with while the next part is fetched; of the usual 64 KiB it would be short each time.
_PIPE_BYTES = 1024 * 1024
_SET_PIPE_SIZE = getattr(fcntl, "F_SETPIPE_SZ", None)


class Feed:
    """Writes parts into a pipe, each as soon as there is room for it, until whoever reads there has ended.

    `rest` are the parts that were not wanted any more. `moved_at` is when, on the monotonic clock, a part was last
    taken.
    """

    def __init__(self, parts: Iterator[bytes]) -> None:
        self.rest = parts
        self.moved_at = 0.0
        self._error: BaseException | None = None
        self._thread: threading.Thread | None = None

    def start(self, pipe: IO[bytes]) -> None:
        """Begin to write into `pipe`, which is closed at the end."""
        if _SET_PIPE_SIZE is not None:
            with contextlib.suppress(OSError):  # there is a limit on what all pipes of a user hold
                fcntl.fcntl(pipe, _SET_PIPE_SIZE, _PIPE_BYTES)
        self._thread = threading.Thread(target=self._write, args=(pipe,), name="ffmpeg-feed", daemon=True)
        self._thread.start()

    def check(self) -> None:
        """Raise what came in place of a part, if anything did."""
        if self._error:
            raise self._error

    def join(self) -> None:
        """Wait for the end of the thread. Once nobody reads from the pipe, it ends with the part it is waiting for."""
        if self._thread:
            self._thread.join()

    def _write(self, pipe: IO[bytes]) -> None:
        try:
            for part in self.rest:
                if not _is_taken(part, pipe):
                    break
                self.moved_at = time.monotonic()
        except BaseException as error:  # noqa: BLE001  # it is raised in the thread that asks
            self._error = error
        finally:
            # What is left in the buffer is not wanted either.
            with contextlib.suppress(BrokenPipeError):
                pipe.close()


def _is_taken(part: bytes, pipe: IO[bytes]) -> bool:
    try:
        pipe.write(part)
    except BrokenPipeError:
        return False
    return True
