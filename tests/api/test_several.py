"""Several conversions at once: their MP3s in a ZIP, and the ones that a page watches; and what all of them take."""

import io
import zipfile
from datetime import UTC, datetime

import httpx
import pytest
from pymongo.database import Database

from functions.shared.conversions import Owner
from functions.shared.mongo import Document
from tests.api.services import Service
from tests.media import real_clip
from tests.problems import problem
from tests.stored_mp3s import store_mp3
from tests.tus import MAX_UPLOAD_BYTES, MIB, QUOTA_BYTES, TIMEOUT_S, Tus, metadata, new_person, noise, upload_id
from video2mp3 import State

ZIP = "/v1/conversions/zip"
CONTENTS = [b"small", noise(5 * MIB + 5), noise(300_007, seed=2)]
NAMES = ["Grüße.mp3", "grüße (2).mp3", "talk.mp3"]


@pytest.fixture(scope="module")
def ids(database: Database[Document], tus: Tus) -> list[str]:
    """Completed conversions, whose ZIP is longer than what a function answers by itself."""
    me = tus.person.me()
    filenames = ["Grüße.mp4", "grüße.mov", "talk.webm"]
    return [
        store_mp3(database, Owner(me.id, me.email), [content], filename)
        for content, filename in zip(CONTENTS, filenames, strict=True)
    ]


def fetch(web: httpx.Client, ids: list[str], **headers: str) -> httpx.Response:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return web.get(ZIP, params={"ids": ",".join(ids)}, headers=named, follow_redirects=True)


def test_a_zip_holds_every_mp3_whole(web: httpx.Client, ids: list[str]) -> None:
    """Its length is announced, so that browsers show how far they are; names, times and checksums are right."""
    answer = fetch(web, ids)

    assert answer.status_code == 200
    assert answer.headers["content-type"] == "application/zip"
    assert answer.headers["content-length"] == str(len(answer.content))
    assert 'filename="video2mp3.zip"' in answer.headers["content-disposition"]
    assert not [name for name in answer.headers if name.startswith("x-stored")]
    with zipfile.ZipFile(io.BytesIO(answer.content)) as archive:
        assert archive.testzip() is None
        assert archive.namelist() == NAMES
        assert [archive.read(name) for name in NAMES] == CONTENTS
        assert {info.date_time[:3] for info in archive.infolist()} <= {datetime.now(UTC).timetuple()[:3]}


def test_a_small_zip_is_like_a_large_one(web: httpx.Client, ids: list[str]) -> None:
    answer = fetch(web, ids[::2])

    assert answer.headers["content-length"] == str(len(answer.content))
    assert zipfile.ZipFile(io.BytesIO(answer.content)).namelist() == ["Grüße.mp3", "talk.mp3"]


def test_a_zip_that_broke_off_goes_on_where_it_was(web: httpx.Client, ids: list[str]) -> None:
    whole = fetch(web, ids).content

    for start in (1, 100, 5_000_000, len(whole) - 10):
        rest = fetch(web, ids, Range=f"bytes={start}-")
        assert (rest.status_code, rest.content) == (206, whole[start:])
        assert rest.headers["content-range"] == f"bytes {start}-{len(whole) - 1}/{len(whole)}"


def test_a_head_says_how_long_a_zip_would_be(web: httpx.Client, ids: list[str]) -> None:
    head = web.head(ZIP, params={"ids": ",".join(ids)})
    known = fetch(web, ids, If_None_Match=head.headers["etag"])

    assert (head.status_code, head.content) == (200, b"")
    assert int(head.headers["content-length"]) > sum(map(len, CONTENTS))
    assert known.status_code == 304


def test_a_link_brings_the_zip_without_a_login(service: Service, tus: Tus, ids: list[str]) -> None:
    """As a browser follows it: with no header, and where it is sent from there."""
    link = tus.person.zip_link(ids, ttl_s=600)

    answer = httpx.get(link.url, follow_redirects=True, timeout=TIMEOUT_S)

    assert link.url.startswith(f"{service.url}/v1/downloads/zip/")
    assert answer.status_code == 200
    assert zipfile.ZipFile(io.BytesIO(answer.content)).namelist() == NAMES
    assert httpx.head(link.url, timeout=TIMEOUT_S).status_code == 200
    assert problem(httpx.get(f"{link.url}x", timeout=TIMEOUT_S)) == (403, "invalid-link")


def test_a_zip_of_a_hundred_can_be_asked_for(web: httpx.Client, tus: Tus, database: Database[Document]) -> None:
    """The address is long by then, and so is the link; neither may be too long for anything on the way."""
    me = tus.person.me()
    hundred = [store_mp3(database, Owner(me.id, me.email), [b"x"]) for _ in range(100)]

    for answer in (fetch(web, hundred), httpx.get(tus.person.zip_link(hundred, ttl_s=60).url, timeout=TIMEOUT_S)):
        assert answer.status_code == 200
        names = zipfile.ZipFile(io.BytesIO(answer.content)).namelist()
        assert (len(names), names[0], names[-1]) == (100, "movie.mp3", "movie (100).mp3")
    assert problem(fetch(web, [*hundred, "one-more"])) == (422, "invalid-input")


def test_a_zip_is_of_ones_own_completed_conversions_only(
    web: httpx.Client, service: Service, stranger: Tus, tus: Tus, ids: list[str]
) -> None:
    """The answer names what to leave out, and does not tell what others have from what nobody has."""
    failed = upload_id(tus.store(b"no video"))
    tus.person.wait(failed, timeout_s=TIMEOUT_S)
    headers = {"Authorization": f"Bearer {stranger.token}"}

    waiting = fetch(web, [ids[0], failed])
    missing = fetch(web, [ids[0], "0" * 32])
    others = httpx.get(f"{service.url}{ZIP}", params={"ids": ids[0]}, headers=headers, timeout=TIMEOUT_S)

    assert problem(waiting) == (409, "not-ready")
    assert f"{failed} (failed)" in waiting.json()["detail"]
    assert problem(missing) == problem(others) == (404, "not-found")
    assert missing.json()["detail"].replace("0" * 32, "") == others.json()["detail"].replace(ids[0], "")


def test_a_page_watches_several_for_the_price_of_a_304(web: httpx.Client, ids: list[str]) -> None:
    """One request for all that is under way, and nothing to read as long as nothing has changed."""
    query = {"ids": ",".join([*ids, "0" * 32])}
    first = web.get("/v1/conversions", params=query)

    again = web.get("/v1/conversions", params=query, headers={"If-None-Match": first.headers["etag"]})

    assert [item["id"] for item in first.json()["items"]] == [*reversed(ids)]
    assert first.json()["next_cursor"] is None
    assert (again.status_code, again.content, again.headers["etag"]) == (304, b"", first.headers["etag"])


def test_a_page_sees_that_one_was_deleted(web: httpx.Client, tus: Tus, database: Database[Document]) -> None:
    me = tus.person.me()
    query = {"ids": store_mp3(database, Owner(me.id, me.email), [b"x"])}
    first = web.get("/v1/conversions", params=query)
    tus.person.delete(query["ids"])

    again = web.get("/v1/conversions", params=query, headers={"If-None-Match": first.headers["etag"]})

    assert (again.status_code, again.json()["items"]) == (200, [])


def test_usage_grows_with_what_is_sent_and_shrinks_with_what_is_deleted(service: Service) -> None:
    """A person who is out of room sees what takes it."""
    tus = new_person(service.url)
    empty = tus.person.usage()
    stored = tus.store(noise(1000))
    tus.patch(tus.create(5000), 0, b"some")

    used = tus.person.usage()
    tus.person.wait(upload_id(stored), timeout_s=TIMEOUT_S)
    tus.person.delete(upload_id(stored))

    assert (empty.stored_bytes, empty.open_uploads, empty.upload_bytes) == (0, 0, 0)
    assert (empty.quota_bytes, empty.max_upload_bytes) == (QUOTA_BYTES, MAX_UPLOAD_BYTES)
    assert empty.retention_days == 30
    assert (used.stored_bytes, used.open_uploads, used.upload_bytes) == (1000, 1, 5000)
    assert tus.person.usage().stored_bytes == 0
    tus.person.close()


def test_a_conversion_tells_how_its_video_came(web: httpx.Client, tus: Tus) -> None:
    """In a form or by tus, also when the conversion has ended."""
    said = {"original_bytes": "641728512", "sent": "sound"}
    form = web.post("/v1/conversions", files={"video": ("a.mp4", noise(1000))}, data=said)
    by_tus = upload_id(tus.store(noise(1000), metadata({"filename": "a.mp4", **said})))

    for conversion_id in (form.json()["id"], by_tus):
        ended = tus.person.wait(conversion_id, timeout_s=TIMEOUT_S)
        assert (ended.video.bytes, ended.video.original_bytes, ended.video.sent) == (1000, 641_728_512, "sound")


@pytest.mark.parametrize(("name", "value"), [("original_bytes", "12 MB"), ("original_bytes", "0"), ("sent", "half")])
def test_a_client_that_says_it_wrongly_is_told_the_field(web: httpx.Client, tus: Tus, name: str, value: str) -> None:
    form = web.post("/v1/conversions", files={"video": ("a.mp4", b"bytes")}, data={name: value})
    by_tus = tus.ask("POST", "/v1/uploads", {"Upload-Length": "5", **metadata({name: value})})

    assert problem(form) == (422, "invalid-input")
    assert [error["field"] for error in form.json()["errors"]] == [name]
    assert (by_tus.status, by_tus.code) == (422, "invalid-input")


def test_a_conversion_that_failed_lists_the_soundtracks_that_there_are(tus: Tus) -> None:
    """A person who asked for the wrong one sees which to ask for."""
    failed = tus.person.wait(tus.person.upload(real_clip(), track=9).id, timeout_s=TIMEOUT_S)

    assert failed.error is not None
    assert (failed.state, failed.error.type) == (State.FAILED, "invalid-option")
    assert [track.number for track in failed.video.tracks] == [1]
