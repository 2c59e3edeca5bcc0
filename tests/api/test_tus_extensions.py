"""The extensions of tus 1.0.0 that this server announces, in plain HTTP.

https://tus.io/protocols/resumable-upload. A docstring begins with the section that demands it.
"""

import base64
import json
import zlib
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime

import pytest
from pymongo.database import Database

from functions.shared.mongo import Document
from tests.api.services import Service
from tests.tus import (
    BYTES,
    MAX_UPLOAD_BYTES,
    MIB,
    QUOTA_BYTES,
    UPLOADS,
    Tus,
    checksum,
    metadata,
    new_person,
    noise,
    sha256,
    stored,
    upload_id,
)
from tests.wrong_options import WRONG, Wrong, told_as
from video2mp3 import ApiError

HELLO = b"hello world"
NAMED = "filename aGVsbG8gd29ybGQ="


# Creation


def test_an_upload_is_created_at_a_place_of_its_own(tus: Tus) -> None:
    """Creation, POST: 201 with a Location, absolute or relative. Nobody can guess another's."""
    first, second = tus.create(100), tus.create(100)

    assert first != second
    assert len(upload_id(first)) >= 32
    assert tus.offset(first) == tus.offset(second) == 0


@pytest.mark.parametrize("length", ["", "-1", "-0", "+5", "5.0", "1e2", "0x5", "five", "5 5", "5,5", "9" * 5000])
def test_a_length_that_is_no_number_is_refused(tus: Tus, length: str) -> None:
    """Upload-Length: the value MUST be a non-negative integer."""
    answer = tus.ask("POST", UPLOADS, {"Upload-Length": length})

    assert answer.status in {400, 413} if length == "9" * 5000 else answer.status == 400
    assert answer.header("Location") is None


def test_a_length_or_its_deferral_is_needed(tus: Tus) -> None:
    """Creation, POST: the request MUST include one of both."""
    answer = tus.ask("POST", UPLOADS)

    assert answer.status == 400
    assert answer.header("Location") is None


def test_a_length_that_is_deferred_all_the_same_is_refused(tus: Tus) -> None:
    """Upload-Defer-Length: if the length is not deferred it MUST be omitted."""
    assert tus.ask("POST", UPLOADS, {"Upload-Length": "5", "Upload-Defer-Length": "1"}).status == 400


@pytest.mark.parametrize("value", ["0", "2", "true", "", "-1"])
def test_a_length_can_be_deferred_in_one_way_only(tus: Tus, value: str) -> None:
    """Upload-Defer-Length: its value MUST be 1, else 400."""
    assert tus.ask("POST", UPLOADS, {"Upload-Defer-Length": value}).status == 400


@pytest.mark.parametrize("length", [MAX_UPLOAD_BYTES + 1, 2**50, 2**63, 10**30])
def test_a_length_over_the_maximum_is_refused(tus: Tus, length: int) -> None:
    """Creation, POST: 413, and the limit is told."""
    answer = tus.ask("POST", UPLOADS, {"Upload-Length": str(length)})

    assert (answer.status, answer.code) == (413, "too-large")
    assert str(MAX_UPLOAD_BYTES) in answer.body.decode()


def test_the_maximum_itself_is_no_more_than_the_maximum(tus: Tus) -> None:
    """Tus-Max-Size: the maximum allowed size."""
    assert tus.ask("DELETE", tus.create(MAX_UPLOAD_BYTES)).status == 204


def test_an_upload_of_no_bytes_is_complete_at_once(tus: Tus) -> None:
    """Creation, POST: Upload-Length MAY be 0, and no PATCH is needed."""
    path = tus.create(0)

    answer = tus.head(path)
    assert (answer.status, answer.offset, answer.header("Upload-Length")) == (200, 0, "0")


def test_more_than_a_person_may_store_is_refused(service: Service, tus: Tus) -> None:
    """Before its bytes are sent, and what uploads under way will need counts too. Others are not concerned."""
    collector = new_person(service.url)
    paths = [collector.create(MAX_UPLOAD_BYTES) for _ in range(QUOTA_BYTES // MAX_UPLOAD_BYTES)]

    refused = collector.ask("POST", UPLOADS, {"Upload-Length": "1"})

    assert (refused.status, refused.code) == (403, "quota-exceeded")
    assert tus.ask("DELETE", tus.create(1)).status == 204
    assert collector.ask("DELETE", paths[0]).status == 204
    assert collector.create(1)
    collector.person.close()


# Deferred length


def test_a_deferred_length_stays_deferred_until_a_patch_tells_it(tus: Tus) -> None:
    """Creation, POST: HEAD MUST say Upload-Defer-Length: 1 until the length is known, and then the length."""
    path = tus.create(None)
    tus.patch(path, 0, HELLO[:4])

    before = tus.head(path)
    tus.patch(path, 4, HELLO[4:6], {"Upload-Length": "11"})
    after = tus.head(path)

    assert (before.header("Upload-Defer-Length"), before.header("Upload-Length"), before.offset) == ("1", None, 4)
    assert (after.header("Upload-Defer-Length"), after.header("Upload-Length"), after.offset) == (None, "11", 6)
    assert tus.patch(path, 6, HELLO[6:]).offset == 11


def test_the_last_patch_may_tell_the_length(tus: Tus, database: Database[Document]) -> None:
    """Creation, POST: as a client does that reads from a pipe."""
    path = tus.create(None)

    assert tus.patch(path, 0, HELLO[:6]).offset == 6
    assert tus.patch(path, 6, HELLO[6:], {"Upload-Length": "11"}).offset == 11

    assert stored(database, path) == HELLO


def test_a_patch_without_bytes_may_tell_the_length(tus: Tus, database: Database[Document]) -> None:
    """Creation, POST: a pipe may end just after a chunk."""
    path = tus.create(None)
    tus.patch(path, 0, HELLO)

    answer = tus.patch(path, 11, b"", {"Upload-Length": "11"})

    assert (answer.status, answer.offset) == (204, 11)
    assert stored(database, path) == HELLO


@pytest.mark.parametrize("told", ["12", "10", "4"])
def test_a_length_once_told_stays(tus: Tus, told: str) -> None:
    """Creation, POST: once set the length MUST NOT be changed."""
    path = tus.create(None)
    tus.patch(path, 0, HELLO[:4], {"Upload-Length": "11"})

    assert tus.patch(path, 4, b"", {"Upload-Length": told}).status == 400

    answer = tus.head(path)
    assert (answer.header("Upload-Length"), answer.offset) == ("11", 4)


def test_the_length_of_the_creation_stays_too(tus: Tus) -> None:
    """Creation, POST: the same."""
    path = tus.create(11)

    assert tus.patch(path, 0, HELLO[:4], {"Upload-Length": "200"}).status == 400
    assert tus.head(path).header("Upload-Length") == "11"


@pytest.mark.parametrize(("told", "status"), [("3", {400, 413}), ("-1", {400}), ("x", {400})])
def test_a_length_that_cannot_be_is_refused(tus: Tus, told: str, status: set[int]) -> None:
    """Upload-Length: it cannot be less than what is there."""
    path = tus.create(None)
    tus.patch(path, 0, HELLO[:4])

    assert tus.patch(path, 4, b"", {"Upload-Length": told}).status in status
    assert tus.head(path).header("Upload-Defer-Length") == "1"


def test_a_deferred_length_over_the_maximum_is_refused_when_it_is_told(tus: Tus) -> None:
    """Tus-Max-Size: it holds for all uploads."""
    path = tus.create(None)

    assert tus.patch(path, 0, HELLO, {"Upload-Length": str(MAX_UPLOAD_BYTES + 1)}).status == 413
    assert tus.offset(path) == 0


# Metadata


@pytest.mark.parametrize(
    "value",
    [
        NAMED,
        f"{NAMED},filetype dmlkZW8vbXA0,is_confidential",
        "is_confidential",
        f"is_confidential ,{NAMED}",
        f"{NAMED},relativePath bnVsbA==,name AP8K",
    ],
)
def test_metadata_is_told_again_as_it_was_sent(tus: Tus, value: str) -> None:
    """Creation, POST: HEAD MUST include Upload-Metadata and its value as specified by the client."""
    assert tus.head(tus.create(100, {"Upload-Metadata": value})).header("Upload-Metadata") == value


def test_without_metadata_there_is_none(tus: Tus) -> None:
    """Upload-Metadata: it MUST consist of one or more pairs, so an empty header would be wrong."""
    assert tus.head(tus.create(100)).header("Upload-Metadata") is None


@pytest.mark.parametrize(
    "value",
    [
        "filename not_base64!",
        "filename aGVsbG8",
        "filename aGVsbG8gd29ybGQ= more",
        f"{NAMED},,filetype dmlkZW8vbXA0",
        f"{NAMED},",
        f"{NAMED},{NAMED}",
        f" ,{NAMED}",
        f"{NAMED};filetype dmlkZW8vbXA0",
    ],
)
def test_metadata_that_cannot_be_read_is_refused(tus: Tus, value: str) -> None:
    """Upload-Metadata: keys MUST be unique and not empty, values MUST be Base64."""
    answer = tus.ask("POST", UPLOADS, {"Upload-Length": "100", "Upload-Metadata": value})

    assert answer.status == 400
    assert answer.header("Location") is None


def test_metadata_cannot_smuggle_a_header(tus: Tus) -> None:
    """Upload-Metadata: servers should take care, since the values can be anything."""
    path = tus.create(100, metadata({"filename": "a.mp4\r\nSet-Cookie: a=b", "note": "\r\n\r\n<html>"}))

    assert tus.head(path).header("Set-Cookie") is None


@pytest.mark.parametrize(
    ("sent", "shown"),
    [
        ("../../etc/passwd", "passwd"),
        ("C:\\videos\\a walk.mp4", "a walk.mp4"),
        ('a\r\nb\x00"c".mp4', None),
        ("\u202egpj.mp4 \N{CLAPPER BOARD}", None),
        ("ü" * 300 + ".mp4", None),
        ("-i", "-i"),
        ("concat:x", "concat:x"),
        ("%d.mp4", "%d.mp4"),
    ],
)
def test_the_name_in_the_metadata_is_for_display_only(tus: Tus, sent: str, shown: str | None) -> None:
    """Whatever stands in it: no path, no line break, no mark that turns text around, and no endless name."""
    path = tus.store(HELLO, metadata({"filename": sent}))

    name = tus.person.conversion(upload_id(path)).filename

    assert name == shown or shown is None
    assert not set(name) & set("\r\n\x00/\\\u202e")
    assert 0 < len(name.encode()) <= 255


def test_options_travel_in_the_metadata(tus: Tus) -> None:
    """There is no form around the bytes."""
    sent = {"quality": "320", "track": "DE", "start": "1:30", "cover": "00:01:35", "year": "2014", "title": "Grüße 🎬"}
    path = tus.store(HELLO, metadata({"filename": "a.mp4", "filetype": "video/mp4", **sent}))

    told = tus.person.conversion(upload_id(path)).options
    chosen = {"quality": "320", "track": "de", "start": 90.0, "cover": "95", "year": "2014", "title": "Grüße 🎬"}
    assert {name: told[name] for name in chosen} == chosen
    assert told["channels"] == "auto"


@pytest.mark.parametrize("char", ["x", "東", "🎬"])
def test_the_longest_texts_fit_in_the_metadata(tus: Tus, char: str) -> None:
    """In every language, and through every server on the way."""
    sent = {"filename": "a.mp4", "title": char * 500, "comment": char * 1000}

    path = tus.store(HELLO, metadata(sent))

    told = tus.person.conversion(upload_id(path)).options
    assert (told["title"], told["comment"]) == (sent["title"], sent["comment"])


@pytest.mark.parametrize("wrong", [pytest.param(wrong, id=name) for name, wrong in WRONG.items()])
def test_a_wrong_option_is_refused_before_a_byte_is_sent(tus: Tus, wrong: Wrong) -> None:
    """Twenty gigabytes later would be late. Each one is named, with what is allowed."""
    answer = tus.ask("POST", UPLOADS, {"Upload-Length": "100", **metadata(wrong.sent)})

    assert (answer.status, answer.code) == (422, "invalid-input")
    assert told_as(wrong, json.loads(answer.body)["errors"]), answer.body
    assert answer.header("Location") is None


# Creation with upload


def test_the_first_bytes_may_come_with_the_creation(tus: Tus) -> None:
    """Creation With Upload: MUST answer with Upload-Offset, the offset after the accepted bytes."""
    answer = tus.ask("POST", UPLOADS, {"Upload-Length": "11", "Content-Type": BYTES}, HELLO[:5])
    path = tus.path_of(answer)

    assert (answer.status, answer.offset) == (201, 5)
    assert tus.offset(path) == 5
    assert tus.patch(path, 5, HELLO[5:]).offset == 11


def test_all_bytes_may_come_with_the_creation(tus: Tus, database: Database[Document]) -> None:
    """Creation With Upload: one request instead of two, for small files."""
    answer = tus.ask("POST", UPLOADS, {"Upload-Length": "11", "Content-Type": BYTES}, HELLO)

    assert (answer.status, answer.offset) == (201, 11)
    assert tus.path_of(answer, "Content-Location") == f"/v1/conversions/{upload_id(tus.path_of(answer))}"
    assert stored(database, tus.path_of(answer)) == HELLO


def test_the_first_of_unknown_many_bytes_may_come_with_the_creation(tus: Tus) -> None:
    """Creation With Upload, and Creation: both headers have their meaning together."""
    answer = tus.ask("POST", UPLOADS, {"Upload-Defer-Length": "1", "Content-Type": BYTES}, HELLO)

    assert (answer.status, answer.offset) == (201, 11)
    assert tus.head(tus.path_of(answer)).header("Upload-Defer-Length") == "1"


@pytest.mark.parametrize("kind", ["text/plain", "application/octet-stream", None])
def test_a_creation_with_bytes_of_another_type_is_refused(tus: Tus, kind: str | None) -> None:
    """Creation With Upload: the client MUST include the Content-Type."""
    answer = tus.ask("POST", UPLOADS, {"Upload-Length": "11", "Content-Type": kind}, HELLO)

    assert answer.status == 415


def test_a_creation_with_more_bytes_than_it_announces_is_refused(tus: Tus) -> None:
    """Creation With Upload: rules similar to those of PATCH apply."""
    answer = tus.ask("POST", UPLOADS, {"Upload-Length": "5", "Content-Type": BYTES}, HELLO)

    assert answer.status == 413


def test_a_creation_with_a_wrong_checksum_stores_nothing(tus: Tus) -> None:
    """Creation With Upload; Checksum: the bytes are discarded, and where an upload was made, it is at 0."""
    headers = {"Upload-Length": "11", "Content-Type": BYTES, **checksum("sha1", b"other")}

    answer = tus.ask("POST", UPLOADS, headers, HELLO)

    assert answer.status == 460
    if answer.header("Location"):
        assert tus.offset(tus.path_of(answer)) == 0


# Expiration


def test_an_unfinished_upload_tells_when_it_expires(tus: Tus) -> None:
    """Expiration: in the answer to POST and in every answer to PATCH, as an HTTP date."""
    created = tus.ask("POST", UPLOADS, {"Upload-Length": "11"})
    answers = [created, tus.patch(tus.path_of(created), 0, HELLO[:4]), tus.head(tus.path_of(created))]

    for answer in answers:
        said = answer.header("Upload-Expires")
        assert said is not None
        assert said.endswith(" GMT")
        left = parsedate_to_datetime(said) - datetime.now(UTC)
        assert timedelta(hours=23) < left < timedelta(hours=25)


@pytest.mark.parametrize("method", ["HEAD", "PATCH"])
def test_an_expired_upload_is_gone(tus: Tus, database: Database[Document], method: str) -> None:
    """Expiration: 410 or 404, without an offset, and nothing is appended to it."""
    path = tus.create(11)
    tus.patch(path, 0, HELLO[:4])
    past = datetime.now(UTC) - timedelta(minutes=1)
    assert database.uploads.update_one({"_id": upload_id(path)}, {"$set": {"expires_at": past}}).matched_count == 1

    answer = tus.head(path) if method == "HEAD" else tus.patch(path, 4, HELLO[4:])

    assert answer.status in {404, 410}
    assert answer.header("Upload-Offset") is None


def test_a_finished_upload_does_not_expire(tus: Tus, database: Database[Document]) -> None:
    """Expiration: it is about unfinished uploads. A conversion has an end of its own."""
    path = tus.store(HELLO)
    past = datetime.now(UTC) - timedelta(minutes=1)
    database.uploads.update_one({"_id": upload_id(path)}, {"$set": {"expires_at": past}})

    assert tus.head(path).header("Upload-Expires") is None
    assert tus.person.conversion(upload_id(path)).id == upload_id(path)


# Checksum


@pytest.mark.parametrize("algorithm", ["sha1", "sha256", "md5"])
def test_bytes_with_their_checksum_are_taken(tus: Tus, algorithm: str) -> None:
    """Checksum: 204 if they match."""
    path = tus.create(11)

    answer = tus.patch(path, 0, HELLO, checksum(algorithm, HELLO))

    assert (answer.status, answer.offset) == (204, 11)


def test_bytes_with_their_crc32_are_taken(tus: Tus) -> None:
    """Checksum: as the four bytes of the number, the highest first."""
    crc = base64.b64encode(zlib.crc32(HELLO).to_bytes(4, "big")).decode()
    path = tus.create(11)

    assert tus.patch(path, 0, HELLO, {"Upload-Checksum": f"crc32 {crc}"}).status == 204


@pytest.mark.parametrize("algorithm", ["sha1", "sha256", "md5"])
def test_bytes_with_another_checksum_are_discarded(tus: Tus, database: Database[Document], algorithm: str) -> None:
    """Checksum: 460, the bytes MUST be discarded, and the upload and its offset MUST NOT be updated."""
    path = tus.create(11)
    tus.patch(path, 0, HELLO[:4])

    answer = tus.patch(path, 4, b"changed", checksum(algorithm, HELLO[4:]))

    assert (answer.status, answer.code) == (460, "wrong-checksum")
    assert tus.offset(path) == 4
    assert tus.patch(path, 4, HELLO[4:], checksum(algorithm, HELLO[4:])).status == 204
    assert stored(database, path) == HELLO


def test_a_wrong_checksum_does_not_let_the_length_in(tus: Tus) -> None:
    """Checksum: the upload MUST NOT be updated, its length included."""
    path = tus.create(None)

    assert tus.patch(path, 0, HELLO, {"Upload-Length": "11", **checksum("sha1", b"other")}).status == 460
    assert tus.head(path).header("Upload-Defer-Length") == "1"


@pytest.mark.parametrize(
    "value",
    [
        *("sha512 AAAA", "SHA1 Kq5sNclPz7QV2+lfQIuc6R7oRu0=", "sha1", "sha1 ", "sha1 not-base64!", "sha1 AAAA", ""),
        *("sha1  Kq5sNclPz7QV2+lfQIuc6R7oRu0=", "sha1:Kq5sNclPz7QV2+lfQIuc6R7oRu0=", " Kq5sNclPz7QV2+lfQIuc6R7oRu0="),
    ],
)
def test_a_checksum_that_cannot_be_checked_is_refused(tus: Tus, value: str) -> None:
    """Checksum: 400 if the algorithm is not supported; the bytes MUST be discarded."""
    path = tus.create(11)

    answer = tus.patch(path, 0, HELLO, {"Upload-Checksum": value})

    assert answer.status == 400 or (answer.status == 460 and value == "sha1 AAAA")
    assert tus.offset(path) == 0


def test_no_bytes_have_a_checksum_too(tus: Tus) -> None:
    """Checksum: of the current body payload, be it empty."""
    path = tus.create(11)

    assert tus.patch(path, 0, b"", checksum("sha1", b"")).status == 204
    assert tus.patch(path, 0, b"", checksum("sha1", b"x")).status == 460


# Termination


def test_a_terminated_upload_is_gone_with_its_bytes(tus: Tus, database: Database[Document]) -> None:
    """Termination: 204; afterwards 404 or 410; its resources SHOULD be freed."""
    path = tus.create(3 * MIB)
    tus.patch(path, 0, noise(2 * MIB))

    deleted = tus.ask("DELETE", path)

    assert (deleted.status, deleted.body) == (204, b"")
    assert tus.head(path).status in {404, 410}
    assert tus.patch(path, 2 * MIB, HELLO).status in {404, 410}
    assert tus.ask("DELETE", path).status in {404, 410}
    assert database.videos.chunks.count_documents({"files_id": upload_id(path)}) == 0


def test_a_finished_upload_can_be_terminated_too(tus: Tus, database: Database[Document]) -> None:
    """Termination: completed and unfinished uploads. What came of it is gone too."""
    path = tus.store(HELLO)

    assert tus.ask("DELETE", path).status == 204

    assert tus.head(path).status in {404, 410}
    with pytest.raises(ApiError) as missing:
        tus.person.conversion(upload_id(path))
    assert missing.value.status == 404
    assert database.videos.files.count_documents({"_id": upload_id(path)}) == 0


# Concatenation


def part(tus: Tus, content: bytes) -> str:
    return tus.store(content, {"Upload-Concat": "partial"})


def final(*paths: str) -> dict[str, str]:
    return {"Upload-Concat": f"final;{' '.join(paths)}"}


def test_parts_become_one_upload_in_their_order(tus: Tus, database: Database[Document]) -> None:
    """Concatenation: MUST be concatenated in the order of the list; the length MUST be the sum."""
    contents = [noise(MIB + 1, 1), noise(3, 2), noise(2 * MIB - 5, 3), noise(5 * MIB + 77, 4), noise(MIB, 5)]
    paths = [part(tus, content) for content in contents]

    answer = tus.ask("POST", UPLOADS, final(*paths[::-1]))

    path = tus.path_of(answer)
    whole = b"".join(contents[::-1])
    head = tus.head(path)
    assert answer.status == 201
    assert (head.status, head.offset, head.header("Upload-Length")) == (200, len(whole), str(len(whole)))
    assert sha256(stored(database, path)) == sha256(whole)


def test_a_final_upload_is_a_conversion_and_a_part_is_none(tus: Tus) -> None:
    """Concatenation: partial uploads SHOULD NOT be processed until they are concatenated."""
    first, second = part(tus, HELLO), part(tus, HELLO)
    for path in (first, second):
        with pytest.raises(ApiError) as missing:
            tus.person.conversion(upload_id(path))
        assert missing.value.status == 404

    answer = tus.ask("POST", UPLOADS, final(first, second) | metadata({"filename": "whole.mp4"}))

    conversion = tus.person.conversion(upload_id(tus.path_of(answer)))
    assert tus.path_of(answer, "Content-Location") == f"/v1/conversions/{conversion.id}"
    assert (conversion.filename, conversion.video.bytes) == ("whole.mp4", 22)


def test_parts_and_wholes_tell_what_they_are(tus: Tus) -> None:
    """Concatenation: HEAD MUST include Upload-Concat as received, and for a part Upload-Offset."""
    one = part(tus, HELLO)
    unfinished = tus.create(11, {"Upload-Concat": "partial"})
    whole = tus.path_of(tus.ask("POST", UPLOADS, final(one)))

    assert (tus.head(unfinished).header("Upload-Concat"), tus.head(unfinished).offset) == ("partial", 0)
    assert tus.head(whole).header("Upload-Concat") == f"final;{one}"
    assert tus.head(tus.create(5)).header("Upload-Concat") is None


def test_a_part_can_be_used_many_times(tus: Tus, database: Database[Document]) -> None:
    """Concatenation: in one creation request, or in several."""
    first, second = part(tus, b"la"), part(tus, b"lu")

    song = tus.path_of(tus.ask("POST", UPLOADS, final(first, second, first, first)))
    other = tus.path_of(tus.ask("POST", UPLOADS, final(second, second)))

    assert stored(database, song) == b"lalulala"
    assert stored(database, other) == b"lulu"


def test_a_concatenation_that_is_asked_for_again_is_the_same(tus: Tus) -> None:
    """The answer to the first request may have been lost; a second video of it would be a second e-mail.

    tus-js-client asks for the parts before it repeats the request, and sends those again that are gone.
    """
    paths = [part(tus, HELLO), part(tus, noise(MIB))]

    answers = [tus.ask("POST", UPLOADS, final(*paths)) for _ in range(3)]

    assert {answer.status for answer in answers} == {201}
    assert len({answer.header("Location") for answer in answers}) == 1
    assert {answer.offset for answer in answers} == {len(HELLO) + MIB}
    assert [tus.offset(path) for path in paths] == [len(HELLO), MIB]


def test_parts_may_be_named_by_absolute_urls(tus: Tus, database: Database[Document]) -> None:
    """Upload-Concat: absolute or relative; tus-js-client sends the address that it used."""
    paths = [part(tus, b"one "), part(tus, b"two")]
    urls = [tus.endpoint.removesuffix(UPLOADS) + path for path in paths]

    answer = tus.ask("POST", UPLOADS, final(*urls))

    assert answer.status == 201
    assert stored(database, tus.path_of(answer)) == b"one two"


def test_the_metadata_of_parts_stays_with_them(tus: Tus) -> None:
    """Concatenation: SHALL NOT be transferred to the final upload."""
    one = tus.store(HELLO, {"Upload-Concat": "partial", **metadata({"filename": "part.mp4"})})

    whole = tus.path_of(tus.ask("POST", UPLOADS, final(one)))

    assert tus.head(whole).header("Upload-Metadata") is None
    assert tus.person.conversion(upload_id(whole)).filename != "part.mp4"


def test_a_final_upload_takes_no_bytes(tus: Tus, database: Database[Document]) -> None:
    """Concatenation: PATCH MUST be answered with 403, and MUST NOT modify it or its parts."""
    one = part(tus, HELLO)
    whole = tus.path_of(tus.ask("POST", UPLOADS, final(one)))

    for answer in (tus.patch(whole, 11, b"!"), tus.patch(whole, 0, HELLO), tus.patch(whole, 11, b"")):
        assert (answer.status, answer.code) == (403, "final-upload")

    assert tus.offset(whole) == 11
    assert stored(database, whole) == HELLO


def test_a_final_upload_has_no_length_of_its_own(tus: Tus) -> None:
    """Concatenation: the client MUST NOT include Upload-Length, since it could be another."""
    one = part(tus, HELLO)

    assert tus.ask("POST", UPLOADS, {"Upload-Length": "11", **final(one)}).status == 400
    assert tus.ask("POST", UPLOADS, {"Upload-Defer-Length": "1", **final(one)}).status == 400


def test_unfinished_parts_are_refused(tus: Tus) -> None:
    """Concatenation: only concatenation-unfinished would allow it, which is not announced here."""
    finished = part(tus, HELLO)
    unfinished = tus.create(11, {"Upload-Concat": "partial"})
    tus.patch(unfinished, 0, HELLO[:5])
    deferred = tus.create(None, {"Upload-Concat": "partial"})

    for path in (unfinished, deferred):
        answer = tus.ask("POST", UPLOADS, final(finished, path))
        assert answer.status in {400, 409}
        assert answer.header("Location") is None
    assert tus.offset(unfinished) == 5


@pytest.mark.parametrize(
    "value",
    [
        *("", "whole", "final", "final;", "final; ", "partial;/v1/uploads/a", "Partial", "final;../../etc/passwd"),
        *(f"final;{UPLOADS}/", f"final;{UPLOADS}/00000000000000000000000000000000", "final;http://127.0.0.1:9/x"),
        f"final;{UPLOADS}",
    ],
)
def test_a_concatenation_of_nothing_is_refused(tus: Tus, value: str) -> None:
    """Upload-Concat: partial, or final with the URLs of parts that exist; nothing is fetched from elsewhere."""
    size = {} if value.startswith("final") else {"Upload-Length": "11"}

    answer = tus.ask("POST", UPLOADS, {"Upload-Concat": value, **size})

    assert answer.status in {400, 404}
    assert answer.header("Location") is None


def test_only_parts_can_be_concatenated(tus: Tus) -> None:
    """Upload-Concat: what is a video of its own, or a final upload, is no part."""
    whole = tus.store(HELLO)
    made = tus.path_of(tus.ask("POST", UPLOADS, final(part(tus, HELLO))))

    assert tus.ask("POST", UPLOADS, final(whole)).status in {400, 403}
    assert tus.ask("POST", UPLOADS, final(made)).status in {400, 403}


def test_parts_cannot_be_together_what_no_upload_can_be(tus: Tus) -> None:
    """Tus-Max-Size: the largest upload is the largest final upload too."""
    half = part(tus, noise(MAX_UPLOAD_BYTES // 8 + 1))

    answer = tus.ask("POST", UPLOADS, final(*[half] * 8))

    assert answer.status == 413
    assert tus.ask("DELETE", half).status == 204


def test_another_persons_part_is_no_part(tus: Tus, stranger: Tus) -> None:
    """Or one could read by it what one may not."""
    theirs = part(stranger, HELLO)
    missing = f"{UPLOADS}/00000000000000000000000000000000"

    refused = tus.ask("POST", UPLOADS, final(theirs))

    assert refused.status == tus.ask("POST", UPLOADS, final(missing)).status
    assert refused.status in {400, 404}
