"""Download, called as Lambda calls it, on fakes."""

import hashlib
from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any

import pytest

from functions.download.app import MAX_INLINE_BYTES, create_app
from functions.download.deps import Deps
from functions.shared.conversions import Failure, Mp3, Owner, State
from functions.shared.events import Event, EventName
from functions.shared.links import Links
from functions.shared.logs import get_logger
from functions.shared.problems import Unavailable
from tests.conversions import NOW, OWNER, VIDEO, conversion, event
from tests.events import REQUEST_ID, body_of, header, http_event, json_of
from tests.fakes.download import FakeLibrary
from tests.fakes.shared import FakeClock, FakeDatabase, FakeEvents, FakeFiles, FakeOutbox, Record
from tests.tus_function import Context

STRANGER = Owner(id="owner-2", email="eve@example.com")
FAILURE = Failure(type="no-audio-track", title="The video has no sound", detail="There is nothing to hear.")
AUDIO = bytes(range(256)) * 4
AUDIO_SHA256 = hashlib.sha256(AUDIO).hexdigest()


class Shelf:
    """The function on fakes, and the hands to put things there."""

    def __init__(self) -> None:
        self.database = FakeDatabase()
        ids = (f"id-{number}" for number in range(1, 100))
        clock = FakeClock(NOW)
        self.deps = Deps(
            library=FakeLibrary(self.database),
            videos=FakeFiles(),
            mp3s=FakeFiles(),
            copies=None,
            events=FakeEvents(),
            outbox=FakeOutbox(self.database),
            links=Links(("secret",), "https://example.com/app", clock),
            clock=clock,
            new_id=lambda: next(ids),
            logger=get_logger("download"),
        )
        self.context = Context()
        self._app = create_app(lambda: self.deps)

    def add(self, conversion_id: str = "c1", *, owed: Sequence[Event] = (), **fields: Any) -> None:
        self.deps.videos.put(conversion_id, [VIDEO])
        self.database.records[conversion_id] = Record(conversion(conversion_id, **fields), list(owed))

    def add_completed(self, conversion_id: str = "c1", *, audio: bytes = AUDIO, **fields: Any) -> None:
        mp3 = Mp3(len(audio), hashlib.sha256(audio).hexdigest(), 5.3, 190_000, 48_000, 2)
        completed_at = NOW + timedelta(seconds=90.5)
        self.add(conversion_id, state=State.COMPLETED, progress=1.0, mp3=mp3, completed_at=completed_at, **fields)
        self.deps.mp3s.put(f"{conversion_id}-1", [audio])
        self.database.records[conversion_id].mp3_file_id = f"{conversion_id}-1"

    def call(
        self,
        method: str,
        path: str,
        *,
        body: object = None,
        caller: Owner | None = OWNER,
        query: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
        **path_params: str,
    ) -> dict[str, Any]:
        return self._app(http_event(method, path, path_params, body, headers, query=query, caller=caller), self.context)

    def fetch(self, headers: Mapping[str, str] | None = None, *, method: str = "GET") -> dict[str, Any]:
        return self.call(method, "/v1/conversions/{conversion_id}/mp3", conversion_id="c1", headers=headers)


@pytest.fixture
def shelf() -> Shelf:
    return Shelf()


def test_a_list_is_of_ones_own_conversions_newest_first(shelf):
    shelf.add("c1", created_at=NOW)
    shelf.add("c2", created_at=NOW + timedelta(seconds=1))
    shelf.add("c3", owner=STRANGER)

    answer = shelf.call("GET", "/v1/conversions")

    assert answer["statusCode"] == 200
    assert [item["id"] for item in json_of(answer)["items"]] == ["c2", "c1"]
    assert json_of(answer)["next_cursor"] is None
    assert "owner" not in json_of(answer)["items"][0]


def test_pages_follow_each_other_without_gap_or_repeat(shelf):
    """Conversions of the same millisecond, and one added meanwhile, are where cursors go wrong."""
    for number in range(7):
        shelf.add(f"c{number}", created_at=NOW + timedelta(milliseconds=number // 3))
    seen, cursor = [], None
    while True:
        query = {"limit": "2"} | ({"cursor": cursor} if cursor else {})
        page = json_of(shelf.call("GET", "/v1/conversions", query=query))
        seen.append([item["id"] for item in page["items"]])
        shelf.add(f"late-{len(seen)}", created_at=NOW + timedelta(hours=1))
        cursor = page["next_cursor"]
        if cursor is None:
            break

    assert seen == [["c6", "c5"], ["c4", "c3"], ["c2", "c1"], ["c0"]]


def test_a_full_last_page_has_no_next(shelf):
    """A client that follows cursors should not be sent to an empty page."""
    shelf.add("c1")
    shelf.add("c2")

    assert json_of(shelf.call("GET", "/v1/conversions", query={"limit": "2"}))["next_cursor"] is None


def test_a_list_can_be_of_one_state(shelf):
    shelf.add("c1", state=State.FAILED, error=FAILURE)
    shelf.add("c2")

    answer = shelf.call("GET", "/v1/conversions", query={"state": "failed"})

    assert [item["id"] for item in json_of(answer)["items"]] == ["c1"]


def test_twenty_are_listed_unless_asked_otherwise(shelf):
    for number in range(21):
        shelf.add(f"c{number}")

    assert len(json_of(shelf.call("GET", "/v1/conversions"))["items"]) == 20
    assert len(json_of(shelf.call("GET", "/v1/conversions", query={"limit": "100"}))["items"]) == 21


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ({"limit": "0"}, "limit"),
        ({"limit": "101"}, "limit"),
        ({"limit": "-1"}, "limit"),
        ({"limit": "ten"}, "limit"),
        ({"limit": ""}, "limit"),
        ({"limit": "9" * 5000}, "limit"),
        ({"limit": "٣"}, "limit"),
        ({"state": "done"}, "state"),
        ({"state": ""}, "state"),
        ({"cursor": "abc"}, "cursor"),
        ({"cursor": ""}, "cursor"),
        ({"cursor": "MTIz"}, "cursor"),
        ({"cursor": "\ud800"}, "cursor"),
        ({"cursor": "OTk5OTk5OTk5OTk5OTk5OTk5OS5jMQ"}, "cursor"),
    ],
)
def test_a_wrong_parameter_is_named(shelf, query, field):
    answer = shelf.call("GET", "/v1/conversions", query=query)

    assert (answer["statusCode"], json_of(answer)["type"]) == (422, "/problems/invalid-input")
    assert [error["field"] for error in json_of(answer)["errors"]] == [field]


def test_a_conversion_is_shown_to_its_owner(shelf):
    shelf.add_completed()

    answer = shelf.call("GET", "/v1/conversions/{conversion_id}", conversion_id="c1")

    assert answer["statusCode"] == 200
    assert header(answer, "Cache-Control") == "no-store"
    assert json_of(answer)["mp3"] == {
        "bytes": len(AUDIO),
        "sha256": AUDIO_SHA256,
        "duration_s": 5.3,
        "bit_rate_bps": 190_000,
        "sample_rate_hz": 48_000,
        "channels": 2,
        "method": "encoded",
        "track": None,
        "loudness_lufs": None,
        "true_peak_dbtp": None,
        "chapters": 0,
        "cover": False,
        "source": None,
    }
    assert json_of(answer)["completed_at"] == "2026-01-01T12:01:30.500000Z"


EVERY_VERB = [
    ("GET", "/v1/conversions/{conversion_id}"),
    ("DELETE", "/v1/conversions/{conversion_id}"),
    ("POST", "/v1/conversions/{conversion_id}/retry"),
    ("POST", "/v1/conversions/{conversion_id}/link"),
    ("GET", "/v1/conversions/{conversion_id}/mp3"),
    ("HEAD", "/v1/conversions/{conversion_id}/mp3"),
]


@pytest.mark.parametrize(("method", "path"), EVERY_VERB)
@pytest.mark.parametrize("state", ["completed", "failed"])
def test_what_is_anothers_is_answered_like_what_is_missing(shelf, method, path, state):
    """Otherwise an id would tell whether it exists."""
    if state == "completed":
        shelf.add_completed()
    else:
        shelf.add(state=State.FAILED, error=FAILURE)

    anothers = shelf.call(method, path, conversion_id="c1", caller=STRANGER)
    missing = shelf.call(method, path, conversion_id="c2", caller=STRANGER)

    assert anothers["statusCode"] == 404
    assert anothers == missing
    assert shelf.deps.events.published == []
    assert shelf.deps.library.get("c1").conversion.state == state


@pytest.mark.parametrize(("method", "path"), EVERY_VERB)
@pytest.mark.parametrize("conversion_id", ["../../etc/passwd", "\x00", "a b", "\ud800", "$ne", "é", "a" * 5000, ""])
def test_a_malformed_id_is_a_missing_conversion(shelf, method, path, conversion_id):
    """It must reach neither the database nor a file system."""
    event = http_event(method, path, {"conversion_id": "x"}, caller=OWNER)
    event["pathParameters"] = {"conversion_id": conversion_id}

    answer = create_app(lambda: shelf.deps)(event, None)

    assert (answer["statusCode"], json_of(answer)["type"]) == (404, "/problems/not-found")


@pytest.mark.parametrize(("method", "path"), EVERY_VERB)
def test_without_a_person_nothing_is_shown(shelf, method, path):
    shelf.add_completed()

    assert shelf.call(method, path, conversion_id="c1", caller=None)["statusCode"] == 401


def test_a_deleted_conversion_and_its_files_are_gone(shelf):
    """Also the file of a worker that was killed before it could commit."""
    shelf.add_completed()
    shelf.deps.mp3s.put("c1-2", [b"never committed"])
    shelf.deps.mp3s.put("c10-1", [b"another's"])

    answer = shelf.call("DELETE", "/v1/conversions/{conversion_id}", conversion_id="c1")

    assert (answer["statusCode"], answer["body"]) == (204, "")
    assert shelf.deps.videos.contents == {}
    assert list(shelf.deps.mp3s.contents) == ["c10-1"]
    for method, path in EVERY_VERB:
        assert shelf.call(method, path, conversion_id="c1")["statusCode"] == 404
    assert json_of(shelf.call("GET", "/v1/conversions"))["items"] == []


def test_deleting_cancels_what_is_under_way(shelf):
    """Its worker loses the lease, and nobody is told about an end that does not come."""
    shelf.add(state=State.CONVERTING, owed=[event()])
    shelf.database.records["c1"].lease_until = NOW

    shelf.call("DELETE", "/v1/conversions/{conversion_id}", conversion_id="c1")

    record = shelf.database.records["c1"]
    assert (record.conversion.state, record.lease_until, record.owed) == (State.CANCELLED, None, [])


def test_a_failed_conversion_can_be_tried_again(shelf):
    shelf.add(state=State.FAILED, error=FAILURE, attempts=3, progress=0.4, completed_at=NOW)

    answer = shelf.call("POST", "/v1/conversions/{conversion_id}/retry", conversion_id="c1")

    assert answer["statusCode"] == 202
    shown = json_of(answer)
    assert (shown["state"], shown["error"], shown["attempts"]) == ("queued", None, 0)
    assert (shown["progress"], shown["completed_at"]) == (0.0, None)
    assert [(event.event, event.conversion_id) for event in shelf.deps.events.published] == [
        (EventName.VIDEO_UPLOADED, "c1")
    ]
    assert shelf.deps.outbox.owed(EventName.VIDEO_UPLOADED, 10) == []


def test_trying_again_while_the_broker_is_down_is_owed(shelf):
    shelf.add(state=State.FAILED, error=FAILURE)
    shelf.deps.events.down = True

    assert shelf.call("POST", "/v1/conversions/{conversion_id}/retry", conversion_id="c1")["statusCode"] == 202
    assert len(shelf.deps.outbox.owed(EventName.VIDEO_UPLOADED, 10)) == 1


@pytest.mark.parametrize("state", [State.QUEUED, State.CONVERTING, State.COMPLETED, State.CANCELLED])
def test_only_what_failed_can_be_tried_again(shelf, state):
    """Two conversions of one video at once would fight for it."""
    shelf.add(state=state)

    answer = shelf.call("POST", "/v1/conversions/{conversion_id}/retry", conversion_id="c1")

    assert (answer["statusCode"], json_of(answer)["type"]) == (409, "/problems/not-failed")
    assert shelf.deps.events.published == []


def test_an_mp3_is_sent_whole_with_all_that_a_client_needs(shelf):
    shelf.add_completed(filename="Grüße.mp4")

    answer = shelf.fetch()

    assert answer["statusCode"] == 200
    assert body_of(answer) == AUDIO
    assert answer["isBase64Encoded"] is True
    assert answer["headers"] == {
        "Content-Type": "audio/mpeg",
        "Content-Length": str(len(AUDIO)),
        "Content-Disposition": "attachment; filename=\"Gru_e.mp3\"; filename*=UTF-8''Gr%C3%BC%C3%9Fe.mp3",
        "ETag": f'"{AUDIO_SHA256}"',
        "Last-Modified": "Thu, 01 Jan 2026 12:01:30 GMT",
        "Accept-Ranges": "bytes",
        "Cache-Control": "private, no-cache",
        "X-Content-Type-Options": "nosniff",
        "X-Request-Id": REQUEST_ID,
    }


def test_a_head_has_the_headers_of_a_get_and_no_body(shelf):
    """Download managers ask for the length first. Ranges are defined for GET only."""
    shelf.add_completed()

    answer = shelf.fetch({"Range": "bytes=0-9"}, method="HEAD")

    assert (answer["statusCode"], body_of(answer)) == (200, b"")
    assert answer["headers"] == shelf.fetch()["headers"]


def test_one_range_is_sent_alone(shelf):
    shelf.add_completed()

    answer = shelf.fetch({"Range": "bytes=10-19"})

    assert (answer["statusCode"], body_of(answer)) == (206, AUDIO[10:20])
    assert header(answer, "Content-Range") == f"bytes 10-19/{len(AUDIO)}"
    assert header(answer, "Content-Length") == "10"


@pytest.mark.parametrize("value", ["bytes=0-1,4-5", "bytes=" + ",".join(f"{n}-{n}" for n in range(1000)), "bytes=x"])
def test_several_ranges_and_nonsense_get_the_whole(shelf, value):
    """A thousand ranges would be a thousand times the work."""
    shelf.add_completed()

    assert (shelf.fetch({"Range": value})["statusCode"], body_of(shelf.fetch({"Range": value}))) == (200, AUDIO)


def test_a_range_behind_the_end_is_answered_with_the_length(shelf):
    shelf.add_completed()

    answer = shelf.fetch({"Range": f"bytes={len(AUDIO)}-"})

    assert (answer["statusCode"], json_of(answer)["type"]) == (416, "/problems/range-not-satisfiable")
    assert header(answer, "Content-Range") == f"bytes */{len(AUDIO)}"


def test_an_mp3_that_the_client_has_is_not_sent_again(shelf):
    shelf.add_completed()

    answer = shelf.fetch({"If-None-Match": f'"other", W/"{AUDIO_SHA256}"'})

    assert (answer["statusCode"], answer["body"]) == (304, "")
    assert header(answer, "ETag") == f'"{AUDIO_SHA256}"'
    assert header(answer, "Content-Length") is None


def test_a_header_sent_on_two_lines_counts_as_one(shelf):
    """API Gateway gives the last line only in `headers`, all of them in `multiValueHeaders`."""
    shelf.add_completed()
    event = http_event("GET", "/v1/conversions/{conversion_id}/mp3", {"conversion_id": "c1"}, caller=OWNER)
    event["headers"]["if-none-match"] = '"other"'
    event["multiValueHeaders"]["if-none-match"] = [f'"{AUDIO_SHA256}"', '"other"']

    assert create_app(lambda: shelf.deps)(event, None)["statusCode"] == 304


def test_a_download_that_goes_on_with_another_file_is_stopped(shelf):
    shelf.add_completed()

    answer = shelf.fetch({"If-Match": '"other"', "Range": "bytes=10-"})

    assert (answer["statusCode"], json_of(answer)["type"]) == (412, "/problems/precondition-failed")


def test_a_large_mp3_is_named_for_whoever_can_stream_it(shelf):
    """A Lambda answer holds 6 MB; the gateway sends the rest from GridFS."""
    size = MAX_INLINE_BYTES + 2
    shelf.add_completed(audio=bytes(size))

    whole = shelf.fetch()
    large_range = shelf.fetch({"Range": "bytes=1-"})

    assert (whole["statusCode"], body_of(whole)) == (200, b"")
    assert header(whole, "X-Stored-File") == f"mp3s/c1-1;0-{size}"
    assert header(whole, "Content-Length") == str(size)
    assert (large_range["statusCode"], body_of(large_range)) == (206, b"")
    assert header(large_range, "X-Stored-File") == f"mp3s/c1-1;1-{size}"
    assert header(large_range, "Content-Range") == f"bytes 1-{size - 1}/{size}"


def test_what_fits_of_a_large_mp3_is_sent_inline(shelf):
    """And a HEAD names no file: there is nothing to stream."""
    shelf.add_completed(audio=bytes(MAX_INLINE_BYTES + 2))

    small_range, head = shelf.fetch({"Range": "bytes=2-"}), shelf.fetch(method="HEAD")

    assert (small_range["statusCode"], len(body_of(small_range))) == (206, MAX_INLINE_BYTES)
    assert header(small_range, "X-Stored-File") is None
    assert header(head, "X-Stored-File") is None
    assert header(head, "Content-Length") == str(MAX_INLINE_BYTES + 2)


def test_an_answer_of_the_inline_limit_fits_into_lambda(shelf):
    """6,291,556 bytes is what Lambda lets out, base64 included."""
    shelf.add_completed(audio=b"\xff" * MAX_INLINE_BYTES)

    answer = shelf.fetch()

    assert len(body_of(answer)) == MAX_INLINE_BYTES
    assert len(str(answer)) < 6_291_556


@pytest.mark.parametrize("damage", [AUDIO[:-1], AUDIO[:-1] + b"x", b""])
def test_a_damaged_mp3_is_never_sent(shelf, damage):
    """Wrong bytes with the right ETag would be kept for ever."""
    shelf.add_completed()
    shelf.deps.mp3s.contents["c1-1"] = damage

    answer = shelf.fetch()

    assert (answer["statusCode"], json_of(answer)["type"]) == (500, "/problems/storage-corrupt")
    assert header(answer, "ETag") is None


def test_an_mp3_that_was_lost_is_said_to_be_damaged(shelf):
    shelf.add_completed()
    shelf.deps.mp3s.delete("c1-1")

    assert json_of(shelf.fetch())["type"] == "/problems/storage-corrupt"


def test_an_mp3_that_is_deleted_while_it_is_fetched_is_missing(shelf, monkeypatch):
    """Nothing is damaged then."""
    shelf.add_completed()
    read = shelf.deps.mp3s.read

    def delete_and_read(*args):
        shelf.call("DELETE", "/v1/conversions/{conversion_id}", conversion_id="c1")
        return read(*args)

    monkeypatch.setattr(shelf.deps.mp3s, "read", delete_and_read)

    assert shelf.fetch()["statusCode"] == 404


@pytest.mark.parametrize("state", [State.QUEUED, State.CONVERTING, State.FAILED, State.CANCELLED])
def test_only_a_completed_conversion_has_an_mp3(shelf, state):
    shelf.add(state=state)

    for answer in (shelf.fetch(), shelf.fetch(method="HEAD")):
        assert (answer["statusCode"], json_of(answer)["type"]) == (409, "/problems/not-ready")


def test_a_link_downloads_without_logging_in(shelf):
    shelf.add_completed()

    answer = shelf.call("POST", "/v1/conversions/{conversion_id}/link", conversion_id="c1", body={"ttl_seconds": 60})

    assert answer["statusCode"] == 201
    link = json_of(answer)
    assert link["expires_at"] == "2026-01-01T12:01:00Z"
    assert link["url"].startswith("https://example.com/app/v1/downloads/")
    token = link["url"].rsplit("/", 1)[1]
    fetched = shelf.call("GET", "/v1/downloads/{token}", token=token, caller=None)
    assert (fetched["statusCode"], body_of(fetched)) == (200, AUDIO)
    assert shelf.call("HEAD", "/v1/downloads/{token}", token=token, caller=None)["statusCode"] == 200


@pytest.mark.parametrize("body", [None, {}])
def test_a_link_works_for_three_days_unless_asked_otherwise(shelf, body):
    shelf.add_completed()

    answer = shelf.call("POST", "/v1/conversions/{conversion_id}/link", conversion_id="c1", body=body)

    assert json_of(answer)["expires_at"] == "2026-01-04T12:00:00Z"


def test_a_link_is_not_said_to_work_longer_than_the_mp3_is_kept(shelf):
    """Whoever gets it should not count on what is deleted by then."""
    shelf.add_completed(expires_at=NOW + timedelta(days=1))

    answer = shelf.call("POST", "/v1/conversions/{conversion_id}/link", conversion_id="c1", body={})

    assert json_of(answer)["expires_at"] == "2026-01-02T12:00:00Z"


@pytest.mark.parametrize("ttl", [59, 30 * 24 * 3600 + 1, -1, 1.5, "60", None, 10**30, True])
def test_a_link_works_for_a_minute_to_thirty_days(shelf, ttl):
    shelf.add_completed()

    answer = shelf.call("POST", "/v1/conversions/{conversion_id}/link", conversion_id="c1", body={"ttl_seconds": ttl})

    assert answer["statusCode"] == 422
    assert [error["field"] for error in json_of(answer)["errors"]] == ["ttl_seconds"]


@pytest.mark.parametrize("body", ["{", "[]", '{"ttl": 60}', b"\xff\xfe"])
def test_a_link_is_not_made_from_nonsense(shelf, body):
    shelf.add_completed()

    answer = shelf.call("POST", "/v1/conversions/{conversion_id}/link", conversion_id="c1", body=body)

    assert answer["statusCode"] in {400, 422}


def test_there_is_no_link_to_an_mp3_that_is_not_ready(shelf):
    shelf.add()

    answer = shelf.call("POST", "/v1/conversions/{conversion_id}/link", conversion_id="c1", body={})

    assert json_of(answer)["type"] == "/problems/not-ready"


def test_a_link_ends_when_it_says(shelf):
    shelf.add_completed()
    token = shelf.deps.links.make("c1", timedelta(seconds=60)).url.rsplit("/", 1)[1]
    shelf.deps.clock.advance(seconds=60)

    answer = shelf.call("GET", "/v1/downloads/{token}", token=token, caller=None)

    assert (answer["statusCode"], json_of(answer)["type"]) == (403, "/problems/invalid-link")


@pytest.mark.parametrize("token", ["", "x", "a.b", "\ud800", "..", "é.é"])
def test_a_token_that_was_never_ours_is_refused(shelf, token):
    event = http_event("GET", "/v1/downloads/{token}", {"token": "x"})
    event["pathParameters"] = {"token": token}

    assert create_app(lambda: shelf.deps)(event, None)["statusCode"] == 403


def test_a_link_to_a_deleted_conversion_leads_nowhere(shelf):
    shelf.add_completed()
    token = shelf.deps.links.make("c1", timedelta(days=1)).url.rsplit("/", 1)[1]
    shelf.call("DELETE", "/v1/conversions/{conversion_id}", conversion_id="c1")

    assert shelf.call("GET", "/v1/downloads/{token}", token=token, caller=None)["statusCode"] == 404


def test_a_storage_that_does_not_answer_is_a_503(shelf, monkeypatch):
    """Not a 404: the client would give up on something that is there."""

    def does_not_answer(*_args):
        raise Unavailable("The storage")

    monkeypatch.setattr(shelf.deps.library, "get", does_not_answer)

    answer = shelf.fetch()

    assert (answer["statusCode"], header(answer, "Retry-After")) == (503, "5")
