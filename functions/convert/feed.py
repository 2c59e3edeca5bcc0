"""What ffmpeg reads from a pipe: fetched by one thread, written into the pipe by another."""

import contextlib
import fcntl
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from typing import IO

# Parts are fetched in bursts, from one limit to the other: fetched one by one, at ffmpeg's pace, they cost more, since
# LAME is torn from the caches each time. With parts of 1 MiB these are 64 MiB of memory.
MOST_PARTS = 64
FEW_PARTS = 8
# Linux gives a pipe 64 KiB, and wakes the writer each time that ffmpeg has read some of them. This is the most
# that anybody may ask for: pipe(7).
_PIPE_BYTES = 1024 * 1024


class Feed:
    """Fetches parts and writes them into a pipe, until the reader there has ended.

    `rest` are the parts that were not fetched any more. `moved_at` is when, on the monotonic clock, a part was last
    taken from the pipe.
    """

    def __init__(self, parts: Iterator[bytes]) -> None:
        self.rest = parts
        self.moved_at = 0.0
        self._fetched: deque[bytes] = deque()
        self._is_fetching = True
        self._is_reading = True
        self._changed = threading.Condition()
        self._error: BaseException | None = None
        self._threads: list[threading.Thread] = []

    def start(self, pipe: IO[bytes]) -> None:
        """Begin to write into `pipe`, which is closed at the end."""
        try:
            widen(pipe.fileno())
            self._run(self._write, pipe)
            self._run(self._fetch)
        except BaseException:
            with self._changed:
                self._is_fetching = False
                self._changed.notify_all()
            raise

    def _run(self, task: Callable[..., None], *arguments: object) -> None:
        thread = threading.Thread(target=task, args=arguments, name="ffmpeg-feed", daemon=True)
        thread.start()
        self._threads.append(thread)

    def check(self) -> None:
        """Raise what came in place of a part, if anything did."""
        if self._error:
            raise self._error

    def join(self) -> None:
        """Wait for the end of the threads. Once nobody reads from the pipe, they end with the part they are at.

        That takes as long as the storage takes to answer, or to be given up.
        """
        for thread in self._threads:
            thread.join()

    def _fetch(self) -> None:
        try:
            for part in self.rest:
                with self._changed:
                    self._fetched.append(part)
                    self._changed.notify_all()
                    if len(self._fetched) >= MOST_PARTS:
                        self._changed.wait_for(lambda: len(self._fetched) <= FEW_PARTS or not self._is_reading)
                    if not self._is_reading:
                        return
        except BaseException as error:  # noqa: BLE001  # it is raised in the thread that asks
            self._error = error
        finally:
            with self._changed:
                self._is_fetching = False
                self._changed.notify_all()

    def _write(self, pipe: IO[bytes]) -> None:
        try:
            while part := self._next():
                pipe.write(part)
                self.moved_at = time.monotonic()
        except BrokenPipeError:
            pass  # nobody wants more
        finally:
            with self._changed:
                self._is_reading = False
                self._fetched.clear()
                self._changed.notify_all()
            # What is left in the pipe's buffer is not wanted either.
            with contextlib.suppress(BrokenPipeError):
                pipe.close()

    def _next(self) -> bytes | None:
        with self._changed:
            self._changed.wait_for(lambda: self._fetched or not self._is_fetching)
            part = self._fetched.popleft() if self._fetched else None
            if len(self._fetched) <= FEW_PARTS:
                self._changed.notify_all()
            return part


def widen(pipe: int) -> None:
    """Let a pipe hold as much as it may, so that the two at its ends wake each other less often."""
    if hasattr(fcntl, "F_SETPIPE_SZ"):
        # A process that has many pipes may not have large ones, too.
        with contextlib.suppress(OSError):
            fcntl.fcntl(pipe, fcntl.F_SETPIPE_SZ, _PIPE_BYTES)
