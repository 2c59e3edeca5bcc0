"""What is written into ffmpeg's pipe, and when that ends."""

import os
import threading
import time
from collections.abc import Callable, Iterator

import pytest

from functions.convert.feed import MOST_PARTS, Feed
from functions.shared.problems import Unavailable

PART = bytes(1024 * 1024)


class Parts:
    """Many parts, and how many of them were taken."""

    def __init__(self, count: int = 1000) -> None:
        self._left = count
        self.taken = 0

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        if not self._left:
            raise StopIteration
        self._left -= 1
        self.taken += 1
        return PART


def started(parts: Iterator[bytes]) -> tuple[Feed, int]:
    """Return a feed that writes, and the descriptor to read from."""
    read_end, write_end = os.pipe()
    feed = Feed(parts)
    feed.start(os.fdopen(write_end, "wb"))
    return feed, read_end


def read_all(descriptor: int) -> int:
    """Read to the end, and return how many bytes that were."""
    total = 0
    while data := os.read(descriptor, 1024 * 1024):
        total += len(data)
    os.close(descriptor)
    return total


def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < deadline, "it does not happen"
        time.sleep(0.01)


def test_everything_is_written_and_then_the_pipe_is_closed():
    """Without the end of the pipe ffmpeg would wait for ever."""
    feed, pipe = started(Parts(10))

    assert read_all(pipe) == 10 * len(PART)
    feed.join()
    feed.check()


def test_no_more_is_fetched_than_is_read():
    """Ffmpeg is slower than the storage. Without a brake a video of 20 GB would pile up in memory."""
    parts = Parts()
    feed, pipe = started(parts)

    os.read(pipe, 1)
    until(lambda: parts.taken >= MOST_PARTS)
    assert not feed_gets_on(parts)
    assert parts.taken <= MOST_PARTS + 1

    os.close(pipe)
    feed.join()


def feed_gets_on(parts: Parts) -> bool:
    """Say whether another part is taken within a moment."""
    before, deadline = parts.taken, time.monotonic() + 0.3
    while time.monotonic() < deadline:
        if parts.taken > before:
            return True
        time.sleep(0.01)
    return False


def test_the_thread_ends_when_nobody_reads_any_more():
    """An ffmpeg that was killed must not leave a thread behind, which would hold its part of the memory."""
    parts = Parts()
    feed, pipe = started(parts)
    os.read(pipe, 1)

    os.close(pipe)
    feed.join()

    feed.check()
    assert "ffmpeg-feed" not in [thread.name for thread in threading.enumerate()]
    assert parts.taken <= MOST_PARTS + 1


def test_what_was_not_wanted_is_left():
    """Ffmpeg may stop before the end; the rest of the video must be checked all the same."""
    parts = Parts(2 * MOST_PARTS)
    feed, pipe = started(parts)
    os.read(pipe, 1)
    os.close(pipe)
    feed.join()

    left = sum(1 for _ in feed.rest)

    assert left > 0
    assert parts.taken == 2 * MOST_PARTS


@pytest.mark.parametrize("error", [Unavailable("The storage"), BrokenPipeError()])
def test_what_comes_in_place_of_a_part_is_raised_where_it_is_asked_for(error):
    """Nobody looks into a thread. A broken pipe on the way from the storage is not the end of ffmpeg's pipe either."""

    def parts() -> Iterator[bytes]:
        yield PART
        raise error

    feed, pipe = started(parts())
    read_all(pipe)
    feed.join()

    with pytest.raises(type(error)):
        feed.check()


def test_threads_that_cannot_be_started_say_so_and_leave_none_behind(monkeypatch):
    """A machine that is full must not end in a wait for ever, nor in an error about something else."""
    start = threading.Thread.start
    started_threads: list[threading.Thread] = []

    def start_one(thread: threading.Thread) -> None:
        if started_threads:
            raise RuntimeError("can't start new thread")
        started_threads.append(thread)
        start(thread)

    read_end, write_end = os.pipe()
    feed = Feed(Parts())
    pipe = os.fdopen(write_end, "wb")
    monkeypatch.setattr(threading.Thread, "start", start_one)
    with pytest.raises(RuntimeError, match="can't start"):
        feed.start(pipe)

    feed.join()
    assert os.read(read_end, 1) == b""
    os.close(read_end)
