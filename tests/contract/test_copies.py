"""Copies of MP3s: the fake, and S3 as ministack serves it, where the URLs are fetched over HTTP."""

import os
import time
import tracemalloc
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from urllib.parse import unquote

import httpx
import pytest

from functions.download.copies import Copies, ReadFrom
from functions.download.s3_copies import PART_BYTES, S3Copies, connect_s3
from functions.shared.clock import utc_now
from tests.fakes.download import FakeCopies
from tests.ministack import REGION, running_ministack, use_aws

BUCKET = "downloads"
MP3 = "audio/mpeg"
HOUR = timedelta(hours=1)
NAME = 'Żółć "a"\\ 🎬.mp3'
# Of several parts, the last of which is short.
CONTENT = os.urandom(1_000_003) * 40


@dataclass
class Place:
    """Where copies are, and how a client fetches one: its bytes and the name that they are saved as."""

    copies: Copies
    fetch: Callable[[str], tuple[bytes, str]]


@pytest.fixture(scope="module")
def aws(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    with running_ministack(tmp_path_factory.mktemp("ministack")) as environ:
        yield environ


@pytest.fixture
def s3(aws: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> Iterator[S3Copies]:
    use_aws(aws, monkeypatch)
    client = connect_s3()
    client.create_bucket(Bucket=BUCKET, CreateBucketConfiguration={"LocationConstraint": REGION})
    yield S3Copies(client, BUCKET)
    assert "Uploads" not in client.list_multipart_uploads(Bucket=BUCKET), "an upload was left behind"
    for stored in client.list_objects_v2(Bucket=BUCKET).get("Contents", []):
        client.delete_object(Bucket=BUCKET, Key=stored["Key"])
    client.delete_bucket(Bucket=BUCKET)
    client.close()


@pytest.fixture(params=["fake", "s3"])
def place(request: pytest.FixtureRequest) -> Place:
    if request.param == "fake":
        fake = FakeCopies(utc_now)
        return Place(fake, fake.fetch)
    return Place(request.getfixturevalue("s3"), fetch)


def fetch(url: str) -> tuple[bytes, str]:
    answer = httpx.get(url).raise_for_status()
    assert answer.headers["content-type"] == "audio/mpeg"
    assert answer.headers["accept-ranges"] == "bytes"
    kind, plain, exact = answer.headers["content-disposition"].split("; ")
    assert (kind, plain) == ("attachment", 'filename="Zo_c _a__ _.mp3"')
    return answer.content, unquote(exact.removeprefix("filename*=UTF-8''"))


def content_from(content: bytes) -> ReadFrom:
    """Return what reads a file, in the parts that GridFS has."""

    def read_from(start: int) -> Iterator[bytes]:
        for position in range(start, len(content), 1024 * 1024):
            yield content[position : position + 1024 * 1024]

    return read_from


def failing(content: bytes) -> ReadFrom:
    """Return what reads a file that is damaged behind its content."""

    def read_from(start: int) -> Iterator[bytes]:
        yield from content_from(content)(start)
        raise ValueError("damaged")

    return read_from


def always() -> bool:
    return True


def times(count: int) -> Callable[[], bool]:
    """Return a clock that has time so often."""
    left = iter(range(count))
    return lambda: next(left, None) is not None


def test_a_copy_is_fetched_by_its_url_alone(place):
    """No account, no header: browsers follow a redirect with nothing else."""
    place.copies.make("c1-1", MP3, content_from(CONTENT), always)

    assert place.fetch(place.copies.url("c1-1", NAME, HOUR)) == (CONTENT, NAME)


def test_a_small_copy_is_like_a_large_one(place):
    place.copies.make("c1-1", MP3, lambda _: [b"a", b"", b"b"], always)

    assert place.fetch(place.copies.url("c1-1", NAME, HOUR))[0] == b"ab"


def test_a_copy_says_when_it_was_made(place):
    """By that is decided whether it will still be there in an hour."""
    assert place.copies.made_at("c1-1") is None
    before = datetime.now(UTC).replace(microsecond=0)

    place.copies.make("c1-1", MP3, lambda _: [b"a"], always)

    made_at = place.copies.made_at("c1-1")
    assert made_at is not None
    assert before <= made_at <= datetime.now(UTC)


@pytest.mark.parametrize("length", [0, 1, PART_BYTES - 1, 2 * PART_BYTES + 1])
def test_a_copy_that_could_not_be_finished_is_not_there(place, length):
    """Wherever it fails. What went wrong is not lost on the way."""
    with pytest.raises(ValueError, match="damaged"):
        place.copies.make("c1-1", MP3, failing(CONTENT[:length]), always)

    assert place.copies.made_at("c1-1") is None


def test_an_unfinished_copy_leaves_the_one_that_is_there(place):
    place.copies.make("c1-1", MP3, content_from(CONTENT), always)

    with pytest.raises(ValueError, match="damaged"):
        place.copies.make("c1-1", MP3, failing(CONTENT), always)

    assert place.fetch(place.copies.url("c1-1", NAME, HOUR))[0] == CONTENT


def test_a_copy_that_takes_longer_than_a_call_goes_on_with_the_next(place):
    """A function behind API Gateway has 29 s, and a ZIP may have a hundred MP3s. Until the end, nobody sees it."""
    starts: list[int] = []

    def read_from(start: int) -> Iterable[bytes]:
        starts.append(start)
        return content_from(CONTENT)(start)

    assert not place.copies.make("c1-1", MP3, read_from, times(1))
    assert place.copies.made_at("c1-1") is None
    assert not place.copies.make("c1-1", MP3, read_from, times(1))
    assert place.copies.make("c1-1", MP3, read_from, always)

    assert place.fetch(place.copies.url("c1-1", NAME, HOUR))[0] == CONTENT
    assert starts[0] == 0 < starts[1] < starts[2]
    assert starts[2] == 2 * starts[1]


def test_a_call_without_time_loses_nothing(place):
    """The function may have spent its time on the database."""
    assert not place.copies.make("c1-1", MP3, content_from(CONTENT), times(1))
    assert not place.copies.make("c1-1", MP3, content_from(CONTENT), times(0))

    assert place.copies.make("c1-1", MP3, content_from(CONTENT), always)
    assert place.fetch(place.copies.url("c1-1", NAME, HOUR))[0] == CONTENT


def test_a_copy_that_is_deleted_in_between_starts_over(place):
    """Its conversion is gone, and so must be what was copied of it."""
    starts: list[int] = []

    def read_from(start: int) -> Iterable[bytes]:
        starts.append(start)
        return content_from(CONTENT)(start)

    assert not place.copies.make("c1-1", MP3, content_from(CONTENT), times(1))

    place.copies.delete("c1-1")
    place.copies.make("c1-1", MP3, read_from, times(1))
    place.copies.delete("c1-1")

    assert starts == [0]


def test_two_who_make_the_same_copy_do_no_harm(place):
    """Two requests for an MP3 that nobody has fetched yet may come at the same time."""
    with ThreadPoolExecutor(2) as makers:
        makings = [makers.submit(place.copies.make, "c1-1", MP3, content_from(CONTENT), always) for _ in range(2)]
    for making in makings:
        making.result()

    assert place.fetch(place.copies.url("c1-1", NAME, HOUR))[0] == CONTENT


def test_a_copy_is_deleted_alone_and_more_than_once(place):
    """A delete that lost its answer is tried again."""
    place.copies.make("c1-1", MP3, lambda _: [b"a"], always)
    place.copies.make("c1-10", MP3, lambda _: [b"b"], always)

    place.copies.delete("c1-1")
    place.copies.delete("c1-1")

    assert place.copies.made_at("c1-1") is None
    assert place.copies.made_at("c1-10") is not None


def test_s3_serves_ranges_of_a_copy(s3):
    """Players seek, and `curl -C -` goes on where it was cut off."""
    s3.make("c1-1", MP3, content_from(CONTENT), always)
    url = s3.url("c1-1", NAME, HOUR)

    middle = httpx.get(url, headers={"Range": "bytes=9000000-9999999"})
    rest = httpx.get(url, headers={"Range": "bytes=39000000-"})

    assert (middle.status_code, middle.content) == (206, CONTENT[9_000_000:10_000_000])
    assert middle.headers["content-range"] == f"bytes 9000000-9999999/{len(CONTENT)}"
    assert (rest.status_code, rest.content) == (206, CONTENT[39_000_000:])
    assert httpx.get(url, headers={"Range": f"bytes={len(CONTENT)}-"}).status_code == 416


def test_a_url_is_for_one_copy_and_one_hour(s3):
    """Whoever sees it later, in a history or a log, has nothing."""
    s3.make("c1-1", MP3, lambda _: [b"mine"], always)
    s3.make("c2-1", MP3, lambda _: [b"another's"], always)
    url = s3.url("c1-1", NAME, timedelta(seconds=1))
    assert httpx.get(s3.url("c1-1", NAME, HOUR).replace("c1-1", "c2-1")).status_code == 403
    assert httpx.get(s3.url("c1-1", NAME, HOUR).replace("attachment", "inline")).status_code == 403

    deadline = time.monotonic() + 10
    while httpx.get(url).status_code != 403:
        assert time.monotonic() < deadline
        time.sleep(0.1)


def test_a_copy_is_made_without_holding_it_in_memory(s3):
    """A function on Lambda has 1 GB, and an MP3 of eight hours can be larger."""
    part = os.urandom(1024 * 1024)
    s3.make("warm-1", MP3, lambda _: [part], always)
    tracemalloc.start()
    try:
        s3.make("c1-1", MP3, lambda _: (part for _ in range(128)), always)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert peak < 6 * PART_BYTES
