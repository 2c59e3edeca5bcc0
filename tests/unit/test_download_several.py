"""Several conversions at once, on fakes: the ones that a page watches, and their MP3s in a ZIP."""

import io
import zipfile
from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from msgspec.structs import replace as with_fields

from functions.download.app import MAX_INLINE_BYTES
from functions.shared.conversions import Owner, State
from infra.gateway.answers import read_answer
from tests.conversions import NOW, OWNER
from tests.events import body_of, header, json_of
from tests.fakes.download import FakeCopies
from tests.tus_function import Context
from tests.unit.test_download import AUDIO, STRANGER, Shelf

ZIP = "/v1/conversions/zip"
LARGE = bytes(range(256)) * (MAX_INLINE_BYTES // 256) + b"!"


@pytest.fixture
def shelf() -> Shelf:
    return Shelf()


def watch(shelf: Shelf, ids: str, known: str | None = None, **query: str) -> dict[str, Any]:
    headers = {"If-None-Match": known} if known else None
    return shelf.call("GET", "/v1/conversions", query={"ids": ids, **query}, headers=headers)


def fetch(
    shelf: Shelf,
    *ids: str,
    headers: Mapping[str, str] | None = None,
    method: str = "GET",
    caller: Owner | None = OWNER,
) -> dict[str, Any]:
    return shelf.call(method, ZIP, query={"ids": ",".join(ids)}, headers=headers, caller=caller)


def unzipped(content: bytes) -> dict[str, bytes]:
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        assert archive.testzip() is None
        return {info.filename: archive.read(info) for info in archive.infolist()}


# The ones that a page watches


def test_those_that_are_asked_for_come_newest_first(shelf):
    """In one answer, shaped like a page of the list. What was deleted meanwhile is missing."""
    for number in range(4):
        shelf.add(f"c{number}", created_at=NOW + timedelta(seconds=number))
    shelf.call("DELETE", "/v1/conversions/{conversion_id}", conversion_id="c2")

    answer = watch(shelf, "c0,c3,c2,c1,c0,no-such-id")

    assert answer["statusCode"] == 200
    assert [item["id"] for item in json_of(answer)["items"]] == ["c3", "c1", "c0"]
    assert json_of(answer)["next_cursor"] is None
    assert "owner" not in json_of(answer)["items"][0]


def test_what_belongs_to_somebody_else_is_missing(shelf):
    shelf.add("c1", owner=STRANGER)

    assert json_of(watch(shelf, "c1"))["items"] == []


def test_as_long_as_nothing_has_changed_there_is_nothing_to_send(shelf):
    """A page asks every second. Any change it could show is one, however small."""
    shelf.add("c1")
    shelf.add("c2")
    first = watch(shelf, "c1,c2")
    etag = header(first, "ETag")
    assert etag is not None

    again = watch(shelf, "c1,c2", etag)
    record = shelf.database.records["c1"]
    record.conversion = with_fields(record.conversion, progress=0.01)
    changed = watch(shelf, "c1,c2", etag)

    assert (again["statusCode"], body_of(again), header(again, "ETag")) == (304, b"", etag)
    assert changed["statusCode"] == 200
    assert header(changed, "ETag") != etag
    assert {header(each, "Cache-Control") for each in (first, again)} == {"private, no-cache"}


@pytest.mark.parametrize("ids", ["", ",", "c1,", "c1;c2", "a" * 65, ",".join(["c1"] * 101)])
def test_malformed_ids_and_too_many_ids_are_refused(shelf, ids):
    for answer in (watch(shelf, ids), shelf.call("GET", ZIP, query={"ids": ids})):
        assert answer["statusCode"] == 422
        assert [error["field"] for error in json_of(answer)["errors"]] == ["ids"]


def test_a_hundred_are_not_too_many(shelf):
    assert watch(shelf, ",".join(f"{number:032x}" for number in range(100)))["statusCode"] == 200


def test_ids_are_not_combined_with_what_makes_pages(shelf):
    """An answer that ignored one of them would look right."""
    answer = watch(shelf, "c1", state="failed", limit="2", cursor="x")

    assert [error["field"] for error in json_of(answer)["errors"]] == ["state", "limit", "cursor"]


# Their MP3s in a ZIP


def test_a_zip_holds_the_mp3s_in_the_order_in_which_they_were_asked_for(shelf):
    shelf.add_completed("c1", filename="Grüße.mp4")
    shelf.add_completed("c2", audio=b"second", filename="grüße.mov")
    shelf.add_completed("c3", audio=b"third")

    answer = fetch(shelf, "c2", "c1", "c2")

    assert answer["statusCode"] == 200
    assert list(unzipped(body_of(answer)).items()) == [("grüße.mp3", b"second"), ("Grüße (2).mp3", AUDIO)]
    assert header(answer, "Content-Type") == "application/zip"
    assert header(answer, "Content-Length") == str(len(body_of(answer)))
    assert str(header(answer, "Content-Disposition")).startswith('attachment; filename="video2mp3.zip"')
    assert header(answer, "Cache-Control") == "private, no-cache"


def test_a_large_zip_is_listed_for_the_gateway(shelf):
    """Its MP3s are streamed from the storage, and what is written around them comes with the answer."""
    shelf.add_completed("c1", audio=LARGE)
    shelf.add_completed("c2", audio=b"second")

    answer = fetch(shelf, "c1", "c2")
    pieces = read_answer(answer, "GET").stored

    assert pieces is not None
    content = b"".join(
        piece if isinstance(piece, bytes) else shelf.deps.mp3s.contents[piece.file_id][piece.start : piece.end]
        for piece in pieces.all
    )
    assert list(unzipped(content).values()) == [LARGE, b"second"]
    assert header(answer, "Content-Length") == str(len(content))
    assert len(body_of(answer)) < 1000


def test_a_range_of_a_zip_is_sent_alone(shelf):
    """As long as it is the same ZIP. A download of gigabytes goes on where it broke."""
    shelf.add_completed("c1")
    whole = body_of(fetch(shelf, "c1"))
    etag = str(header(fetch(shelf, "c1"), "ETag"))

    part = fetch(shelf, "c1", headers={"Range": "bytes=10-", "If-Range": etag})
    other = fetch(shelf, "c1", headers={"Range": "bytes=10-", "If-Range": '"another"'})
    known = fetch(shelf, "c1", headers={"If-None-Match": etag})
    head = fetch(shelf, "c1", method="HEAD")

    assert (part["statusCode"], body_of(part)) == (206, whole[10:])
    assert header(part, "Content-Range") == f"bytes 10-{len(whole) - 1}/{len(whole)}"
    assert (other["statusCode"], body_of(other)) == (200, whole)
    assert known["statusCode"] == 304
    assert (body_of(head), header(head, "Content-Length")) == (b"", str(len(whole)))


def test_a_zip_of_what_is_not_there_names_it(shelf):
    """Also of what belongs to somebody else: nobody can tell which."""
    shelf.add_completed("c1")
    shelf.add_completed("c2", owner=STRANGER)

    answer = fetch(shelf, "c1", "c2", "c3")

    assert (answer["statusCode"], json_of(answer)["type"]) == (404, "/problems/not-found")
    assert json_of(answer)["detail"].endswith("are not yours: c2, c3. Leave them out.")


def test_a_zip_of_what_is_not_completed_names_it(shelf):
    shelf.add_completed("c1")
    shelf.add("c2")
    shelf.add("c3", state=State.FAILED)

    answer = fetch(shelf, "c1", "c2", "c3")

    assert (answer["statusCode"], json_of(answer)["type"]) == (409, "/problems/not-ready")
    assert "c2 (queued), c3 (failed)" in json_of(answer)["detail"]


@pytest.mark.parametrize("damage", [AUDIO[:-1], AUDIO[:-1] + b"?", None])
def test_a_zip_with_a_damaged_mp3_is_not_sent(shelf, damage):
    shelf.add_completed("c1")
    if damage is None:
        shelf.deps.mp3s.delete("c1-1")
    else:
        shelf.deps.mp3s.contents["c1-1"] = damage

    answer = fetch(shelf, "c1")

    assert (answer["statusCode"], json_of(answer)["type"]) == (500, "/problems/storage-corrupt")


def test_without_a_person_there_is_no_zip(shelf):
    shelf.add_completed("c1")

    assert fetch(shelf, "c1", caller=None)["statusCode"] == 401


# By link


def link(shelf: Shelf, *ids: str, **body: Any) -> dict[str, Any]:
    return shelf.call("POST", "/v1/conversions/zip/link", body={"ids": [*ids], **body})


def linked(shelf: Shelf, answer: dict[str, Any], method: str = "GET") -> dict[str, Any]:
    token = json_of(answer)["url"].rpartition("/")[2]
    return shelf.call(method, "/v1/downloads/zip/{token}", token=token, caller=None)


def test_a_link_leads_to_the_zip_without_a_login(shelf):
    """A browser adds no token to a download that it starts by itself."""
    shelf.add_completed("c1")
    shelf.add_completed("c2", audio=b"second")

    made = link(shelf, "c2", "c1", "c1", ttl_seconds=600)

    assert made["statusCode"] == 201
    assert json_of(made)["url"].startswith("https://example.com/app/v1/downloads/zip/")
    assert json_of(made)["expires_at"] == "2026-01-01T12:10:00Z"
    assert list(unzipped(body_of(linked(shelf, made))).values()) == [b"second", AUDIO]
    assert linked(shelf, made, "HEAD")["statusCode"] == 200


def test_a_link_ends_when_the_first_of_its_mp3s_goes(shelf):
    """A link that promises more than is kept is a broken promise."""
    shelf.add_completed("c1", expires_at=NOW + timedelta(days=5))
    shelf.add_completed("c2", expires_at=NOW + timedelta(days=2))

    assert json_of(link(shelf, "c1", "c2"))["expires_at"] == "2026-01-03T12:00:00Z"


def test_a_link_whose_mp3s_are_not_all_there_any_more_says_so(shelf):
    shelf.add_completed("c1")
    shelf.add_completed("c2")
    made = link(shelf, "c1", "c2")
    shelf.call("DELETE", "/v1/conversions/{conversion_id}", conversion_id="c2")

    assert linked(shelf, made)["statusCode"] == 404


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "ids"),
        ({"ids": []}, "ids"),
        ({"ids": "c1"}, "ids"),
        ({"ids": ["c1"] * 101}, "ids"),
        ({"ids": ["../c1"]}, "ids"),
        ({"ids": ["c1"], "ttl_seconds": 59}, "ttl_seconds"),
    ],
)
def test_a_request_for_a_link_that_is_wrong_names_the_field(shelf, body, field):
    answer = shelf.call("POST", "/v1/conversions/zip/link", body=body)

    assert (answer["statusCode"], json_of(answer)["errors"][0]["field"]) == (422, field)


def test_nobody_makes_a_link_to_what_is_not_theirs_or_not_there_yet(shelf):
    shelf.add("c1")
    shelf.add_completed("c2", owner=STRANGER)

    assert link(shelf, "c1")["statusCode"] == 409
    assert link(shelf, "c2")["statusCode"] == 404


# Where nobody can stream in the function's place


@pytest.fixture
def copies(shelf: Shelf) -> FakeCopies:
    copies = FakeCopies(shelf.deps.clock)
    shelf.deps = replace(shelf.deps, copies=copies)
    shelf.add_completed("c1", audio=LARGE)
    shelf.add_completed("c2", audio=b"second")
    return copies


def test_a_large_zip_is_copied_once_and_fetched_from_there(shelf, copies):
    """Its name is that of its content, so that the same selection is not copied again."""
    answers = [fetch(shelf, "c1", "c2") for _ in range(2)]

    assert [answer["statusCode"] for answer in answers] == [307, 307]
    content, name = copies.fetch(str(header(answers[0], "Location")))
    assert list(unzipped(content).values()) == [LARGE, b"second"]
    assert (name, copies.makings) == ("video2mp3.zip", 1)
    assert fetch(shelf, "c2", "c1")["statusCode"] == 307
    assert copies.makings == 2


def test_while_a_zip_is_copied_a_client_is_sent_to_the_same_address(shelf, copies):
    """A ZIP of a hundred MP3s takes minutes. The ids have to be in the address again."""
    shelf.context = Context(29_000, 6_000)
    first = fetch(shelf, "c1", "c2")
    shelf.context = Context(29_000)

    assert (first["statusCode"], header(first, "Location")) == (307, "/v1/conversions/zip?ids=c1%2Cc2")
    content, _ = copies.fetch(str(header(fetch(shelf, "c1", "c2"), "Location")))
    assert list(unzipped(content).values()) == [LARGE, b"second"]


def test_a_zip_with_a_damaged_mp3_is_never_copied(shelf, copies):
    shelf.deps.mp3s.contents["c2-1"] = b"secoNd"

    assert fetch(shelf, "c1", "c2")["statusCode"] == 500
    assert copies.contents == {}


def test_a_zip_of_which_a_part_is_deleted_while_it_is_copied_leaves_no_copy(shelf, copies, monkeypatch):
    make = copies.make

    def delete_and_make(name, content_type, read_from, has_time):
        content = b"".join(read_from(0))
        shelf.call("DELETE", "/v1/conversions/{conversion_id}", conversion_id="c2")
        return make(name, content_type, lambda _: [content], has_time)

    monkeypatch.setattr(copies, "make", delete_and_make)

    assert fetch(shelf, "c1", "c2")["statusCode"] == 404
    assert copies.contents == {}
