"""Requests that a client sends again because it does not know what became of the first, on fakes."""

from typing import Any
from urllib.parse import urlencode

import pytest

from functions.shared.conversions import Owner
from functions.shared.problems import Unavailable
from functions.upload.app import create_app
from functions.upload.keys import LEASE
from tests.events import http_event
from tests.tus_function import ANN, BOB, BYTES, Answer, TusFunction, encoded, upload_deps

VIDEO = b"\x00\x00\x00\x18ftypmp42 and then some \xff\xfe"
OTHER = VIDEO + b"!"
KEY = "0a1b-2c3d"


@pytest.fixture
def deps():
    return upload_deps()


class Forms:
    """Somebody who sends forms, each with a boundary of its own, as clients do."""

    def __init__(self, deps: Any, person: Owner = ANN) -> None:
        self._app = create_app(lambda: deps)
        self._person = person
        self._sent = 0

    def send(
        self,
        video: bytes = VIDEO,
        key: str | list[str] | None = KEY,
        quality: str = "v2",
        filename: str = "m.mp4",
        **options: str,
    ) -> Answer:
        self._sent += 1
        cut = f"cut{self._sent}"
        fields = "".join(
            f'--{cut}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'
            for name, value in {"quality": quality, **options}.items()
        )
        head = f'--{cut}\r\nContent-Disposition: form-data; name="video"; filename="{filename}"\r\n\r\n'
        body = f"{fields}{head}".encode() + video
        body += f"\r\n--{cut}--\r\n".encode()
        return self._ask(body, {"Content-Type": f"multipart/form-data; boundary={cut}"}, key)

    def send_stored(self, upload_id: str, key: str = KEY, quality: str = "v2") -> Answer:
        """Ask as the gateway does, when the video has become an upload."""
        headers = {"Content-Type": "application/x-www-form-urlencoded", "X-Stored-Upload": upload_id}
        return self._ask(urlencode({"quality": quality}).encode(), headers, key)

    def _ask(self, body: bytes, headers: dict[str, str], key: str | list[str] | None) -> Answer:
        event = http_event("POST", "/v1/conversions", body=body, headers=headers, caller=self._person)
        if key is not None:
            event["multiValueHeaders"]["idempotency-key"] = [key] if isinstance(key, str) else key
        return Answer(self._app(event, None))


def store(deps: Any, video: bytes = VIDEO, filename: str = "m.mp4") -> str:
    """Make the upload that the gateway makes of a video in a long form."""
    tus = TusFunction(deps)
    upload_id = tus.create(None, Upload_Metadata=f"filename {encoded(filename)}")
    assert tus.patch(upload_id, 0, video).status == 204
    return upload_id


def conversions(deps: Any) -> list[str]:
    """Return the ids of the conversions that there are."""
    return [each for each, record in deps.conversions._database.records.items() if not record.deleted]


# Forms


def test_a_form_that_comes_again_is_answered_as_before(deps):
    """Nothing is converted twice, and the client learns what it did not hear the first time."""
    forms = Forms(deps)
    first = forms.send()
    deps.clock.advance(hours=23)
    again = forms.send()

    assert (first.status, again.status) == (202, 202)
    assert again.json == first.json
    assert again.header("Location") == first.header("Location")
    assert (first.header("Idempotent-Replayed"), again.header("Idempotent-Replayed")) == (None, "true")
    assert len(conversions(deps)) == len(deps.events.published) == len(deps.videos.contents) == 1


def test_the_same_options_in_another_spelling_are_the_same_request(deps):
    """A program may have been updated between a request and its repeat."""
    forms = Forms(deps)

    first = forms.send(start="90", track="DE", title="")
    again = forms.send(track="de", start="00:01:30.000")

    assert again.header("Idempotent-Replayed") == "true"
    assert again.json == first.json


def test_without_a_key_every_form_is_a_new_one(deps):
    forms = Forms(deps)

    assert forms.send(key=None).json["id"] != forms.send(key=None).json["id"]


@pytest.mark.parametrize(
    "other",
    [{"video": OTHER}, {"quality": "v0"}, {"filename": "n.mp4"}, {"video": VIDEO[:-1]}, {"start": "1"}],
    ids=str,
)
def test_another_form_with_the_same_key_is_refused(deps, other):
    """To answer it with the first one's conversion would lose a video."""
    forms = Forms(deps)
    forms.send()

    refused = forms.send(**other)

    assert (refused.status, refused.code) == (422, "key-taken")
    assert [each["field"] for each in refused.json["errors"]] == ["Idempotency-Key"]
    assert len(conversions(deps)) == 1


def test_after_a_day_the_key_may_be_used_anew(deps):
    forms = Forms(deps)
    first = forms.send()
    deps.clock.advance(hours=24, seconds=1)

    assert forms.send(OTHER).json["id"] != first.json["id"]


def test_people_and_routes_have_keys_of_their_own(deps):
    """One must not see by a key what another has sent."""
    mine = Forms(deps).send()

    assert Forms(deps, BOB).send(OTHER).json["id"] != mine.json["id"]
    assert TusFunction(deps).post(Upload_Length="5", Idempotency_Key=KEY).status == 201


@pytest.mark.parametrize(
    "key",
    ["", "k" * 256, "ключ", "a\tb", "a\x7f", ["k1", "k2"], ["k1", "k1"]],
    ids=["", "long", *"123", "two", "twice"],
)
def test_a_key_that_is_none_is_refused(deps, key):
    refused = Forms(deps).send(key=key)

    assert (refused.status, refused.code) == (422, "invalid-input")
    assert [each["field"] for each in refused.json["errors"]] == ["Idempotency-Key"]
    assert conversions(deps) == []


@pytest.mark.parametrize("key", ["k" * 255, '"8e03978e-40d5"', "a b", "$x.y", "~"])
def test_any_printable_ascii_can_be_a_key(deps, key):
    """The draft of the IETF puts quotes around it, and others do not."""
    forms = Forms(deps)

    assert forms.send(key=key).json == forms.send(key=key).json


def test_a_form_that_is_being_answered_is_not_answered_twice_at_once(deps, monkeypatch):
    """The client is told to ask again soon."""
    forms, put = Forms(deps), deps.videos.put
    meanwhile: list[Answer] = []

    def put_and_send_again(file_id: str, parts: Any) -> Any:
        monkeypatch.setattr(deps.videos, "put", put)
        meanwhile.append(forms.send())
        return put(file_id, parts)

    monkeypatch.setattr(deps.videos, "put", put_and_send_again)

    assert forms.send().status == 202
    assert (meanwhile[0].status, meanwhile[0].code) == (409, "still-answering")
    assert int(meanwhile[0].header("Retry-After") or "0") > 0
    assert len(conversions(deps)) == 1


@pytest.mark.parametrize(
    ("port", "method"), [("videos", "put"), ("conversions", "add_once"), ("uploads", "watch"), ("keys", "keep")]
)
@pytest.mark.parametrize("is_done", [True, False])
def test_a_form_whose_storage_failed_can_come_again_at_once(deps, monkeypatch, port, method, is_done):
    """Whether what failed was done all the same nobody knows. Either way there is one conversion in the end."""
    forms = Forms(deps)
    fail_once(getattr(deps, port), method, monkeypatch, is_done=is_done)
    first = forms.send()
    assert first.status in {202, 503}
    # Only if the note of the answer was lost, its claim has to end.
    deps.clock.advance(seconds=LEASE.total_seconds() * (method == "keep"))

    again = forms.send()

    assert again.status == 202
    assert conversions(deps) == [again.json["id"]]
    assert first.status == 503 or first.json["id"] == again.json["id"]


@pytest.mark.parametrize(("port", "method"), [("videos", "put"), ("conversions", "add_once"), ("keys", "keep")])
@pytest.mark.parametrize("is_done", [True, False])
def test_a_form_over_which_the_function_died_can_come_again_after_a_minute(deps, monkeypatch, port, method, is_done):
    """A day's wait would be a lost video for most."""
    forms = Forms(deps)
    fail_once(getattr(deps, port), method, monkeypatch, is_done=is_done, error=Death)
    with pytest.raises(Death):
        forms.send()

    at_once = forms.send()
    deps.clock.advance(seconds=LEASE.total_seconds())
    again = forms.send()

    assert at_once.status == (202 if (method, is_done) == ("keep", True) else 409)
    assert again.status == 202
    assert conversions(deps) == [again.json["id"]]


def test_one_that_wakes_up_late_creates_nothing_more(deps, monkeypatch):
    """It was stopped with its video stored, and another try has come and gone."""
    forms, add_once = Forms(deps), deps.conversions.add_once
    others: list[Answer] = []

    def late(*args: Any) -> str:
        monkeypatch.setattr(deps.conversions, "add_once", add_once)
        deps.clock.advance(minutes=2)
        others.append(forms.send())
        added: str = add_once(*args)
        return added

    monkeypatch.setattr(deps.conversions, "add_once", late)

    answer = forms.send()

    assert (answer.status, answer.json["id"]) == (202, others[0].json["id"])
    assert conversions(deps) == [answer.json["id"]]
    assert list(deps.videos.contents) == [answer.json["id"]]


def test_a_form_that_was_refused_can_be_corrected_under_its_key(deps):
    """Nothing was created, so there is nothing to protect."""
    forms = Forms(deps)

    assert forms.send(b"%PDF-1.7 no video").status == 415
    assert forms.send().status == 202


def test_what_was_deleted_is_created_anew(deps):
    """The gateway deletes what it could not announce. Then the answer of before would promise what there is not."""
    forms = Forms(deps)
    first = forms.send()
    deps.conversions.delete(first.json["id"], deps.clock())

    again = forms.send()

    assert again.header("Idempotent-Replayed") is None
    assert conversions(deps) == [again.json["id"]]


# Long forms, whose video the gateway has stored as an upload


def test_a_long_form_that_comes_again_is_answered_as_before(deps):
    """Its video was uploaded a second time by then, and goes."""
    forms = Forms(deps)
    first = forms.send_stored(store(deps))
    second = store(deps)
    again = forms.send_stored(second)

    assert (again.status, again.json) == (202, first.json)
    assert again.header("Idempotent-Replayed") == "true"
    assert conversions(deps) == [first.json["id"]]
    assert TusFunction(deps).head(second).status == 404


def test_a_form_is_the_same_however_it_travels(deps):
    """Whether it goes in one piece or in slices is decided by the speed of the line, which changes."""
    forms = Forms(deps)
    first = forms.send()

    assert forms.send_stored(store(deps)).json == first.json
    assert forms.send_stored(store(deps, OTHER)).code == "key-taken"


def test_the_gateway_may_ask_twice_for_the_same_upload(deps, monkeypatch):
    """It tries again when it got no answer, and must not be told that it is in its own way."""
    forms, upload_id = Forms(deps), store(deps)
    fail_once(deps.conversions, "add_once", monkeypatch, is_done=True, error=Death)
    with pytest.raises(Death):
        forms.send_stored(upload_id)

    again = forms.send_stored(upload_id)

    assert (again.status, again.json["id"]) == (202, upload_id)
    assert conversions(deps) == [upload_id]


def test_a_long_form_is_not_accepted_twice_by_two_functions(deps, monkeypatch):
    """The gateway died with the first, and its client has sent everything again."""
    forms, first = Forms(deps), store(deps)
    fail_once(deps.conversions, "add_once", monkeypatch, is_done=True, error=Death)
    with pytest.raises(Death):
        forms.send_stored(first)
    deps.clock.advance(seconds=LEASE.total_seconds())
    second = store(deps)

    again = forms.send_stored(second)

    assert (again.status, again.json["id"]) == (202, first)
    assert conversions(deps) == [first]
    assert TusFunction(deps).head(second).status == 404


# Uploads


def test_an_upload_is_created_once(deps):
    tus = TusFunction(deps)

    def post() -> Answer:
        return tus.post(Upload_Length="5", Upload_Metadata="filename QQ==", Idempotency_Key=KEY)

    first, again = post(), post()

    assert (first.status, again.status) == (201, 201)
    assert again.raw["headers"] == {**first.raw["headers"], "Idempotent-Replayed": "true"}
    assert len(deps.uploads.records) == 1


def test_a_repeated_creation_says_where_the_upload_is_by_now(deps):
    """There the client goes on."""
    tus = TusFunction(deps)
    first = tus.post(Upload_Length="5", Idempotency_Key=KEY)
    tus.patch(first.upload_id, 0, b"123")

    again = tus.post(Upload_Length="5", Idempotency_Key=KEY)

    assert (again.upload_id, again.offset) == (first.upload_id, 3)


def test_a_repeated_creation_of_an_upload_that_is_whole_says_where_its_conversion_is(deps):
    """And no more until when it waits for bytes."""
    tus = TusFunction(deps)
    first = tus.post(Upload_Length="5", Idempotency_Key=KEY)
    tus.patch(first.upload_id, 0, b"12345")

    again = tus.post(Upload_Length="5", Idempotency_Key=KEY)

    assert again.header("Content-Location") == f"/v1/conversions/{first.upload_id}"
    assert again.header("Upload-Expires") is None


@pytest.mark.parametrize(
    "other",
    [
        {"Upload_Length": "6"},
        {"Upload_Length": None, "Upload_Defer_Length": "1"},
        {"Upload_Metadata": "filename QQ=="},
        {"Upload_Concat": "partial"},
    ],
    ids=str,
)
def test_another_creation_with_the_same_key_is_refused(deps, other):
    tus = TusFunction(deps)
    tus.post(Upload_Length="5", Idempotency_Key=KEY)

    refused = tus.post(**{"Upload_Length": "5", "Idempotency_Key": KEY, **other})

    assert (refused.status, refused.code) == (422, "key-taken")
    assert len(deps.uploads.records) == 1


def test_a_creation_with_its_bytes_comes_once(deps):
    """Small videos are uploaded with one request."""
    tus = TusFunction(deps)
    sent = {"Upload_Length": "5", "Content_Type": BYTES, "Idempotency_Key": KEY}
    first = tus.post(b"12345", **sent)

    again, other = tus.post(b"12345", **sent), tus.post(b"12346", **sent)

    assert (again.upload_id, again.offset) == (first.upload_id, 5)
    assert again.header("Content-Location") == first.header("Content-Location")
    assert (other.status, other.code) == (422, "key-taken")
    assert conversions(deps) == [first.upload_id]


@pytest.mark.parametrize("write", ["uploads.add", "slices.write", "conversions.add", "uploads.advance", "keys.keep"])
@pytest.mark.parametrize("is_done", [True, False])
@pytest.mark.parametrize("body", [b"12345", b""], ids=["bytes", "empty"])
def test_a_creation_over_which_the_function_died_goes_on(deps, monkeypatch, write, is_done, body):
    tus = TusFunction(deps)
    sent = {"Upload_Length": str(len(body)), "Content_Type": BYTES if body else None, "Idempotency_Key": KEY}
    port, _, method = write.partition(".")
    fail_once(getattr(deps, port), method, monkeypatch, is_done=is_done, error=Death)
    try:
        tus.post(body or None, **sent)
    except Death:
        # A hold lasts for seconds, a claim for a minute.
        deps.clock.advance(seconds=LEASE.total_seconds())
        for record in deps.uploads.records.values():
            record.token, record.held_until = "", None

    again = tus.post(body or None, **sent)

    assert (again.status, again.offset) == (201, len(body))
    assert conversions(deps) == [again.upload_id] == list(deps.uploads.records)


def test_a_creation_that_goes_on_with_other_bytes_is_refused(deps, monkeypatch):
    """Also if the first answer could not be kept: the rest would be glued to the wrong beginning."""
    tus = TusFunction(deps)
    sent = {"Upload_Length": "5", "Content_Type": BYTES, "Idempotency_Key": KEY}
    fail_once(deps.keys, "keep", monkeypatch, is_done=False)
    first = tus.post(b"12", **sent)
    deps.clock.advance(seconds=LEASE.total_seconds())

    other, again = tus.post(b"13", **sent), tus.post(b"12", **sent)

    assert (other.status, other.code) == (422, "key-taken")
    assert (again.status, again.upload_id, again.offset) == (201, first.upload_id, 2)


def test_an_upload_that_was_deleted_is_created_anew(deps):
    """Its address would be of no use."""
    tus = TusFunction(deps)
    first = tus.post(Upload_Length="5", Idempotency_Key=KEY)
    tus.delete(first.upload_id)

    again = tus.post(Upload_Length="5", Idempotency_Key=KEY)

    assert again.upload_id != first.upload_id
    assert tus.head(again.upload_id).offset == 0


def test_a_final_upload_is_asked_for_again(deps):
    """That one finds itself again without a key, too; with one it says that it was a repeat."""
    tus = TusFunction(deps)
    concat = f"final;/v1/uploads/{tus.part(b'12')} /v1/uploads/{tus.part(b'345')}"
    first = tus.post(Upload_Concat=concat, Idempotency_Key=KEY)
    again = tus.post(Upload_Concat=concat, Idempotency_Key=KEY)

    assert (again.upload_id, again.header("Idempotent-Replayed")) == (first.upload_id, "true")
    assert conversions(deps) == [first.upload_id]


class Death(BaseException):
    """The process ends, so nothing more is done."""


def fail_once(
    port: Any, method: str, monkeypatch: pytest.MonkeyPatch, *, is_done: bool, error: type[BaseException] = Unavailable
) -> None:
    """Let a method fail at its next call, before or after it did its work."""
    works = getattr(port, method)

    def fail(*args: Any, **kwargs: Any) -> Any:
        monkeypatch.setattr(port, method, works)
        if is_done:
            works(*args, **kwargs)
        raise error("The storage")

    monkeypatch.setattr(port, method, fail)
