"""Chunks of a stored file, of which the next is fetched while one is checked and sent."""

import functools
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from pymongo import MongoClient

from functions.shared.files import GridFSFiles
from functions.shared.mongo import Document
from functions.shared.problems import Unavailable


class SlowFiles(GridFSFiles):
    """Files whose chunks are made up. `fetched` are the numbers of those that were asked for."""

    def __init__(self, client: MongoClient[Document]) -> None:
        super().__init__(client["nowhere"], "videos")
        self.fetched: list[int] = []
        self.make: Callable[[int], bytes] = lambda number: b"%d" % number

    def has_fetched(self, count: int) -> bool:
        """Say whether the first chunks were fetched, and no other."""
        return self.fetched == list(range(count))

    def _chunk(self, file_id: str, number: int) -> bytes | None:
        self.fetched.append(number)
        return self.make(number)


@pytest.fixture
def files() -> Iterator[SlowFiles]:
    with MongoClient[Document]("mongodb://127.0.0.1:1", connect=False) as client:
        yield SlowFiles(client)


def wait_for(done: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 5
    while not done():
        assert time.monotonic() < deadline, "It does not come."
        time.sleep(0.01)


def test_the_next_chunk_is_on_its_way_and_none_after_it(files: SlowFiles):
    """A hundred slow downloads hold a hundred chunks more, not a hundred files."""
    chunks = files._fetched("f1", range(10))

    for number in range(10):
        assert next(chunks) == b"%d" % number
        wait_for(functools.partial(files.has_fetched, min(number + 2, 10)))


def test_what_fails_ahead_fails_at_its_place(files: SlowFiles):
    """What came before it is right, and is what the reader gets first."""

    def make(number: int) -> bytes:
        if number == 1:
            raise Unavailable("The storage")
        return b"right"

    files.make = make
    chunks = files._fetched("f1", range(3))

    assert next(chunks) == b"right"
    with pytest.raises(Unavailable):
        next(chunks)
    assert files.fetched == [0, 1]


def test_who_stops_reading_is_sent_no_more(files: SlowFiles):
    """A client that goes away in the middle of a download must not cost the rest of it."""
    chunks = files._fetched("f1", range(10))
    next(chunks)

    del chunks
    files._ahead.shutdown()  # all that was asked for has come

    assert files.fetched == [0, 1]


def test_a_storage_that_hangs_is_given_up_by_all_at_once(files: SlowFiles):
    """A function has 29 s. In line behind others, each of whom waits 10 s, nobody would get his 503 in time."""
    together = threading.Barrier(100)

    def make(_: int) -> bytes:
        together.wait(10)
        raise Unavailable("The storage")

    def read(_: int) -> str:
        with pytest.raises(Unavailable):
            next(files._fetched("f1", range(5)))
        return "given up"

    files.make = make
    with ThreadPoolExecutor(100) as readers:
        assert list(readers.map(read, range(100))) == ["given up"] * 100


def test_readers_share_the_threads(files: SlowFiles):
    """However many download at once, what fetches for them stays as small, and each gets what is his."""
    with ThreadPoolExecutor(150) as readers:
        read = list(readers.map(lambda _: list(files._fetched("f1", range(20))), range(150)))

    assert read == [[b"%d" % number for number in range(20)]] * 150
    assert len(files._ahead._threads) <= 100
