"""The whole service: HTTP through the gateway, RabbitMQ, ffmpeg, mail. Nothing is faked."""

import email
import email.policy
import os
import re
import secrets
import signal
import time
from collections.abc import Iterator
from email.message import EmailMessage
from pathlib import Path

import httpx
import psutil
import pytest
from mutagen.id3 import ID3
from pymongo.database import Database

from functions.shared.mongo import Document, connect_mongo
from infra.local.stack import RunningStack, running_stack
from tests.e2e.tus import until
from tests.media import Media, decoded_seconds, ffmpeg, real_clip
from video2mp3 import ApiError, Client, Conversion, State

PASSWORD = "correct horse battery"
MAX_UPLOAD_BYTES = 512 * 1024 * 1024


@pytest.fixture(scope="module")
def state_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("stack")


@pytest.fixture(scope="module")
def stack(state_dir: Path) -> Iterator[RunningStack]:
    with running_stack(state_dir, {**os.environ, "LEASE_S": "3", "MAX_UPLOAD_BYTES": str(MAX_UPLOAD_BYTES)}) as running:
        yield running


@pytest.fixture
def client(stack: RunningStack) -> Iterator[Client]:
    with new_person(stack) as person:
        yield person


@pytest.fixture
def database(stack: RunningStack) -> Iterator[Database[Document]]:
    database = connect_mongo(stack.urls.mongodb)
    yield database
    database.client.close()


def new_person(stack: RunningStack) -> Client:
    client = Client(stack.url)
    address = f"{secrets.token_hex(6)}@example.com"
    client.register(address, PASSWORD)
    client.login(address, PASSWORD)
    return client


def letters_to(stack: RunningStack, address: str) -> list[EmailMessage]:
    messages = [
        email.message_from_bytes(path.read_bytes(), policy=email.policy.default) for path in stack.outbox.glob("*.eml")
    ]
    return [m for m in messages if isinstance(m, EmailMessage) and m["To"] == address]


def text_of(letter: EmailMessage) -> str:
    body = letter.get_body(preferencelist=("plain",))
    assert body is not None
    return str(body.get_content())


def convert(client: Client, video: Path, quality: str = "v2") -> Conversion:
    return client.wait(client.upload(video, quality=quality).id, timeout_s=60)


def test_a_person_gets_the_sound_of_a_video(stack: RunningStack, client: Client, media: Media, tmp_path: Path) -> None:
    """The main job: register, log in, upload, look at the progress, save; with the title in the MP3."""
    seen: list[float] = []
    uploaded = client.upload(media.video("tagged"))
    done = client.wait(uploaded.id, on_progress=lambda look: seen.append(look.progress), timeout_s=60)
    client.save(done.id, tmp_path / "a.mp3")

    assert uploaded.state in (State.QUEUED, State.CONVERTING)
    assert done.state == State.COMPLETED
    assert seen[-1] == 1.0
    assert done.mp3 is not None
    assert done.mp3.bytes == (tmp_path / "a.mp3").stat().st_size
    assert decoded_seconds(tmp_path / "a.mp3") == pytest.approx(3, abs=0.2)
    assert str(ID3(tmp_path / "a.mp3")["TIT2"]) == "A walk; in = the park"


def test_the_e_mail_brings_a_link_that_needs_no_login(stack: RunningStack, client: Client, tmp_path: Path) -> None:
    """People close the browser and come back through the e-mail."""
    done = convert(client, real_clip())
    client.save(done.id, tmp_path / "a.mp3")
    address = client.me().email

    (letter,) = until(lambda: letters_to(stack, address))
    link = re.search(r"http://\S+/v1/downloads/\S+", text_of(letter))

    assert link is not None
    answer = httpx.get(link[0])
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "audio/mpeg"
    assert "bigbuckbunny.mp3" in answer.headers["content-disposition"]
    assert answer.content == (tmp_path / "a.mp3").read_bytes()
    tampered = link[0][:-1] + ("A" if link[0][-1] != "A" else "B")
    assert httpx.get(tampered).status_code == 403


def test_a_video_without_sound_ends_as_failed_with_one_e_mail_that_says_why(
    stack: RunningStack, client: Client, media: Media
) -> None:
    """A silent failure would leave the person waiting."""
    done = convert(client, media.video("no sound"))

    assert done.state == State.FAILED
    assert done.error is not None
    assert done.error.type == "no-audio-track"
    assert done.attempts == 1
    address = client.me().email
    (letter,) = until(lambda: letters_to(stack, address))
    assert done.error.detail in text_of(letter)


def test_somebody_elses_conversion_is_not_there(stack: RunningStack, client: Client, media: Media) -> None:
    """Not "forbidden": even that a conversion exists is nobody's business."""
    conversion = convert(client, media.video("mkv"))
    with new_person(stack) as other:
        assert list(other.conversions()) == []
        for call in (
            lambda: other.conversion(conversion.id),
            lambda: other.save(conversion.id, Path("/dev/null")),
            lambda: other.link(conversion.id, ttl_s=60),
            lambda: other.retry(conversion.id),
            lambda: other.delete(conversion.id),
        ):
            with pytest.raises(ApiError) as refused:
                call()
            assert refused.value.status == 404

    assert client.conversion(conversion.id).state == State.COMPLETED


def test_an_mp3_larger_than_a_functions_answer_comes_whole_and_in_ranges(client: Client, tmp_path: Path) -> None:
    """Lambda's answers end at 6 MB; an hour of music does not."""
    video = tmp_path / "long.mkv"
    ffmpeg("-f", "lavfi", "-i", "anoisesrc=duration=300:color=pink", "-c:a", "pcm_s16le", str(video))
    conversion_id = client.upload(video, quality="320").id
    done = client.wait(conversion_id, timeout_s=120)
    client.save(conversion_id, tmp_path / "a.mp3")
    content = (tmp_path / "a.mp3").read_bytes()

    assert done.mp3 is not None
    assert len(content) == done.mp3.bytes > 10_000_000
    link = client.link(conversion_id, ttl_s=600).url
    part = httpx.get(link, headers={"Range": "bytes=5000000-10999999"})
    assert part.status_code == 206
    assert part.content == content[5_000_000:11_000_000]
    assert not [name for name in part.headers if name.startswith("x-stored")]
    head = httpx.head(link)
    assert (head.status_code, int(head.headers["content-length"])) == (200, len(content))


def test_a_video_over_the_limit_is_refused_with_the_limit(client: Client, tmp_path: Path) -> None:
    """At once, before a byte of it was sent, and with the number."""
    video = tmp_path / "large.mp4"
    with video.open("wb") as file:
        file.truncate(MAX_UPLOAD_BYTES + 1)

    with pytest.raises(ApiError) as refused:
        client.upload(video)

    assert (refused.value.status, refused.value.code) == (413, "too-large")
    assert str(MAX_UPLOAD_BYTES) in refused.value.detail


def test_a_long_file_that_is_no_video_ends_as_failed_and_says_so(client: Client, tmp_path: Path) -> None:
    """It came in slices, so nobody looked at it before it was whole."""
    video = tmp_path / "long.mp4"
    video.write_bytes(b"<!DOCTYPE html><html>" + bytes(5_000_000))

    done = client.wait(client.upload(video).id, timeout_s=60)

    assert done.error is not None
    assert (done.state, done.error.type, done.attempts) == (State.FAILED, "unsupported-media", 1)


def test_a_deleted_conversion_is_gone_with_its_files(
    stack: RunningStack, client: Client, database: Database[Document], media: Media
) -> None:
    """Deleted means deleted."""
    conversion = convert(client, media.video("avi"))

    client.delete(conversion.id)

    with pytest.raises(ApiError):
        client.conversion(conversion.id)
    assert database.videos.files.count_documents({"_id": conversion.id}) == 0
    assert database.mp3s.files.count_documents({"_id": {"$regex": f"^{conversion.id}"}}) == 0


def test_a_failed_conversion_can_be_tried_again(client: Client, media: Media) -> None:
    """After a bad day of ours, the person need not upload again."""
    conversion = convert(client, media.video("no sound"))

    again = client.retry(conversion.id)

    assert again.state == State.QUEUED
    assert client.wait(conversion.id, timeout_s=30).state == State.FAILED


def test_a_conversion_whose_worker_is_killed_completes_once(
    stack: RunningStack,
    client: Client,
    database: Database[Document],
    tmp_path: Path,
) -> None:
    """A kill -9 in mid-conversion: ffmpeg dies too, another worker takes over, one MP3 and one e-mail come of it."""
    video = tmp_path / "long.mkv"
    ffmpeg("-f", "lavfi", "-i", "sine=duration=2400", "-c:a", "pcm_s16le", str(video))
    conversion_id = client.upload(video).id
    until(lambda: client.conversion(conversion_id).progress > 0.2)
    worker = psutil.Process(stack.pids["triggers"])
    encoders = [child for child in worker.children(recursive=True) if "ffmpeg" in child.name()]

    worker.send_signal(signal.SIGKILL)

    gone, alive = psutil.wait_procs(encoders, timeout=5)
    assert (len(gone), alive) == (1, [])
    done = client.wait(conversion_id, timeout_s=120)
    assert (done.state, done.attempts) == (State.COMPLETED, 2)
    assert database.mp3s.files.count_documents({"_id": {"$regex": f"^{conversion_id}"}}) == 1
    assert database.mp3s.chunks.distinct("files_id", {"files_id": {"$regex": f"^{conversion_id}"}}) == [
        database.conversions.find_one({"_id": conversion_id}, {"mp3_file_id": True})["mp3_file_id"]  # type: ignore[index]
    ]
    address = client.me().email
    until(lambda: letters_to(stack, address))
    time.sleep(2)  # for a second letter that must not come
    assert len(letters_to(stack, address)) == 1


def test_what_was_there_before_a_stop_is_there_after_the_next_start(media: Media, tmp_path: Path) -> None:
    """People restart their machines; accounts, conversions and MP3s stay."""
    with running_stack(tmp_path / "state") as first, new_person(first) as person:
        address = person.me().email
        conversion = convert(person, media.video("mkv"))
        person.save(conversion.id, tmp_path / "before.mp3")

    with running_stack(tmp_path / "state") as second, Client(second.url) as person:
        person.login(address, PASSWORD)
        person.save(conversion.id, tmp_path / "after.mp3")

        assert list(person.conversions()) == [conversion]
    assert (tmp_path / "after.mp3").read_bytes() == (tmp_path / "before.mp3").read_bytes()
