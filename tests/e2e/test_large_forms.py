"""Forms of any size: what `curl -F video=@movie.mp4` and a browser's form send."""

import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from pymongo.database import Database

from functions.shared.mongo import Document
from tests.media import Media, with_ballast
from tests.tus import MAX_UPLOAD_BYTES, MIB, Answer, Tus, noise, sha256, stored, until
from video2mp3 import State

CONVERSIONS = "/v1/conversions"
BOUNDARY = "---------------------------2b5c"
FORM = {"Content-Type": f"multipart/form-data; boundary={BOUNDARY}", "Tus-Resumable": None}
END = f"\r\n--{BOUNDARY}--\r\n".encode()


def part(disposition: str, content: bytes = b"") -> bytes:
    return f"\r\n--{BOUNDARY}\r\nContent-Disposition: form-data; {disposition}\r\n\r\n".encode() + content


def video(content: bytes, name: str = "a.mp4") -> bytes:
    return part(f'name="video"; filename="{name}"', content)


def large_video(media: Media, path: Path, size: int) -> Path:
    """Write a real video with so much ballast in it that it has this size."""
    path.write_bytes(with_ballast(media.video("mp4 moov first").read_bytes(), size))
    return path


def what_is_left(tus: Tus, database: Database[Document]) -> list[str]:
    """Return the ids of this person's uploads, and of videos that are nobody's."""
    uploads = [upload["_id"] for upload in database.uploads.find({"owner.id": tus.id, "conversion": None})]
    known = {*database.uploads.distinct("_id"), *database.conversions.distinct("_id")}
    return [*uploads, *(set(database.videos.chunks.distinct("files_id")) - known)]


@pytest.fixture
def leaves_nothing(tus: Tus, database: Database[Document]) -> Iterator[None]:
    """Look, after a test, that nothing is stored which was not before."""
    before = set(what_is_left(tus, database))
    conversions = database.conversions.count_documents({})
    yield
    until(lambda: set(what_is_left(tus, database)) <= before)
    assert database.conversions.count_documents({}) == conversions


def test_curl_sends_a_large_video(tus: Tus, database: Database[Document], media: Media, tmp_path: Path) -> None:
    """One command, as the README shows it, whatever the size; and the options count wherever they stand."""
    path = large_video(media, tmp_path / "holiday.mp4", 60_000_000)
    command = [
        *("curl", "--silent", "--show-error", "--include", "--max-time", "60"),
        *("-H", f"Authorization: Bearer {tus.token}", "-F", f"video=@{path}", "-F", "quality=128"),
        tus.endpoint.replace("uploads", "conversions"),
    ]

    done = subprocess.run(command, capture_output=True, text=True, timeout=90, check=True)

    assert re.search(r"^HTTP/1.1 202 ", done.stdout, re.MULTILINE), done.stdout
    location = re.search(r"^location: (\S+)", done.stdout, re.MULTILINE | re.IGNORECASE)
    assert location is not None
    assert '"quality":"128"' in done.stdout.replace(" ", "")
    conversion = tus.person.wait(location[1].rpartition("/")[2], timeout_s=60)
    assert conversion.state == State.COMPLETED
    assert conversion.filename == "holiday.mp4"
    assert conversion.video.bytes == 60_000_000
    assert conversion.video.sha256 == sha256(path.read_bytes())
    assert sha256(stored(database, location[1])) == conversion.video.sha256


@pytest.mark.parametrize("size", [4 * MIB, 4_620_000, 5 * MIB + 1])
def test_a_form_about_as_large_as_a_slice_arrives_whole(tus: Tus, database: Database[Document], size: int) -> None:
    """The sizes at which one way of handing it on ends and the other begins."""
    content = noise(size)

    answer = tus.ask("POST", CONVERSIONS, FORM, part('name="quality"', b"v0") + video(content) + END)

    assert answer.status == 202, answer
    assert sha256(stored(database, answer.header("Location") or "")) == sha256(content)


def test_a_form_without_a_length_arrives_whole(tus: Tus, database: Database[Document]) -> None:
    """In the chunked transfer encoding, as programs send it that make the video at that moment."""
    content = noise(11 * MIB + 5)
    form = video(content) + part('name="quality"', b"v4") + END

    answer = tus.ask("POST", CONVERSIONS, FORM, (form[at : at + 65_521] for at in range(0, len(form), 65_521)))

    assert answer.status == 202, answer
    assert sha256(stored(database, answer.header("Location") or "")) == sha256(content)


@pytest.mark.parametrize(
    ("sent", "shown"),
    [("../../etc/passwd", "passwd"), ("a%0D%0Ab%22.mp4", None), ("\u202egpj.mp4", None), ("%d.mp4", "%d.mp4")],
)
def test_the_name_of_a_large_video_is_for_display_only(tus: Tus, sent: str, shown: str | None) -> None:
    """The large way makes names as harmless as the small one."""
    answer = tus.ask("POST", CONVERSIONS, FORM, video(noise(5 * MIB), sent) + END)

    name = tus.person.conversion((answer.header("Location") or "").rpartition("/")[2]).filename
    assert name == shown or shown is None
    assert not set(name) & set("\r\n\x00/\\\u202e")


@pytest.mark.usefixtures("leaves_nothing")
@pytest.mark.parametrize(
    ("form", "status", "code"),
    [
        pytest.param(video(noise(9 * MIB)), 400, "bad-multipart", id="no end"),
        pytest.param(video(noise(9 * MIB)) + video(b"x") + END, 400, "bad-multipart", id="two files"),
        pytest.param(video(b"x") + video(noise(9 * MIB)) + END, 400, "bad-multipart", id="two files, the second large"),
        pytest.param(video(noise(9 * MIB)) + part('name="quality"', b"best") + END, 422, "invalid-input", id="option"),
        pytest.param(part('name="quality"', b"best") + video(noise(9 * MIB)) + END, 422, "invalid-input", id="early"),
        pytest.param(
            video(noise(9 * MIB)) + part('name="speed"', b"2") + END, 422, "invalid-input", id="no such field"
        ),
        pytest.param(part('name="film"; filename="a"', noise(9 * MIB)) + END, 422, "invalid-input", id="other name"),
        pytest.param(part('name="video"', noise(9 * MIB)) + END, 413, "too-large", id="no file but a long field"),
        pytest.param(video(noise(9 * MIB)) + part("x=y") + END, 400, "bad-multipart", id="a part without name"),
        pytest.param(video(noise(9 * MIB)) + part('name="a"') * 10_000 + END, 413, "too-large", id="10,000 parts"),
        pytest.param(
            video(noise(9 * MIB)) + part(f'name="{"a" * 100_000}"') + END, 413, "too-large", id="giant part header"
        ),
        pytest.param(video(b"<!doctype html><html>" * 500_000) + END, 415, "unsupported-media", id="a page"),
    ],
)
def test_a_large_form_that_cannot_be_taken_leaves_nothing(tus: Tus, form: bytes, status: int, code: str) -> None:
    """The same answers as for small forms, also when most of the video is stored already."""
    answer = tus.ask("POST", CONVERSIONS, FORM, form)

    assert (answer.status, answer.code) == (status, code)


@pytest.mark.usefixtures("leaves_nothing")
def test_a_form_that_is_announced_too_large_is_refused_before_it_is_sent(tus: Tus) -> None:
    """And the answer says how large it may be."""
    headers = {**FORM, "Content-Length": str(MAX_UPLOAD_BYTES + 2 * MIB), "Expect": "100-continue"}

    with tus.begin("POST", CONVERSIONS, headers) as sending:
        answer = sending.answer()

    assert (answer.status, answer.code) == (413, "too-large")
    assert re.search(r"\d{8} bytes", answer.body.decode())


@pytest.mark.usefixtures("leaves_nothing")
def test_a_form_that_grows_too_large_is_refused(tus: Tus) -> None:
    """Without a length there is no other way to know. What was stored until then goes."""
    piece = noise(MIB)

    def form() -> Iterator[bytes]:
        yield video(b"")
        for _ in range(MAX_UPLOAD_BYTES // MIB + 1):
            yield piece
        yield END

    answer: Answer = tus.ask("POST", CONVERSIONS, FORM, form())

    assert (answer.status, answer.code) == (413, "too-large")


@pytest.mark.usefixtures("leaves_nothing")
def test_what_only_the_gateway_may_say_a_client_cannot_say(tus: Tus, stranger: Tus) -> None:
    """Not of somebody else's upload, nor of one's own: the header is as if it had not been sent."""
    theirs = stranger.create(None)
    stranger.patch(theirs, 0, noise(MIB))
    headers = {
        "Tus-Resumable": None,
        "X-Stored-Upload": theirs.rpartition("/")[2],
        "Content-Type": "application/x-www-form-urlencoded",
    }

    assert tus.ask("POST", CONVERSIONS, headers, b"quality=v2").status == 400
    assert stranger.ask("POST", CONVERSIONS, headers, b"quality=v2").status == 400

    assert stranger.ask("DELETE", theirs).status == 204
