"""Long bodies through the gateway into the real function and a real MongoDB."""

import base64
import hashlib
import os
import threading
import uuid
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import anyio
import httpx
import pytest
from pymongo.database import Database

from functions.shared.clock import utc_now
from functions.shared.files import GridFSFiles
from functions.shared.logs import get_logger
from functions.shared.mongo import Document
from functions.shared.mongo_conversions import MongoConversions, MongoOutbox
from functions.upload.app import create_app
from functions.upload.deps import Deps, Limits
from functions.upload.gridfs_slices import GridFSSlices
from functions.upload.mongo_keys import MongoIdempotencyKeys
from functions.upload.mongo_uploads import MongoUploads
from functions.upload.mongo_usage import MongoUsage
from infra.gateway import calls
from infra.gateway.slices import SLICE_BYTES
from infra.invoke import Context, FunctionFailed, FunctionUnavailable
from infra.template import Function
from tests.fakes.gateway import FakeFunctions, make_gateway
from tests.fakes.gateway_uploads import GONE, Client, dashed, problem
from tests.fakes.shared import FakeEvents

PIECE = 256 * 1024
MOVIE = b"\x00\x00\x00\x18ftypmp42" + os.urandom(10 * 1024 * 1024 + 7)
FORM = {"Content-Type": "multipart/form-data; boundary=cut", "Transfer-Encoding": "chunked"}
BEGIN = b'--cut\r\nContent-Disposition: form-data; name="video"; filename="m.mp4"\r\n\r\n'
END = b'\r\n--cut\r\nContent-Disposition: form-data; name="quality"\r\n\r\nv0\r\n--cut--\r\n'


class RealUploads(FakeFunctions):
    """The function upload as it is deployed. `after` may change what it answered."""

    def __init__(self, database: Database[Document]) -> None:
        super().__init__()
        self.after: Callable[[Any, Any], Any] = lambda event, answered: answered
        self._app = create_app(
            lambda: Deps(
                conversions=MongoConversions(database),
                videos=GridFSFiles(database, "videos"),
                uploads=MongoUploads(database),
                slices=GridFSSlices(database),
                usage=MongoUsage(database),
                keys=MongoIdempotencyKeys(database),
                events=FakeEvents(),
                outbox=MongoOutbox(database),
                limits=Limits(10**9, 10**9, timedelta(hours=1)),
                clock=utc_now,
                new_id=lambda: uuid.uuid4().hex,
                logger=get_logger("upload"),
            )
        )

    def invoke(self, function_name: str, event: Any) -> Any:
        if function_name != "UploadFunction":
            return super().invoke(function_name, event)
        context = Context(Function("UploadFunction", "", 29, 1024), request_id="r", timeout_s=29)
        return self.after(event, self._app(event, context))


@pytest.fixture
def functions(mongo: Database[Document]) -> RealUploads:
    return RealUploads(mongo)


class Person:
    """Somebody who uploads, each request under an id of its own."""

    def __init__(self, functions: RealUploads) -> None:
        self._functions = functions
        self.gateway = make_gateway(functions)
        self.gateway._new_id = lambda: uuid.uuid4().hex

    def send(self, method: str, path: str, body: list[Any], headers: dict[str, str]) -> httpx.Response | None:
        return anyio.run(Client(method, path, body, headers).exchange, self.gateway)

    def told(self, method: str, path: str, body: list[Any], headers: dict[str, str]) -> httpx.Response:
        response = self.send(method, path, body, headers)
        assert response is not None
        return response

    def create(self, length: int) -> str:
        made = self.told("POST", "/v1/uploads", [b""], {"Tus-Resumable": "1.0.0", "Upload-Length": str(length)})
        assert made.status_code == 201, made.text
        return made.headers["location"]

    def offset(self, path: str) -> int:
        return int(self.told("HEAD", path, [b""], {"Tus-Resumable": "1.0.0"}).headers["upload-offset"])


@pytest.fixture
def person(functions: RealUploads) -> Person:
    return Person(functions)


def pieces(content: bytes) -> list[Any]:
    return [content[start : start + PIECE] for start in range(0, len(content), PIECE)]


def patch(offset: int, length: int, **more: str) -> dict[str, str]:
    return {
        "Tus-Resumable": "1.0.0",
        "Content-Type": "application/offset+octet-stream",
        "Upload-Offset": str(offset),
        "Content-Length": str(length),
        **dashed(more),
    }


def stored(mongo: Database[Document], path: str) -> bytes:
    return b"".join(GridFSFiles(mongo, "videos").read(path.rpartition("/")[2]))


def left(mongo: Database[Document]) -> dict[str, int]:
    """Return how many documents there are of everything that an upload leaves. Tombstones do not count."""
    names = ("uploads", "conversions", "videos.files", "videos.chunks")
    return {name: count for name in names if (count := mongo[name].count_documents({"deleted_at": None}))}


def test_a_long_patch_is_stored_to_the_last_byte(person: Person, mongo: Database[Document]):
    """What came in slices is one ordinary file, and one conversion."""
    path = person.create(len(MOVIE))

    done = person.told("PATCH", path, pieces(MOVIE), patch(0, len(MOVIE)))

    assert (done.status_code, done.headers["upload-offset"]) == (204, str(len(MOVIE)))
    assert done.headers["content-location"] == path.replace("uploads", "conversions")
    assert stored(mongo, path) == MOVIE


def test_a_patch_that_broke_off_goes_on_at_the_byte(person: Person, mongo: Database[Document]):
    """Whatever the offset, and whatever the slices before it were."""
    path = person.create(len(MOVIE))
    came = SLICE_BYTES + 12_345
    person.send("PATCH", path, [*pieces(MOVIE[:came]), GONE], patch(0, len(MOVIE)))

    assert person.offset(path) == came
    rest = person.told("PATCH", path, pieces(MOVIE[came:]), patch(came, len(MOVIE) - came))

    assert rest.status_code == 204
    assert stored(mongo, path) == MOVIE


def test_a_long_form_becomes_a_conversion(person: Person, mongo: Database[Document]):
    """As a short one does, with the options of its fields."""
    taken = person.told("POST", "/v1/conversions", [BEGIN, *pieces(MOVIE), END], FORM)

    assert taken.status_code == 202, taken.text
    assert (taken.json()["filename"], taken.json()["options"]["quality"]) == ("m.mp4", "v0")
    assert taken.headers["location"] == f"/v1/conversions/{taken.json()['id']}"
    assert stored(mongo, taken.headers["location"]) == MOVIE


@pytest.mark.parametrize("end", [GONE, b"\r\n--cut--", END.replace(b"v0", b"best"), b"\r\n" + BEGIN + END])
def test_a_form_that_is_not_taken_leaves_nothing(person: Person, mongo: Database[Document], end: Any):
    """Neither bytes nor an upload, whenever it went wrong."""
    body = [BEGIN, *pieces(MOVIE), end.replace(b"\r\n--cut--", b"") if end == b"\r\n--cut--" else end]

    response = person.send("POST", "/v1/conversions", body, FORM)

    assert response is None or response.status_code in {400, 422}
    assert left(mongo) == {}


def test_a_creation_takes_its_long_body_along(person: Person, mongo: Database[Document]):
    """One request, and it is a conversion."""
    headers = patch(0, len(MOVIE)) | {"Upload-Length": str(len(MOVIE))}
    del headers["Upload-Offset"]

    made = person.told("POST", "/v1/uploads", pieces(MOVIE), headers)

    assert (made.status_code, made.headers["upload-offset"]) == (201, str(len(MOVIE)))
    assert made.headers["content-location"] == made.headers["location"].replace("uploads", "conversions")
    assert stored(mongo, made.headers["location"]) == MOVIE


@pytest.mark.parametrize(
    "kind", [{}, {"Content-Type": "text/plain"}, {"Content-Type": "application/offset+octet-stream"}]
)
def test_a_final_upload_that_brings_bytes_keeps_the_video_it_became(
    person: Person, mongo: Database[Document], kind: dict[str, str]
):
    """The same request without a body has finished it before; what is refused must not delete it."""
    partial = {"Upload-Concat": "partial", "Upload-Length": str(len(MOVIE))}
    part = person.told("POST", "/v1/uploads", pieces(MOVIE), patch(0, len(MOVIE)) | partial).headers["location"]
    final = {"Tus-Resumable": "1.0.0", "Upload-Concat": f"final;{part}"}
    video = person.told("POST", "/v1/uploads", [b""], final).headers["location"]

    refused = person.told("POST", "/v1/uploads", pieces(MOVIE), final | kind | {"Content-Length": str(len(MOVIE))})

    assert refused.json()["type"] == "/problems/final-upload"
    assert person.offset(video) == len(MOVIE)
    assert stored(mongo, video) == MOVIE


def test_while_a_slow_patch_runs_another_is_locked_out(person: Person, mongo: Database[Document]):
    """From its first moment on: the first slice goes out with what is there."""
    path = person.create(len(MOVIE))
    gone_on = threading.Event()
    second: list[int] = []

    def meanwhile() -> None:
        other = threading.Thread(
            target=lambda: second.append(person.told("PATCH", path, pieces(MOVIE), patch(0, len(MOVIE))).status_code)
        )
        other.start()
        other.join(10)
        gone_on.set()

    body = [b"", 1.0, meanwhile, *pieces(MOVIE)]

    assert person.told("PATCH", path, body, patch(0, len(MOVIE))).status_code == 204
    assert gone_on.is_set()
    assert second == [423]
    assert stored(mongo, path) == MOVIE


@pytest.mark.parametrize("right", [True, False])
def test_a_checksum_counts_for_the_whole_of_a_long_body(person: Person, mongo: Database[Document], right: bool):
    """It is known to be right only at its end, so nothing counts before."""
    path = person.create(len(MOVIE))

    digest = base64.b64encode(hashlib.sha256(MOVIE if right else b"other").digest()).decode()

    done = person.told("PATCH", path, pieces(MOVIE), patch(0, len(MOVIE), Upload_Checksum=f"sha256 {digest}"))

    assert done.status_code == (204 if right else 460)
    assert person.offset(path) == (len(MOVIE) if right else 0)


@pytest.mark.parametrize("lost", [problem(503, "unavailable"), FunctionUnavailable("no answer")])
def test_answers_that_are_lost_do_no_harm(
    person: Person, functions: RealUploads, mongo: Database[Document], lost: Any, monkeypatch: pytest.MonkeyPatch
):
    """The storage has the slice, and the gateway does not know: it sends it again."""
    monkeypatch.setattr(calls, "PAUSES_S", (0.01,))
    known: set[str] = set()

    def lose(event: Any, answered: Any) -> Any:
        header = event["headers"].get("X-Body-Slice")
        if not header or header in known:
            return answered
        known.add(header)
        if isinstance(lost, Exception):
            raise lost
        return lost

    functions.after = lose
    path = person.create(len(MOVIE))

    assert person.told("PATCH", path, pieces(MOVIE), patch(0, len(MOVIE))).status_code == 204
    assert len(known) == 3
    assert stored(mongo, path) == MOVIE


def test_a_long_form_that_comes_again_is_one_conversion(person: Person, mongo: Database[Document]):
    """The client lost the answer after hours. It sends all again, with other boundaries, and gets that answer."""
    key = {"Idempotency-Key": "k1"}
    first = person.told("POST", "/v1/conversions", [BEGIN, *pieces(MOVIE), END], FORM | key)
    other_form = {"Content-Type": "multipart/form-data; boundary=other"}
    body = [part.replace(b"--cut", b"--other") for part in (BEGIN, *pieces(MOVIE), END)]

    again = person.told("POST", "/v1/conversions", body, FORM | key | other_form)

    assert (again.status_code, again.headers["idempotent-replayed"]) == (202, "true")
    assert (again.json(), again.headers["location"]) == (first.json(), first.headers["location"])
    assert left(mongo) == {"conversions": 1, "uploads": 1, "videos.files": 1, "videos.chunks": 11}
    assert stored(mongo, first.headers["location"]) == MOVIE


def test_another_long_form_with_the_same_key_leaves_nothing(person: Person, mongo: Database[Document]):
    """It is refused when all of it has come, for only then is it known to be another."""
    key = {"Idempotency-Key": "k1"}
    person.told("POST", "/v1/conversions", [BEGIN, *pieces(MOVIE), END], FORM | key)
    before = left(mongo)

    other = person.told("POST", "/v1/conversions", [BEGIN, *pieces(MOVIE[:-1]), END], FORM | key)

    assert (other.status_code, other.json()["type"]) == (422, "/problems/key-taken")
    assert left(mongo) == before


def test_a_long_creation_that_broke_off_is_found_again_by_its_key(person: Person, mongo: Database[Document]):
    """Its client never heard where the upload is. Asking again, it hears that and the offset, and goes on there."""
    headers = creation()
    came = SLICE_BYTES + 12_345
    person.send("POST", "/v1/uploads", [*pieces(MOVIE[:came]), GONE], headers)

    again = person.told("POST", "/v1/uploads", pieces(MOVIE), headers)

    assert (again.status_code, again.headers["upload-offset"]) == (201, str(came))
    path = again.headers["location"]
    rest = person.told("PATCH", path, pieces(MOVIE[came:]), patch(came, len(MOVIE) - came))
    assert rest.status_code == 204
    assert stored(mongo, path) == MOVIE
    assert left(mongo)["uploads"] == 1


def test_a_long_creation_that_was_refused_leaves_nothing_under_its_key(person: Person, mongo: Database[Document]):
    """It may be corrected."""
    digest = base64.b64encode(hashlib.sha256(b"other").digest()).decode()
    headers = creation()

    refused = person.told("POST", "/v1/uploads", pieces(MOVIE), headers | {"Upload-Checksum": f"sha256 {digest}"})

    assert refused.status_code == 460
    assert left(mongo).keys() <= {"videos.chunks"}
    made = person.told("POST", "/v1/uploads", pieces(MOVIE), headers)
    assert (made.status_code, made.headers["upload-offset"]) == (201, str(len(MOVIE)))


@pytest.mark.parametrize("is_whole", [False, True])
def test_a_long_creation_that_was_taken_over_is_left_to_who_goes_on(
    person: Person, functions: RealUploads, mongo: Database[Document], is_whole: bool
):
    """The gateway stood still, and the client found the upload by its key through another one."""

    def take_over(event: Any, answered: Any) -> Any:
        functions.after = lambda event, answered: answered
        path = answered["headers"]["Location"]
        if is_whole:
            assert person.told("PATCH", path, pieces(MOVIE), patch(0, len(MOVIE))).status_code == 204
        else:
            MongoUploads(mongo).hold(path.rpartition("/")[2], "another")
        return answered

    functions.after = take_over
    late = person.told("POST", "/v1/uploads", pieces(MOVIE), creation())

    assert late.status_code == (409 if is_whole else 423)
    assert left(mongo)["uploads"] == 1
    assert left(mongo).get("conversions", 0) == is_whole


def test_a_long_creation_goes_on_though_its_first_answer_was_not_kept(person: Person, mongo: Database[Document]):
    """The storage was away for that moment. A repeat must not begin at the first byte again."""
    person.send("POST", "/v1/uploads", [*pieces(MOVIE[:SLICE_BYTES]), GONE], creation())
    mongo.idempotency_keys.update_one({}, {"$set": {"answer": None, "held_until": None}})

    again = person.told("POST", "/v1/uploads", pieces(MOVIE), creation())

    assert (again.status_code, again.headers["upload-offset"]) == (201, str(SLICE_BYTES))
    assert left(mongo)["uploads"] == 1


def test_a_long_form_is_not_deleted_while_nobody_knows_whether_it_was_accepted(
    person: Person, functions: RealUploads, mongo: Database[Document]
):
    """A repeat may have been told so by then, through another gateway."""

    def fail(event: Any, answered: Any) -> Any:
        if "X-Stored-Upload" in event["headers"]:
            raise FunctionFailed("UploadFunction", "Sandbox.Timedout", "Task timed out after 29.00 seconds")
        return answered

    functions.after = fail
    form, headers = [BEGIN, *pieces(MOVIE), END], FORM | {"Idempotency-Key": "k1"}
    lost = person.told("POST", "/v1/conversions", form, headers)
    (accepted,) = mongo.conversions.find({"deleted_at": None})
    functions.after = lambda event, answered: answered

    again = person.told("POST", "/v1/conversions", form, headers)

    assert (lost.status_code, again.status_code) == (500, 202)
    assert again.json()["id"] == accepted["_id"]
    assert left(mongo) == {"conversions": 1, "uploads": 1, "videos.files": 1, "videos.chunks": 11}
    assert stored(mongo, again.headers["location"]) == MOVIE


def creation() -> dict[str, str]:
    """Return the headers of a creation of MOVIE with its bytes, under a key."""
    headers = patch(0, len(MOVIE)) | {"Upload-Length": str(len(MOVIE)), "Idempotency-Key": "k1"}
    del headers["Upload-Offset"]
    return headers
