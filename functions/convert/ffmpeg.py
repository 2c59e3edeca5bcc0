"""Runs of ffmpeg: started within limits, watched, and ended with all their children."""

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import IO, BinaryIO, Self

from functions.convert.executable import find_ffmpeg
from functions.convert.failures import AttemptFailed
from functions.convert.feed import Feed, widen

# What ffmpeg reads a video from: a file, in which it can seek, or a Feed, which it reads from a pipe.
Source = BinaryIO | Feed

_CONFINE = str(Path(__file__).with_name("confine.py"))
_MEMORY_BYTES = 1024**3
# How far a long run stands back: people who wait for an answer get ten times as much of a core. LAME takes longest of
# those that run at once, so the others leave the core to it, three to one.
NICENESS = 15
LAME_NICENESS = 10
# Eight hours at 320 kbit/s are 1.15 GB.
_FILE_BYTES = 2 * 1024**3
_TICK_S = 0.25
_LOG_TAIL_BYTES = 4 * 1024
# The low byte of the error that ended ffmpeg where memory or space ran out: ENOMEM, EAGAIN, ENOSPC, EFBIG; and the
# signal for a file that is too large, as a shell tells it.
NO_MEMORY = 244
_OUT_OF = {
    NO_MEMORY: "out of memory",
    245: "out of memory",
    228: "the disk is full",
    229: "the MP3 is too large",
    153: "the MP3 is too large",
}
# What somebody else sends. Any other signal ffmpeg raised itself, at what it was given.
_SENT = {signal.SIGKILL, signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT, signal.SIGXCPU}
# What ffmpeg answers to SIGTERM and SIGINT. A few files make it end with this, too, before it has read anything.
ENDED = 255


class Ffmpeg:
    """A running ffmpeg. Leaving the context, or failing to enter it, kills it and its process group if it still runs.

    `arguments` name what they read and write as `fd:`, with the descriptors in `passed`. A `source` is its `fd:0`.
    `niceness` is how far it stands back where others want the same core; 0 is not at all. `memory` multiplies how much
    it may have.
    """

    def __init__(
        self,
        arguments: Sequence[str],
        source: Source | int,
        *,
        passed: Sequence[int] = (),
        niceness: int = NICENESS,
        memory: int = 1,
    ) -> None:
        self._feed = source if isinstance(source, Feed) else None
        self._process = subprocess.Popen(
            [
                *(sys.executable, "-I", "-S", _CONFINE, str(os.getpid()), str(niceness)),
                *(str(memory * _MEMORY_BYTES), str(_FILE_BYTES)),
                *(find_ffmpeg(), "-hide_banner", "-nostdin", "-loglevel", "error", *arguments),
            ],
            stdin=_stdin(source),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            pass_fds=passed,
            start_new_session=True,
        )
        assert self._process.stderr is not None  # noqa: S101  # for the type checker
        self._log = _Log(self._process.stderr)

    def __enter__(self) -> Self:
        try:
            self._log.start()
            if self._feed and self._process.stdin:
                self._feed.start(self._process.stdin)
        except BaseException:
            # Python calls __exit__ only for a context that was entered.
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()
        if self._feed:
            self._feed.join()
        if self._process.stdin:
            self._process.stdin.close()
        self._log.join()

    @property
    def pid(self) -> int:
        """The id of the process, and of its group."""
        return self._process.pid

    def has_ended(self, wait_s: float) -> bool:
        """Say whether it has ended, after at most `wait_s` seconds."""
        return self._log.has_ended(wait_s)

    def kill(self) -> None:
        """End it now, if it has not ended."""
        if self._process.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()

    def exit_code(self) -> int:
        """Return how it ended by itself: 0, the low byte of an error, or 128 and the number of a signal it raised.

        Raises:
            AttemptFailed: it was killed, or ran out of memory or disk.
            Exception: what came in place of a part of the Feed.
        """
        code = self._process.wait()
        if self._feed:
            self._feed.check()
        if -code in _SENT:
            raise AttemptFailed(f"ffmpeg was ended by signal {-code}")
        if code < 0:
            return 128 - code
        if code in _OUT_OF:
            raise AttemptFailed(f"ffmpeg stopped: {_OUT_OF[code]}", code="resource-limit")
        return code

    def ended_with(self, code: int) -> bool:
        """Say whether it has ended with an exit code."""
        return self._process.poll() == code

    def check(self) -> None:
        """Raise what came in place of a part of the Feed, if anything did."""
        if self._feed:
            self._feed.check()

    @property
    def fed_at(self) -> float:
        """When, on the monotonic clock, it last took something from the Feed; 0 for a file."""
        return self._feed.moved_at if self._feed else 0.0

    @property
    def last_words(self) -> str:
        """The end of its log, for people who look for a fault. It quotes from the video, so it decides nothing."""
        return self._log.text()


def watch(
    programs: Sequence[Ffmpeg], on_tick: Callable[[], None], moved_at: Callable[[], float], stall_s: float
) -> None:
    """Wait until all programs have ended. `on_tick` is called several times a second; what it raises ends the wait.

    `moved_at` tells when, on the monotonic clock, something last moved beside what the programs take from their Feeds.

    Raises:
        AttemptFailed: nothing has moved for `stall_s` seconds.
        Exception: what came in place of a part of a Feed.
    """
    started = time.monotonic()

    def tick() -> None:
        for each in programs:
            each.check()
        on_tick()
        last = max(started, moved_at(), *(each.fed_at for each in programs))
        if time.monotonic() - last > stall_s:
            raise AttemptFailed(f"ffmpeg made no progress for {stall_s:g} s")

    for program in programs:
        tick()
        while not program.has_ended(_TICK_S):
            tick()


def run_briefly(
    arguments: Sequence[str],
    source: Source,
    *,
    passed: Sequence[int] = (),
    on_tick: Callable[[], None],
    stall_s: float,
    memory: int = 1,
) -> int:
    """Run ffmpeg for something that takes no time, and return its exit code. See Ffmpeg and `watch`."""
    with Ffmpeg(arguments, source, passed=passed, niceness=0, memory=memory) as program:
        watch([program], on_tick, lambda: 0.0, stall_s)
        return program.exit_code()


@contextlib.contextmanager
def scratch() -> Iterator[IO[bytes]]:
    """A file in memory, for what ffmpeg writes beside the MP3."""
    with os.fdopen(os.memfd_create("ffmpeg"), "w+b", buffering=0) as file:
        yield file


def join_started(thread: threading.Thread) -> None:
    """Wait for the end of a thread, if it was started."""
    if thread.ident is not None:
        thread.join()


class Pipe:
    """A pipe from one program to another, or to us. Each end is closed once it was handed over."""

    def __init__(self) -> None:
        self.read_end, self.write_end = os.pipe()
        widen(self.write_end)
        self._is_open = {self.read_end, self.write_end}

    def close_read_end(self) -> None:
        """Close the end that is read from, if it is open."""
        self._close(self.read_end)

    def close_write_end(self) -> None:
        """Close the end that is written to, if it is open."""
        self._close(self.write_end)

    def close(self) -> None:
        """Close both ends."""
        self._close(self.read_end)
        self._close(self.write_end)

    def _close(self, end: int) -> None:
        if end in self._is_open:
            self._is_open.discard(end)
            os.close(end)


class Nowhere(Pipe):
    """Takes all that is written to it, and nobody reads it."""

    def __init__(self) -> None:
        self.read_end = self.write_end = os.open(os.devnull, os.O_WRONLY)
        self._is_open = {self.write_end}


def _stdin(source: Source | int) -> int:
    if isinstance(source, Feed):
        return subprocess.PIPE
    if isinstance(source, int):
        return source
    source.flush()
    os.lseek(source.fileno(), 0, os.SEEK_SET)
    return source.fileno()


class _Log:
    """Drains standard error in a thread and keeps its end: a bad file can log gigabytes."""

    def __init__(self, stream: IO[bytes]) -> None:
        self._stream = stream
        self._tail = bytearray()
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._drain, name="ffmpeg-log", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def has_ended(self, wait_s: float) -> bool:
        return self._ended.wait(wait_s)

    def join(self) -> None:
        join_started(self._thread)
        self._stream.close()

    def text(self) -> str:
        return self._tail.decode(errors="replace")

    def _drain(self) -> None:
        try:
            while data := os.read(self._stream.fileno(), 65_536):
                self._tail = (self._tail + data)[-_LOG_TAIL_BYTES:]
        finally:
            self._ended.set()
