"""A small video in one form, as `curl -F video=@clip.mp4` and a browser send it."""

import httpx
import pytest
from pymongo.database import Database

from functions.shared.mongo import Document
from tests.media import Media
from tests.problems import problem
from tests.tus import MIB, Tus, noise, sha256, stored
from tests.wrong_options import WRONG, Wrong, told_as
from video2mp3 import State

CONVERSIONS = "/v1/conversions"
HALF = b'--x\r\nContent-Disposition: form-data; name="video"; filename="a"\r\n\r\nab'
HTML = b"<!doctype html><html><body>" + b"x" * 1000


def test_a_form_becomes_an_mp3(web: httpx.Client, tus: Tus, media: Media) -> None:
    """In one request; the answer says where to look."""
    video = media.video("webm opus").read_bytes()

    answer = web.post(CONVERSIONS, files={"video": ("Grüße.webm", video)}, data={"quality": "128"})

    assert answer.status_code == 202
    conversion_id = answer.json()["id"]
    assert answer.url.join(answer.headers["location"]) == f"{answer.url}/{conversion_id}"
    done = tus.person.wait(conversion_id, timeout_s=60)
    assert (done.state, done.filename) == (State.COMPLETED, "Grüße.webm")
    assert done.mp3 is not None
    assert (done.video.sha256, done.mp3.bit_rate_bps) == (sha256(video), 128_000)


def test_every_byte_of_a_form_arrives(web: httpx.Client, database: Database[Document]) -> None:
    """Nobody on the way takes it for text: it holds every byte there is, and none of it is UTF-8."""
    content = bytes(range(256)) * 100 + noise(1_000_003)

    answer = web.post(CONVERSIONS, files={"video": ("a.mp4", content, "text/plain; charset=utf-8")})

    assert answer.status_code == 202
    assert sha256(stored(database, answer.json()["id"])) == sha256(content)


@pytest.mark.parametrize(
    ("files", "data", "expected"),
    [
        ({"video": ("a.mp4", b"bytes")}, {"quality": "best"}, (422, "invalid-input")),
        ({"video": ("a.mp4", b"bytes")}, {"speed": "2"}, (422, "invalid-input")),
        ({"film": ("a.mp4", b"bytes")}, {}, (422, "invalid-input")),
        ({"video": ("a.mp4", b"")}, {}, (422, "empty-file")),
        ({"video": ("a.mp4", HTML)}, {}, (415, "unsupported-media")),
        ([("video", ("a.mp4", b"a")), ("video", ("b.mp4", b"b"))], {}, (400, "bad-multipart")),
    ],
    ids=["option", "field", "name", "empty", "page", "two"],
)
def test_a_form_that_cannot_be_taken_says_why(
    web: httpx.Client, tus: Tus, files: object, data: dict[str, str], expected: tuple[int, str]
) -> None:
    """And nothing is queued."""
    before = [each.id for each in tus.person.conversions()]

    assert problem(web.post(CONVERSIONS, files=files, data=data)) == expected  # type: ignore[arg-type]

    assert [each.id for each in tus.person.conversions()] == before


@pytest.mark.parametrize("wrong", [pytest.param(wrong, id=name) for name, wrong in WRONG.items()])
def test_a_wrong_option_in_a_form_is_named_with_what_is_allowed(web: httpx.Client, wrong: Wrong) -> None:
    """Each of them, so that a person corrects all at once."""
    answer = web.post(CONVERSIONS, files={"video": ("a.mp4", b"bytes")}, data=wrong.sent)

    assert problem(answer) == (422, "invalid-input")
    assert told_as(wrong, answer.json()["errors"]), answer.json()
    assert "location" not in answer.headers


@pytest.mark.parametrize("size", [1000, 5 * MIB], ids=["short", "in slices"])
def test_every_option_of_a_form_is_taken(web: httpx.Client, tus: Tus, size: int) -> None:
    """The longest texts too, in either of the ways that a form goes."""
    title, comment = "🎬" * 500, "東\r\n" + "🎬" * 990
    options = {
        "quality": "v0",
        "track": "DE",
        "preferred_language": "pt-BR",
        "start": "1:30",
        "end": "00:02:00.500",
        "loudness": "-16",
        "channels": "mono",
        "sample_rate": "44100",
        "damaged": "accept",
        "cover": "95",
        "chapters": "none",
        "title": title,
        "year": "2014-11-08",
        "track_number": "3/12",
        "comment": comment,
        "artist": "",
    }

    answer = web.post(CONVERSIONS, files={"video": ("a.mp4", noise(size))}, data=options)

    assert answer.status_code == 202, answer.text
    told = answer.json()["options"]
    assert told == {
        **dict.fromkeys(["tracks", "artist", "album", "album_artist", "genre"]),
        **options,
        "artist": None,
        "track": "de",
        "preferred_language": "pt-br",
        "start": 90.0,
        "end": 120.5,
        "loudness": -16.0,
        "sample_rate": 44100,
        "comment": comment.replace("\r\n", "\n"),
    }
    assert tus.person.conversion(answer.json()["id"]).options == told
    tus.person.delete(answer.json()["id"])


@pytest.mark.parametrize(
    ("content_type", "body"),
    [
        ("application/json", b"{}"),
        ("multipart/form-data", b"--x--"),
        ("multipart/form-data; boundary=x", b"nonsense"),
        (
            "multipart/form-data; boundary=x",
            b'--x\r\nContent-Disposition: form-data; name="video"; filename="a"\r\n\r\nab',
        ),
    ],
)
def test_what_is_no_form_is_refused(web: httpx.Client, content_type: str, body: bytes) -> None:
    """Half a form too: half a video would be no use."""
    answer = web.post(CONVERSIONS, headers={"Content-Type": content_type}, content=body)

    status, _ = problem(answer)
    assert status in {400, 415}
