"""One run of ffmpeg: started within limits, watched, and ended with all its children."""

import contextlib
import os
import selectors
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import IO, BinaryIO, NamedTuple

from functions.convert.executable import find_ffmpeg
from functions.convert.failures import AttemptFailed
from functions.convert.feed import Feed

_CONFINE = str(Path(__file__).with_name("confine.py"))
_MEMORY_BYTES = 1024**3
# To encode may take long, and with that people who wait for an answer get ten times as much of a core.
_NICENESS = 10
# Eight hours at 320 kbit/s are 1.15 GB.
_FILE_BYTES = 2 * 1024**3
_TICK_S = 0.25
_LOG_HEAD_BYTES = 256 * 1024
_LOG_TAIL_BYTES = 32 * 1024
# What the log says when memory or space ran out; exit codes: 244 is ENOMEM, 245 EAGAIN, 228 ENOSPC, 229 EFBIG.
_OUT_OF = {
    228: "the disk is full",
    229: "the MP3 is too large",
    153: "the MP3 is too large",
    244: "out of memory",
    245: "out of memory",
}


class Finished(NamedTuple):
    """A run that ended by itself.

    `out_time_s` is the last time stamp written, `complete` whether ffmpeg said that it reached the end,
    `log` the beginning and the end of what it logged, `output` what it wrote to its standard output.
    """

    exit_code: int
    complete: bool
    out_time_s: float
    log: str
    output: bytes

    @property
    def messages(self) -> str:
        """The lines of the log that are ffmpeg's own: what it quotes from a file is indented."""
        return own_lines(self.log)


def run_ffmpeg(
    arguments: Sequence[str],
    video: BinaryIO | Feed,
    *,
    mp3: BinaryIO | None = None,
    on_tick: Callable[[float], None],
    stall_s: float,
    wants_output: bool = False,
) -> Finished:
    """Run ffmpeg with `video` as its `fd:0` and `mp3` as the descriptor `arguments` name.

    In a file ffmpeg can seek; from a Feed it reads a pipe. `on_tick` is called several times a second with the time
    stamp reached, in seconds. If it raises, ffmpeg is killed with its process group, as it is when for `stall_s`
    seconds its time stamp does not move and it reads nothing from a Feed either.
    With `wants_output` standard output is what the run is for, else it is where ffmpeg tells its progress.

    Raises:
        AttemptFailed: ffmpeg was killed, stalled, or ran out of memory or disk.
        Exception: what came in place of a part of the Feed. ffmpeg is killed then, too.
    """
    feed = video if isinstance(video, Feed) else None
    progress = [] if wants_output else ["-nostats", "-stats_period", "0.5", "-progress", "pipe:1"]
    process = subprocess.Popen(
        [
            *(sys.executable, "-I", "-S", _CONFINE, str(os.getpid()), str(_NICENESS if mp3 else 0)),
            *(str(_MEMORY_BYTES), str(_FILE_BYTES)),
            *(find_ffmpeg(), "-hide_banner", "-nostdin", *progress, *arguments),
        ],
        stdin=subprocess.PIPE if isinstance(video, Feed) else _rewound(video),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        pass_fds=(mp3.fileno(),) if mp3 else (),
        start_new_session=True,
    )
    assert process.stdout is not None  # noqa: S101  # for the type checker
    assert process.stderr is not None  # noqa: S101
    log = _Log(process.stderr)
    watch = _Watch(on_tick, stall_s, feed)
    try:
        if feed and process.stdin:
            feed.start(process.stdin)
        output = watch.follow(process.stdout, keep=wants_output)
        watch.wait(process)
    except BaseException:
        _kill(process)
        raise
    finally:
        if feed:
            feed.join()
        if process.stdin:
            process.stdin.close()
        log.join()
        process.stdout.close()
    if feed:
        feed.check()
    text = log.text()
    exit_code = process.returncode
    if exit_code < 0:
        raise AttemptFailed(f"ffmpeg was ended by signal {-exit_code}")
    if exit_code == 255:  # its own answer to SIGTERM and SIGINT
        raise AttemptFailed("ffmpeg was told to end")
    if exit_code in _OUT_OF and "max_streams" not in own_lines(text):
        raise AttemptFailed(f"ffmpeg stopped: {_OUT_OF[exit_code]}", code="resource-limit")
    return Finished(exit_code, watch.complete, watch.out_time_s, text, output)


def own_lines(log: str) -> str:
    """Return the lines of a log that do not begin with a space."""
    return "\n".join(line for line in log.split("\n") if not line.startswith(" "))


def _rewound(file: BinaryIO) -> int:
    """Return the descriptor of a file, at its beginning."""
    file.flush()
    os.lseek(file.fileno(), 0, os.SEEK_SET)
    return file.fileno()


def _kill(process: subprocess.Popen[bytes]) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


class _Watch:
    """Follows what ffmpeg writes to its standard output, and notices when nothing moves any more."""

    def __init__(self, on_tick: Callable[[float], None], stall_s: float, feed: Feed | None) -> None:
        self.out_time_s = 0.0
        self.complete = False
        self._on_tick = on_tick
        self._stall_s = stall_s
        self._feed = feed
        self._moved_at = time.monotonic()
        self._rest = b""

    def follow(self, stream: IO[bytes], *, keep: bool) -> bytes:
        """Read until the stream ends. Returns what was read if it is to be kept."""
        kept = bytearray()
        os.set_blocking(stream.fileno(), False)
        with selectors.DefaultSelector() as selector:
            selector.register(stream, selectors.EVENT_READ)
            while True:
                self._tick()
                if not selector.select(_TICK_S):
                    continue
                data = os.read(stream.fileno(), 65_536)
                if not data:
                    return bytes(kept)
                if not keep:
                    self._take(data)
                elif len(kept) < _LOG_HEAD_BYTES:
                    kept += data

    def wait(self, process: subprocess.Popen[bytes]) -> None:
        """Wait for the end of the process, whose output has ended."""
        while True:
            self._tick()
            try:
                process.wait(_TICK_S)
            except subprocess.TimeoutExpired:
                continue
            return

    def _tick(self) -> None:
        if self._feed:
            self._feed.check()
            # The sound may begin far behind the pictures.
            self._moved_at = max(self._moved_at, self._feed.moved_at)
        if time.monotonic() - self._moved_at > self._stall_s:
            raise AttemptFailed(f"ffmpeg did not get on for {self._stall_s:g} s")
        self._on_tick(self.out_time_s)

    def _take(self, data: bytes) -> None:
        *lines, self._rest = (self._rest + data).split(b"\n")
        for line in lines:
            key, _, value = line.strip().partition(b"=")
            if key == b"out_time_us" and value.lstrip(b"-").isdigit():
                out_time_s = int(value) / 1_000_000
                if out_time_s > self.out_time_s:
                    self.out_time_s = out_time_s
                    self._moved_at = time.monotonic()
            elif key == b"progress":
                self.complete = value == b"end"


class _Log:
    """Drains standard error in a thread and keeps its beginning and its end: a bad file can log gigabytes."""

    def __init__(self, stream: IO[bytes]) -> None:
        self._stream = stream
        self._head = bytearray()
        self._tail = bytearray()
        self._thread = threading.Thread(target=self._drain, name="ffmpeg-log", daemon=True)
        self._thread.start()

    def join(self) -> None:
        self._thread.join()
        self._stream.close()

    def text(self) -> str:
        return (self._head + self._tail).decode(errors="replace")

    def _drain(self) -> None:
        while data := os.read(self._stream.fileno(), 65_536):
            space = _LOG_HEAD_BYTES - len(self._head)
            self._head += data[:space]
            self._tail = (self._tail + data[space:])[-_LOG_TAIL_BYTES:]
