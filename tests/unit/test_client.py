"""The client, against a transport that answers as the service does."""

import json
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest

from functions.shared.forms import read_form
from functions.shared.options import Options as ServiceOptions
from functions.upload.options import to_options
from video2mp3 import (
    ApiError,
    Client,
    ClientError,
    Conversion,
    Mp3,
    Note,
    Options,
    Quality,
    Source,
    State,
    TookTooLong,
    Track,
    Unreachable,
    Usage,
)

URL = "http://service"


def conversion_json(conversion_id: str = "c1", **changes: object) -> dict[str, object]:
    return {
        "id": conversion_id,
        "state": "queued",
        "progress": 0.0,
        "filename": "movie.mp4",
        "options": {"quality": "v2"},
        "video": {"bytes": 3, "sha256": "00", "duration_s": None},
        "mp3": None,
        "error": None,
        "attempts": 0,
        "created_at": "2026-01-01T12:00:00Z",
        "updated_at": "2026-01-01T12:00:00.250Z",
        "completed_at": None,
        "expires_at": None,
        "a_field_of_the_future": 1,
        **changes,
    }


def problem(status: int, code: str, **more: object) -> httpx.Response:
    body = {"type": f"/problems/{code}", "title": "Refused", "status": status, "detail": "Do better.", **more}
    return httpx.Response(status, json=body, headers={"X-Request-Id": "r1"})


class Service:
    """Answers `METHOD /path` as it was told, and keeps the requests. Several answers are given one after the other."""

    def __init__(self) -> None:
        self.requests: list[httpx.Request] = []
        self._answers: dict[str, list[httpx.Response | Exception]] = {}

    def on(self, what: str, *answers: httpx.Response | Exception) -> None:
        self._answers[what] = list(answers)

    def __call__(self, request: httpx.Request) -> httpx.Response:
        request.read()
        self.requests.append(request)
        answers = self._answers[f"{request.method} {request.url.path}"]
        answer = answers.pop(0) if len(answers) > 1 else answers[0]
        if isinstance(answer, Exception):
            raise answer
        return answer

    @property
    def asked(self) -> list[str]:
        return [f"{request.method} {request.url.path}" for request in self.requests]


@pytest.fixture
def service():
    service = Service()
    service.on("POST /v1/auth/login", httpx.Response(200, json=tokens("1")))
    return service


@pytest.fixture
def client(service, monkeypatch):
    monkeypatch.setattr("time.sleep", lambda _: None)
    with Client(URL, transport=httpx.MockTransport(service)) as client:
        yield client


@pytest.fixture
def video(tmp_path):
    path = tmp_path / "My movie.mp4"
    path.write_bytes(b"not really" * 20_000)
    return path


def tokens(number: str) -> dict[str, object]:
    return {
        "access_token": f"access{number}",
        "token_type": "Bearer",
        "expires_in": 900,
        "refresh_token": f"refresh{number}",
        "refresh_expires_in": 9000,
    }


def test_registering_answers_the_user(service, client):
    """A program has to know what it made."""
    user = {"id": "u1", "email": "a@example.com", "created_at": "2026-01-01T12:00:00Z"}
    service.on("POST /v1/auth/register", httpx.Response(201, json=user))

    assert client.register("a@example.com", "secret").id == "u1"
    assert json.loads(service.requests[0].content) == {"email": "a@example.com", "password": "secret"}


def test_calls_after_a_login_carry_the_access_token(service, client):
    """Without it every guarded route refuses."""
    service.on("GET /v1/conversions/c1", httpx.Response(200, json=conversion_json()))

    client.login("a@example.com", "secret")
    client.conversion("c1")

    assert "Authorization" not in service.requests[0].headers
    assert service.requests[1].headers["Authorization"] == "Bearer access1"


def test_a_token_that_ran_out_is_refreshed_and_the_call_made_again(service, client):
    """An access token lasts minutes, an upload may last longer; nobody should have to log in again."""
    service.on("POST /v1/auth/refresh", httpx.Response(200, json=tokens("2")))
    service.on("GET /v1/conversions/c1", problem(401, "invalid-token"), httpx.Response(200, json=conversion_json()))
    client.login("a@example.com", "secret")

    assert client.conversion("c1").id == "c1"
    assert json.loads(service.requests[2].content) == {"refresh_token": "refresh1"}
    assert service.requests[3].headers["Authorization"] == "Bearer access2"


def test_an_upload_whose_token_ran_out_is_sent_again_whole(service, client, video):
    """The first try has read the file to its end: the second must not send the rest, which is nothing."""
    service.on("POST /v1/auth/refresh", httpx.Response(200, json=tokens("2")))
    service.on("POST /v1/conversions", problem(401, "invalid-token"), httpx.Response(202, json=conversion_json()))
    client.login("a@example.com", "secret")

    client.upload(video)

    assert video.read_bytes() in service.requests[-1].content


def test_a_token_is_refreshed_once_and_no_more(service, client):
    """If a new token is refused too, asking for ever newer ones helps nobody."""
    service.on("POST /v1/auth/refresh", httpx.Response(200, json=tokens("2")))
    service.on("GET /v1/conversions/c1", problem(401, "invalid-token"))
    client.login("a@example.com", "secret")

    with pytest.raises(ApiError, match="Do better"):
        client.conversion("c1")

    assert service.asked.count("POST /v1/auth/refresh") == 1


def test_a_refused_refresh_is_told_and_ends_the_session(service, client):
    """The person has to log in again, and the error must say so rather than loop."""
    service.on("POST /v1/auth/refresh", problem(401, "invalid-token"))
    service.on("GET /v1/auth/me", problem(401, "invalid-token"))
    client.login("a@example.com", "secret")

    with pytest.raises(ApiError) as refused:
        client.me()

    assert refused.value.code == "invalid-token"
    assert service.asked == ["POST /v1/auth/login", "GET /v1/auth/me", "POST /v1/auth/refresh"]


@pytest.mark.parametrize(
    ("failure", "raised"),
    [(httpx.ConnectError("down"), Unreachable), (problem(503, "unavailable"), ApiError)],
    ids=["not reached", "not served"],
)
def test_a_refresh_that_failed_for_a_moment_can_be_tried_again(service, client, failure, raised):
    """Neither a network that fails for a second nor a database that restarts may log anybody out."""
    service.on("POST /v1/auth/refresh", failure, httpx.Response(200, json=tokens("2")))
    service.on(
        "GET /v1/conversions/c1",
        problem(401, "invalid-token"),
        problem(401, "invalid-token"),
        httpx.Response(200, json=conversion_json()),
    )
    client.login("a@example.com", "secret")

    with pytest.raises(raised):
        client.conversion("c1")

    assert client.conversion("c1").id == "c1"


def test_an_answer_that_is_not_json_is_told(service, client):
    """Another server may listen at the address, or a proxy may answer in its place."""
    service.on("GET /v1/conversions/c1", httpx.Response(200, text="<html>"))

    with pytest.raises(Unreachable, match="not as video2mp3"):
        client.conversion("c1")


def test_a_wrong_password_is_not_refreshed(service, client):
    """A 401 to a login is about the password, and there is no token to refresh."""
    service.on("POST /v1/auth/login", problem(401, "wrong-credentials"))

    with pytest.raises(ApiError) as refused:
        client.login("a@example.com", "wrong")

    assert refused.value.code == "wrong-credentials"
    assert service.asked == ["POST /v1/auth/login"]


def test_an_upload_sends_the_options_before_the_video(service, client, video):
    """The service reads the body as a stream, and can refuse a wrong option before a gigabyte has arrived."""
    service.on("POST /v1/conversions", httpx.Response(202, json=conversion_json()))

    conversion = client.upload(video, quality=Quality.CBR_192)

    body = service.requests[0].content
    assert conversion == Conversion.from_json(conversion_json())
    assert body.index(b'name="quality"\r\n\r\n192\r\n') < body.index(b'name="video"; filename="My movie.mp4"')
    assert video.read_bytes() in body


def test_every_option_is_sent_as_the_service_reads_it(service, client, video):
    """The service has the same names and the same values."""
    service.on("POST /v1/conversions", httpx.Response(202, json=conversion_json()))
    options = Options(
        quality=Quality.V0,
        track=2,
        preferred_language="de",
        tracks="mix",
        start=0.00001,
        end="1:30",
        loudness=-16,
        channels="mono",
        sample_rate=44100,
        damaged="accept",
        cover=12.5,
        chapters="none",
        title="Grüße",
        artist="A",
        album="B",
        album_artist="C",
        genre="D",
        year=2014,
        track_number="3/12",
        comment="one\ntwo",
    )
    assert options.keys() == Options.__annotations__.keys() == set(ServiceOptions.__struct_fields__)

    client.upload(video, **options)

    request = service.requests[0]
    sent = read_form(request.headers["Content-Type"], [request.content]).fields
    assert sent.keys() == options.keys()
    # A track and a mix exclude each other.
    del sent["tracks"]
    read = to_options(sent)
    assert (read.start, read.end, read.cover, read.loudness) == (0.00001, 90.0, "12.5", -16.0)
    assert (read.title, read.comment, read.year, read.track) == ("Grüße", "one\ntwo", "2014", "2")


def test_without_options_none_is_sent(service, client, video):
    """So that a newer service's defaults hold."""
    service.on("POST /v1/conversions", httpx.Response(202, json=conversion_json()))

    client.upload(video)

    request = service.requests[0]
    assert read_form(request.headers["Content-Type"], [request.content]).fields == {}


def test_an_option_that_does_not_exist_is_refused_before_anything_is_sent(service, client, video):
    """A type checker says so, too, but not everybody runs one."""
    with pytest.raises(TypeError, match="no option titel"):
        client.upload(video, titel="T")

    assert service.requests == []


def test_what_was_learnt_of_the_video_and_of_the_mp3_is_told(service, client):
    """Which soundtracks there are, which one was taken and how, and what the person should know."""
    track = {
        "number": 1,
        "codec": "aac",
        "channels": 6,
        "sample_rate_hz": 48000,
        "language": "eng",
        "title": None,
        "default": True,
        "role": "commentary",
        "usable": True,
        "later": 1,
    }
    source = {"codec": "mp3", "channels": 2, "sample_rate_hz": None, "language": "deu", "later": 1}
    mp3 = {
        "bytes": 1,
        "sha256": "00",
        "duration_s": 2.5,
        "bit_rate_bps": 128000,
        "sample_rate_hz": 48000,
        "channels": 2,
        "method": "copied",
        "track": 2,
        "loudness_lufs": -16.1,
        "true_peak_dbtp": -1.5,
        "chapters": 3,
        "cover": True,
        "source": source,
        "later": 1,
    }
    told = conversion_json(
        state="completed",
        video={"bytes": 3, "sha256": "00", "duration_s": 2.5, "tracks": [track]},
        mp3=mp3,
        warnings=[{"code": "filled-gap", "detail": "0.5 s.", "later": 1}],
    )
    service.on("GET /v1/conversions/c1", httpx.Response(200, json=told))

    conversion = client.conversion("c1")

    assert conversion.video.tracks == (
        Track(1, "aac", 6, 48_000, "eng", None, default=True, role="commentary", usable=True),
    )
    assert conversion.mp3 == Mp3(
        1, "00", 2.5, 128_000, 48_000, 2, "copied", 2, -16.1, -1.5, 3, cover=True, source=Source("mp3", 2, None, "deu")
    )
    assert conversion.warnings == (Note("filled-gap", "0.5 s."),)


def test_an_upload_tells_how_far_it_is(service, client, video):
    """Large videos take minutes, and a person wants to see that something happens."""
    service.on("POST /v1/conversions", httpx.Response(202, json=conversion_json()))
    seen: list[tuple[int, int]] = []

    client.upload(video, on_bytes=lambda sent, size: seen.append((sent, size)))

    sent = [sent for sent, _ in seen]
    assert len(set(sent)) > 2
    assert sent == sorted(sent)
    assert seen[-1] == (200_000, 200_000)


class TusService:
    """Takes one upload in slices. `trouble` are answers that are given in place of the next ones to PATCH.

    A trouble that is None takes the slice, and its answer is lost.
    """

    def __init__(self, service: Service, *trouble: httpx.Response | Exception | None) -> None:
        self.received = b""
        self.metadata = ""
        self.deleted = False
        self._service = service
        self._trouble = list(trouble)
        service.on("GET /v1/conversions/u1", httpx.Response(200, json=conversion_json("u1")))

    def __call__(self, request: httpx.Request) -> httpx.Response:
        if not request.url.path.startswith("/v1/uploads"):
            return self._service(request)
        assert request.headers["Tus-Resumable"] == "1.0.0"
        return {"POST": self._create, "PATCH": self._append, "HEAD": self._show, "DELETE": self._delete}[
            request.method
        ](request)

    def _create(self, request: httpx.Request) -> httpx.Response:
        self.metadata = request.headers["Upload-Metadata"]
        return httpx.Response(201, headers={"Location": "http://elsewhere:1234/v1/uploads/u1"})

    def _append(self, request: httpx.Request) -> httpx.Response:
        trouble = self._trouble.pop(0) if self._trouble else httpx.Response(204)
        if isinstance(trouble, Exception):
            raise trouble
        if trouble is not None and trouble.status_code != httpx.codes.NO_CONTENT:
            return trouble
        assert int(request.headers["Upload-Offset"]) == len(self.received)
        assert request.headers["Content-Type"] == "application/offset+octet-stream"
        self.received += request.read()
        if trouble is None:
            raise httpx.ReadError("broken")
        return httpx.Response(204, headers={"Upload-Offset": str(len(self.received))})

    def _show(self, request: httpx.Request) -> httpx.Response:
        return httpx.Response(200, headers={"Upload-Offset": str(len(self.received))})

    def _delete(self, request: httpx.Request) -> httpx.Response:
        self.deleted = True
        return httpx.Response(204)


@pytest.fixture
def long_video(tmp_path):
    path = tmp_path / "Größe.mp4"
    path.write_bytes(bytes(range(251)) * 40_000)
    return path


@pytest.mark.parametrize(
    "trouble",
    [
        pytest.param([], id="nothing goes wrong"),
        pytest.param([httpx.ConnectError("refused")], id="a connection breaks"),
        pytest.param([None, httpx.ReadTimeout("late"), None], id="answers are lost"),
        pytest.param([problem(503, "unavailable"), problem(423, "upload-locked")], id="the service is away"),
        pytest.param([problem(408, "request-timeout"), problem(429, "too-many-requests")], id="the line is slow"),
        pytest.param([httpx.Response(200, text="<html>")], id="a proxy answers for a moment"),
    ],
)
def test_a_long_video_goes_in_slices_and_goes_on_where_it_was(service, long_video, monkeypatch, trouble):
    """Hours of upload are not lost to one broken connection, and no byte is sent twice into the video."""
    monkeypatch.setattr("time.sleep", lambda _: None)
    tus = TusService(service, *trouble)
    seen: list[tuple[int, int]] = []

    with Client(URL, transport=httpx.MockTransport(tus)) as client:
        conversion = client.upload(
            long_video, quality=Quality.V0, on_bytes=lambda sent, size: seen.append((sent, size))
        )

    assert conversion.id == "u1"
    assert tus.received == long_video.read_bytes()
    assert tus.metadata == "filename R3LDtsOfZS5tcDQ=,quality djA="
    assert [sent for sent, _ in seen] == sorted({sent for sent, _ in seen})
    assert seen[-1] == (10_040_000, 10_040_000)


@pytest.mark.parametrize("trouble", [httpx.ConnectError("refused"), problem(503, "unavailable")])
def test_a_long_video_that_has_arrived_has_not_failed_when_the_service_is_away_just_then(
    service, client, long_video, trouble
):
    """Its conversion runs. Whoever heard of a failure would send it once more, and pay for it twice."""
    service.on("POST /v1/uploads", httpx.Response(201, headers={"Location": "/v1/uploads/u1"}))
    service.on("PATCH /v1/uploads/u1", httpx.Response(204, headers={"Upload-Offset": "10040000"}))
    service.on("GET /v1/conversions/u1", trouble, httpx.Response(200, json=conversion_json("u1")))

    assert client.upload(long_video).id == "u1"


@pytest.mark.parametrize(
    "lost", [httpx.ReadTimeout("late"), problem(503, "unavailable"), problem(409, "still-answering")]
)
@pytest.mark.parametrize("is_long", [False, True])
def test_a_creation_whose_answer_was_lost_is_asked_for_again_with_its_key(service, client, request, lost, is_long):
    """The service knows the key again, so that nothing is created twice. The next upload has another."""
    path = request.getfixturevalue("long_video" if is_long else "video")
    route = "POST /v1/uploads" if is_long else "POST /v1/conversions"
    created = httpx.Response(201, headers={"Location": "/v1/uploads/u1"}, json=conversion_json("c1"))
    service.on(route, lost, lost, created, created)
    service.on("PATCH /v1/uploads/u1", httpx.Response(204, headers={"Upload-Offset": "10040000"}))
    service.on("GET /v1/conversions/u1", httpx.Response(200, json=conversion_json("u1")))

    client.upload(path)
    client.upload(path)

    asked = [each for each in service.requests if f"{each.method} {each.url.path}" == route]
    keys = [each.headers["Idempotency-Key"] for each in asked]
    assert len(keys) == 4
    assert len(set(keys[:3])) == 1
    assert keys[3] != keys[0]
    if not is_long:
        assert all(b"not really" * 20_000 in each.content for each in asked)


@pytest.mark.parametrize("is_long", [False, True])
def test_a_creation_is_not_asked_for_for_ever(service, client, request, monkeypatch, is_long):
    clock = iter(range(0, 10**6, 20))
    monkeypatch.setattr("time.monotonic", lambda: next(clock))
    service.on("POST /v1/uploads" if is_long else "POST /v1/conversions", httpx.ConnectError("refused"))

    with pytest.raises(Unreachable, match="refused"):
        client.upload(request.getfixturevalue("long_video" if is_long else "video"))


class Behind:
    """Another transport at a path, and nothing elsewhere. `named` is what its Locations begin with."""

    def __init__(self, path: str, service: Callable[[httpx.Request], httpx.Response], named: str) -> None:
        self._path = path
        self._service = service
        self._named = named

    def __call__(self, request: httpx.Request) -> httpx.Response:
        assert request.url.host == "service"
        assert request.url.path.startswith(f"{self._path}/v1/"), request.url
        path = request.url.path.removeprefix(self._path)
        response = self._service(
            httpx.Request(
                request.method, request.url.copy_with(path=path), headers=request.headers, stream=request.stream
            )
        )
        if location := response.headers.get("Location"):
            response.headers["Location"] = f"{self._named}{httpx.URL(location).path}"
        return response


@pytest.mark.parametrize(
    ("base_url", "named"),
    [
        ("https://service/prod", "/prod"),
        ("https://service/prod/", "https://service/prod"),
        ("https://service/prod", ""),
    ],
)
def test_the_service_may_be_at_a_path_of_its_host(service, long_video, video, tmp_path, *, base_url, named):
    """On AWS the address ends with the stage. A proxy may hide such a path from the service, and so from Location."""
    service.on("POST /v1/conversions", httpx.Response(202, json=conversion_json("c1")))
    service.on("GET /v1/conversions/c1/mp3", httpx.Response(200, content=b"mp3"))
    tus = TusService(service, httpx.ConnectError("refused"))

    with Client(base_url, transport=httpx.MockTransport(Behind("/prod", tus, named))) as client:
        client.login("a@example.com", "secret")
        assert client.upload(video).id == "c1"
        assert client.upload(long_video).id == "u1"
        client.save("c1", tmp_path / "x.mp3")

    assert tus.received == long_video.read_bytes()


def test_a_long_upload_whose_token_runs_out_goes_on(service, long_video):
    """An access token lasts minutes, an upload hours."""
    service.on("POST /v1/auth/refresh", httpx.Response(200, json=tokens("2")))
    tus = TusService(service, httpx.Response(204), problem(401, "invalid-token"))

    with Client(URL, transport=httpx.MockTransport(tus)) as client:
        client.login("a@example.com", "secret")
        client.upload(long_video)

    assert tus.received == long_video.read_bytes()
    assert service.asked.count("POST /v1/auth/refresh") == 1


@pytest.mark.parametrize(
    "headers", [{}, {"Location": "http://[elsewhere/v1/uploads/u1"}, {"Location": "/u1"}, {"Location": "/v1/uploads/"}]
)
def test_a_creation_that_is_answered_by_something_else_is_told(long_video, headers):
    """Another server may listen at the address."""
    transport = httpx.MockTransport(lambda _: httpx.Response(200, headers=headers))

    with Client(URL, transport=transport) as client, pytest.raises(Unreachable, match="not as video2mp3"):
        client.upload(long_video)


def test_a_refused_slice_ends_the_upload_and_leaves_nothing_there(service, long_video):
    """What will be refused again is not sent again."""
    tus = TusService(service, problem(403, "quota-exceeded"))

    with Client(URL, transport=httpx.MockTransport(tus)) as client, pytest.raises(ApiError, match="Do better"):
        client.upload(long_video)

    assert tus.deleted


def test_an_upload_that_is_interrupted_leaves_nothing_there(service, long_video):
    """Ctrl-C."""
    tus = TusService(service)

    def interrupt(_sent: int, _size: int) -> None:
        raise KeyboardInterrupt

    with Client(URL, transport=httpx.MockTransport(tus)) as client, pytest.raises(KeyboardInterrupt):
        client.upload(long_video, on_bytes=interrupt)

    assert tus.deleted


def test_an_upload_to_a_service_that_stays_away_ends(service, long_video, monkeypatch):
    clock = iter(range(0, 10**6, 20))
    monkeypatch.setattr("time.sleep", lambda _: None)
    monkeypatch.setattr("time.monotonic", lambda: next(clock))
    tus = TusService(service, *[httpx.ConnectError("refused")] * 1000)

    with Client(URL, transport=httpx.MockTransport(tus)) as client, pytest.raises(Unreachable):
        client.upload(long_video)


def test_a_file_that_shrinks_while_it_is_sent_is_told(service, long_video):
    """It is somebody's recording that is still being written; an endless loop would help nobody."""
    tus = TusService(service)

    def shrink(_sent: int, _size: int) -> None:
        long_video.write_bytes(b"")

    with Client(URL, transport=httpx.MockTransport(tus)) as client, pytest.raises(ClientError, match="now ends after"):
        client.upload(long_video, on_bytes=shrink)


def test_a_missing_video_is_told_before_anything_is_sent(service, client, tmp_path):
    """The usual error of the language, which names the file."""
    with pytest.raises(FileNotFoundError, match=r"gone\.mp4"):
        client.upload(tmp_path / "gone.mp4")

    assert service.requests == []


def test_waiting_shows_the_progress_and_answers_the_end(service, client):
    """The end may be a failure: the caller looks at the state."""
    failure = {"type": "no-audio-track", "title": "No sound", "detail": "The video has no soundtrack."}
    service.on(
        "GET /v1/conversions/c1",
        httpx.Response(200, json=conversion_json()),
        httpx.Response(200, json=conversion_json(state="converting", progress=0.5)),
        httpx.Response(200, json=conversion_json(state="failed", error=failure)),
    )
    seen: list[float] = []

    ended = client.wait("c1", on_progress=lambda conversion: seen.append(conversion.progress))

    assert ended.state is State.FAILED
    assert ended.error is not None
    assert ended.error.type == "no-audio-track"
    assert seen == [0.0, 0.5, 0.0]


def test_waiting_bears_a_service_that_is_away_for_a_moment(service, client):
    """A gateway that is started again must not end a program that waits for an hour's conversion."""
    service.on(
        "GET /v1/conversions/c1",
        httpx.ConnectError("refused"),
        problem(503, "unavailable"),
        httpx.Response(200, json=conversion_json(state="cancelled")),
    )

    assert client.wait("c1").state is State.CANCELLED


def test_waiting_does_not_bear_a_service_that_stays_away(service, client, monkeypatch):
    """Otherwise a program would hang for ever without a word."""
    monkeypatch.setattr("video2mp3.client._PATIENCE_S", 0)
    service.on("GET /v1/conversions/c1", httpx.ConnectError("refused"))

    with pytest.raises(Unreachable, match=r"http://service/? does not answer: refused"):
        client.wait("c1")


def test_waiting_ends_when_the_time_is_over(service, client):
    """A program may have better things to do."""
    service.on("GET /v1/conversions/c1", httpx.Response(200, json=conversion_json()))

    with pytest.raises(TookTooLong, match="goes on"):
        client.wait("c1", timeout_s=0)


def test_waiting_for_what_is_not_there_ends_at_once(service, client):
    """A refusal will not turn into an answer."""
    service.on("GET /v1/conversions/c1", problem(404, "not-found"))

    with pytest.raises(ApiError) as refused:
        client.wait("c1")

    assert (refused.value.status, refused.value.request_id) == (404, "r1")


def test_a_list_is_fetched_page_by_page(service, client):
    """A person may have more conversions than one answer holds."""
    service.on(
        "GET /v1/conversions",
        httpx.Response(200, json={"items": [conversion_json("c3"), conversion_json("c2")], "next_cursor": "after c2"}),
        httpx.Response(200, json={"items": [conversion_json("c1")], "next_cursor": None}),
    )

    ids = [conversion.id for conversion in client.conversions(state=State.QUEUED)]

    assert ids == ["c3", "c2", "c1"]
    assert [dict(request.url.params) for request in service.requests] == [
        {"state": "queued"},
        {"state": "queued", "cursor": "after c2"},
    ]


def test_an_mp3_is_saved_whole(service, client, tmp_path):
    """What was there from an earlier try is replaced, and nothing else is left behind."""
    service.on("GET /v1/conversions/c1/mp3", httpx.Response(200, content=b"new mp3"))
    target = tmp_path / "movie.mp3"
    target.write_bytes(b"old mp3")

    client.save("c1", target)

    assert target.read_bytes() == b"new mp3"
    assert list(tmp_path.iterdir()) == [target]


def test_an_mp3_that_is_being_copied_is_asked_for_until_it_is_there(service, client, tmp_path):
    """On AWS each request copies for some twenty seconds, and answers with a redirect to itself until all is copied."""
    again = [httpx.Response(307, headers={"Location": "/v1/conversions/c1/mp3"}) for _ in range(50)]
    service.on("GET /v1/conversions/c1/mp3", *again, httpx.Response(200, content=b"mp3"))
    client.login("ann@example.com", "secret")

    client.save("c1", tmp_path / "movie.mp3")

    assert (tmp_path / "movie.mp3").read_bytes() == b"mp3"
    assert all("Authorization" in request.headers for request in service.requests[1:])


def test_an_mp3_that_breaks_off_is_not_saved(service, client, tmp_path):
    """Half an MP3 under its final name would look like a whole one."""

    class BreaksOff(httpx.SyncByteStream):
        def __iter__(self):
            yield b"half an "
            raise httpx.RemoteProtocolError("closed early")

    service.on("GET /v1/conversions/c1/mp3", httpx.Response(200, stream=BreaksOff()))
    target = tmp_path / "movie.mp3"
    target.write_bytes(b"old mp3")

    with pytest.raises(Unreachable, match="closed early"):
        client.save("c1", target)

    assert target.read_bytes() == b"old mp3"
    assert list(tmp_path.iterdir()) == [target]


def test_an_mp3_that_is_not_ready_is_not_saved(service, client, tmp_path):
    """The problem must not be written into the file."""
    service.on("GET /v1/conversions/c1/mp3", problem(409, "not-ready"))

    with pytest.raises(ApiError) as refused:
        client.save("c1", tmp_path / "movie.mp3")

    assert refused.value.code == "not-ready"
    assert list(tmp_path.iterdir()) == []


def test_deleting_retrying_and_linking_call_their_routes(service, client):
    """The small calls of the API's table."""
    link = {"url": "http://service/v1/downloads/t", "expires_at": "2026-01-04T12:00:00Z"}
    service.on("DELETE /v1/conversions/c1", httpx.Response(204))
    service.on("POST /v1/conversions/c1/retry", httpx.Response(202, json=conversion_json()))
    service.on("POST /v1/conversions/c1/link", httpx.Response(201, json=link))

    client.delete("c1")

    assert client.retry("c1").state is State.QUEUED
    assert client.link("c1", ttl_s=60).url == link["url"]
    assert json.loads(service.requests[-1].content) == {"ttl_seconds": 60}


def test_several_mp3s_are_saved_as_one_zip(service, client, tmp_path):
    """As one MP3 is: whole or not at all."""
    service.on("GET /v1/conversions/zip", httpx.Response(200, content=b"a zip"))

    client.save_zip(["c1", "c2"], tmp_path / "a.zip")

    assert (tmp_path / "a.zip").read_bytes() == b"a zip"
    assert service.requests[0].url.params["ids"] == "c1,c2"


def test_a_link_to_a_zip_is_made_like_that_to_an_mp3(service, client):
    link = {"url": "http://service/v1/downloads/zip/t", "expires_at": "2026-01-04T12:00:00Z"}
    service.on("POST /v1/conversions/zip/link", httpx.Response(201, json=link))

    assert client.zip_link(["c1", "c2"], ttl_s=60).url == link["url"]
    assert json.loads(service.requests[0].content) == {"ids": ["c1", "c2"], "ttl_seconds": 60}


def test_usage_says_how_much_room_is_left(service, client):
    body = {
        "stored_bytes": 1,
        "quota_bytes": 2,
        "uploads": {"open": 3, "bytes": 4},
        "max_upload_bytes": 5,
        "retention_days": 6,
    }
    service.on("GET /v1/usage", httpx.Response(200, json=body))

    assert client.usage() == Usage(1, 2, 3, 4, 5, 6)


def test_how_a_video_was_sent_is_told_also_by_a_service_that_does_not_know(service, client):
    """Older services say nothing of it."""
    video = {"bytes": 3, "sha256": "00", "duration_s": None, "original_bytes": 9, "sent": "sound"}
    service.on(
        "GET /v1/conversions/c1",
        httpx.Response(200, json=conversion_json(video=video)),
        httpx.Response(200, json=conversion_json()),
    )

    videos = [client.conversion("c1").video for _ in range(2)]

    assert [(video.original_bytes, video.sent) for video in videos] == [(9, "sound"), (None, "whole")]


def test_logging_out_forgets_the_tokens(service, client):
    """Both tokens are dead by then, so sending them only confuses."""
    service.on("POST /v1/auth/logout", httpx.Response(204))
    service.on("GET /v1/auth/me", problem(401, "invalid-token"))
    client.login("a@example.com", "secret")

    client.logout()

    with pytest.raises(ApiError):
        client.me()
    assert "Authorization" not in service.requests[-1].headers


def test_an_id_cannot_lead_to_another_route(service, client):
    """Ids come from people's scripts, and a slash in one must not change what is deleted."""
    service.on("DELETE /v1/conversions/../auth", problem(404, "not-found"))

    with pytest.raises(ApiError):
        client.delete("../auth")

    assert service.requests[0].url.raw_path == b"/v1/conversions/..%2Fauth"


def test_an_error_names_the_fields_that_are_wrong(service, client):
    """The sentence is what a person sees."""
    service.on(
        "POST /v1/auth/register",
        problem(422, "invalid-input", errors=[{"field": "email", "message": "is not an address"}]),
    )

    with pytest.raises(ApiError) as refused:
        client.register("nonsense", "secret")

    assert str(refused.value) == "Refused. Do better. email: is not an address."
    assert refused.value.errors[0].field == "email"


@pytest.mark.parametrize("body", [b"<html>Bad gateway</html>", b"[]", b""])
def test_an_error_that_is_not_ours_is_told_all_the_same(service, client, body):
    """A proxy in between answers in its own way."""
    service.on("GET /v1/auth/me", httpx.Response(502, content=body))

    with pytest.raises(ApiError, match="The service answered 502") as refused:
        client.me()

    assert refused.value.code == "unknown"


def test_an_address_that_is_none_is_told():
    """A typing mistake in the URL is not a bug of the client."""
    with Client("nonsense") as client, pytest.raises(ClientError, match="nonsense"):
        client.login("a@example.com", "secret")


def test_an_answer_without_content_length_is_fine(service, client, tmp_path):
    """The gateway may send an MP3 in chunks."""
    service.on("GET /v1/conversions/c1/mp3", httpx.Response(200, content=iter([b"a" * 70_000, b"b"])))

    client.save("c1", tmp_path / "movie.mp3")

    assert Path(tmp_path / "movie.mp3").stat().st_size == 70_001
