"""Download where nobody can stream in its place: large MP3s are copied, and clients are sent to the copy."""

import hashlib
import io
from collections.abc import Iterator
from dataclasses import replace

import pytest

from functions.download.app import MAX_INLINE_BYTES
from functions.download.sending import COPY_GOOD_FOR, COPY_URL_TTL
from functions.shared.files import CHUNK_BYTES
from functions.shared.problems import Unavailable
from tests.conversions import NOW
from tests.events import body_of, header, json_of
from tests.fakes.download import FakeCopies
from tests.tus_function import Context
from tests.unit.test_download import Shelf

LARGE = bytes(range(256)) * (MAX_INLINE_BYTES // 256 + 1)
ETAG = f'"{hashlib.sha256(LARGE).hexdigest()}"'


@pytest.fixture
def shelf() -> Shelf:
    shelf = Shelf()
    shelf.deps = replace(shelf.deps, copies=FakeCopies(shelf.deps.clock))
    shelf.add_completed(audio=LARGE, filename="Grüße.mp4")
    return shelf


@pytest.fixture
def copies(shelf: Shelf) -> FakeCopies:
    assert isinstance(shelf.deps.copies, FakeCopies)
    return shelf.deps.copies


def test_a_large_mp3_is_fetched_from_a_copy(shelf, copies):
    """Lambda's answers end at 6 MB. The client asks there again, with the same method and the same Range."""
    answer = shelf.fetch()

    assert (answer["statusCode"], body_of(answer)) == (307, b"")
    assert copies.fetch(header(answer, "Location")) == (LARGE, "Grüße.mp3")
    assert header(answer, "X-Stored-File") is None


def test_nobody_keeps_or_passes_on_where_the_copy_is(shelf):
    """The URL is good for whoever has it; and the address that led there may hold the token of a link."""
    answer = shelf.fetch()

    assert header(answer, "Cache-Control") == "no-store"
    assert header(answer, "Referrer-Policy") == "no-referrer"
    assert header(answer, "ETag") is None
    until = (NOW + COPY_URL_TTL).isoformat().replace("+", "%2B").replace(":", "%3A")
    assert f"until={until}" in str(header(answer, "Location"))


def test_the_log_does_not_hold_the_url(shelf, monkeypatch):
    """Logs are read by more people than may have the MP3."""
    log = io.StringIO()
    monkeypatch.setattr(shelf.deps.logger.registered_handler, "stream", log)

    shelf.fetch()

    assert '"message":"copied"' in log.getvalue()
    assert '"conversion_id":"c1"' in log.getvalue()
    assert "copies.example" not in log.getvalue()


def test_a_link_leads_to_the_copy_too(shelf, copies):
    answer = shelf.call("POST", "/v1/conversions/{conversion_id}/link", conversion_id="c1", body={})
    token = json_of(answer)["url"].rsplit("/", 1)[1]

    answer = shelf.call("GET", "/v1/downloads/{token}", token=token, caller=None)

    assert answer["statusCode"] == 307
    assert copies.fetch(header(answer, "Location"))[0] == LARGE


def test_a_large_range_is_fetched_from_the_copy(shelf, copies):
    """The client sends its Range there again."""
    assert shelf.fetch({"Range": "bytes=1-"})["statusCode"] == 307
    assert copies.contents == {"c1-1.mp3": LARGE}


@pytest.mark.parametrize(
    ("method", "headers", "status"),
    [
        ("HEAD", {}, 200),
        ("GET", {"Range": "bytes=100-199"}, 206),
        ("GET", {"Range": f"bytes=-{MAX_INLINE_BYTES}"}, 206),
        ("GET", {"If-None-Match": ETAG}, 304),
        ("GET", {"If-Match": '"other"'}, 412),
        ("GET", {"Range": f"bytes={len(LARGE)}-"}, 416),
    ],
)
def test_what_fits_into_an_answer_is_answered_at_once(shelf, copies, method, headers, status):
    """A copy takes seconds, and a player that seeks may never need one."""
    assert shelf.fetch(headers, method=method)["statusCode"] == status
    assert copies.makings == 0


def test_a_copy_is_made_once(shelf, copies):
    for _ in range(3):
        assert shelf.fetch()["statusCode"] == 307

    assert copies.makings == 1


def test_a_copy_is_made_again_before_it_may_go(shelf, copies):
    """It is deleted a day after it was made, also while somebody fetches it."""
    shelf.fetch()
    shelf.deps.clock.advance(seconds=COPY_GOOD_FOR.total_seconds())
    shelf.fetch()
    assert copies.makings == 1
    shelf.deps.clock.advance(seconds=1)
    shelf.fetch()
    assert copies.makings == 2


@pytest.mark.parametrize("damage", [LARGE[:-1], LARGE[:-1] + b"x", b"", None])
def test_a_damaged_mp3_is_never_copied(shelf, copies, damage):
    if damage is None:
        shelf.deps.mp3s.delete("c1-1")
    else:
        shelf.deps.mp3s.contents["c1-1"] = damage

    answer = shelf.fetch()

    assert (answer["statusCode"], json_of(answer)["type"]) == (500, "/problems/storage-corrupt")
    assert copies.contents == {}


def test_while_it_is_copied_a_client_is_sent_to_the_same_address(shelf, copies):
    """API Gateway waits for 29 s. Every client follows redirects, so none has to know that this takes longer."""
    shelf.context = Context(29_000, 10_000, 6_000)
    first = shelf.fetch({"Range": "bytes=1-"})
    shelf.context = Context(29_000)
    second = shelf.fetch({"Range": "bytes=1-"})

    assert (first["statusCode"], header(first, "Location")) == (307, "/v1/conversions/c1/mp3")
    assert (header(first, "Cache-Control"), body_of(first)) == ("no-store", b"")
    assert copies.fetch(header(second, "Location"))[0] == LARGE
    assert copies.makings == 1


def test_each_request_goes_on_where_the_last_one_stopped(shelf, copies, monkeypatch):
    """Otherwise an MP3 that cannot be copied within one request could never be fetched."""
    starts: list[int] = []
    read = shelf.deps.mp3s.read

    def read_from(file_id: str, start: int, end: int) -> Iterator[bytes]:
        starts.append(start)
        yield from read(file_id, start, end)

    monkeypatch.setattr(shelf.deps.mp3s, "read", read_from)
    requests = 0
    while copies.makings == 0:
        shelf.context = Context(29_000, 6_000)
        assert shelf.fetch()["statusCode"] == 307
        requests += 1

    assert starts == [number * CHUNK_BYTES for number in range(5)]
    assert copies.contents == {"c1-1.mp3": LARGE}


def test_a_storage_for_copies_that_does_not_answer_is_a_503(shelf, copies):
    copies.down = True

    answer = shelf.fetch()

    assert (answer["statusCode"], json_of(answer)["type"]) == (503, "/problems/unavailable")
    assert header(answer, "Retry-After") == "5"


def test_deleting_a_conversion_deletes_the_copy(shelf, copies):
    shelf.fetch()

    assert shelf.call("DELETE", "/v1/conversions/{conversion_id}", conversion_id="c1")["statusCode"] == 204
    assert copies.contents == {}


def test_a_conversion_is_deleted_also_when_its_copy_cannot_be(shelf, copies):
    """The copy goes by itself, and nobody is sent to it any more."""
    copies.down = True

    assert shelf.call("DELETE", "/v1/conversions/{conversion_id}", conversion_id="c1")["statusCode"] == 204
    assert shelf.fetch()["statusCode"] == 404
    assert shelf.deps.mp3s.contents == {}


def test_a_conversion_that_is_deleted_while_it_is_copied_leaves_no_copy(shelf, copies, monkeypatch):
    """Whoever deleted it found nothing to delete yet."""
    make = copies.make

    def delete_and_make(name, content_type, read_from, has_time):
        content = b"".join(read_from(0))
        shelf.call("DELETE", "/v1/conversions/{conversion_id}", conversion_id="c1")
        return make(name, content_type, lambda _: [content], has_time)

    monkeypatch.setattr(copies, "make", delete_and_make)

    assert shelf.fetch()["statusCode"] == 404
    assert copies.contents == {}


def test_the_database_that_goes_away_while_it_is_copied_is_a_503(shelf, copies, monkeypatch):
    def goes_away(*_args):
        yield LARGE[:100]
        raise Unavailable("The storage")

    monkeypatch.setattr(shelf.deps.mp3s, "read", goes_away)

    assert shelf.fetch()["statusCode"] == 503
    assert copies.contents == {}
