"""From a video to its MP3 and its e-mail."""

import secrets
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from mutagen.id3 import ID3
from pymongo.database import Database

from functions.shared.mongo import Document
from tests.api.services import Service
from tests.media import Media, decoded_seconds, real_clip
from tests.tus import MAX_UPLOAD_BYTES, TIMEOUT_S, until
from video2mp3 import ApiError, Client, Conversion, State

PASSWORD = "correct horse battery"


@pytest.fixture
def client(service: Service) -> Iterator[Client]:
    """Somebody whom nothing happened to yet."""
    with Client(service.url) as client:
        address = f"{secrets.token_hex(6)}@example.com"
        client.register(address, PASSWORD)
        client.login(address, PASSWORD)
        yield client


def convert(client: Client, video: Path) -> Conversion:
    return client.wait(client.upload(video).id, timeout_s=60)


def test_a_person_gets_the_sound_of_a_video(client: Client, media: Media, tmp_path: Path) -> None:
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


def test_the_e_mail_brings_a_link_that_needs_no_login(service: Service, client: Client, tmp_path: Path) -> None:
    """People close the browser and come back through the e-mail."""
    done = convert(client, real_clip())
    client.save(done.id, tmp_path / "a.mp3")
    address = client.me().email

    (letter,) = until(lambda: service.letters_to(address))

    assert letter.link.startswith(f"{service.url}/v1/downloads/")
    answer = httpx.get(letter.link, timeout=TIMEOUT_S)
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "audio/mpeg"
    assert "bigbuckbunny.mp3" in answer.headers["content-disposition"]
    assert answer.content == (tmp_path / "a.mp3").read_bytes()


def test_a_video_without_sound_ends_as_failed_with_one_e_mail_that_says_why(
    service: Service, client: Client, media: Media
) -> None:
    """A silent failure would leave the person waiting. She can have it tried again."""
    done = convert(client, media.video("no sound"))

    assert done.state == State.FAILED
    assert done.error is not None
    assert done.error.type == "no-audio-track"
    assert done.attempts == 1
    address = client.me().email
    (letter,) = until(lambda: service.letters_to(address))
    assert done.error.detail in letter.text

    again = client.retry(done.id)

    assert again.state == State.QUEUED
    assert client.wait(done.id, timeout_s=60).state == State.FAILED
    until(lambda: len(service.letters_to(address)) == 2)


def test_what_did_not_fail_is_not_tried_again(client: Client, media: Media) -> None:
    """There is nothing to mend."""
    done = convert(client, media.video("mkv"))

    with pytest.raises(ApiError) as refused:
        client.retry(done.id)

    assert (refused.value.status, refused.value.code) == (409, "not-failed")
    assert client.conversion(done.id) == done


def test_a_deleted_conversion_is_gone_with_its_files(
    client: Client, database: Database[Document], media: Media
) -> None:
    """Deleted means deleted."""
    conversion = convert(client, media.video("avi"))
    url = client.link(conversion.id, ttl_s=600).url

    client.delete(conversion.id)

    with pytest.raises(ApiError) as missing:
        client.conversion(conversion.id)
    assert missing.value.status == 404
    assert httpx.get(url, timeout=TIMEOUT_S).status_code == 404
    assert list(client.conversions()) == []
    assert database.videos.files.count_documents({"_id": conversion.id}) == 0
    assert database.mp3s.files.count_documents({"_id": {"$regex": f"^{conversion.id}"}}) == 0


def test_a_conversion_can_be_deleted_before_it_has_ended(
    service: Service, client: Client, database: Database[Document], media: Media
) -> None:
    """The person has thought better of it: nothing is left, and nobody writes to her."""
    conversion = client.upload(media.video("mov", seconds=60))

    client.delete(conversion.id)

    with pytest.raises(ApiError) as missing:
        client.conversion(conversion.id)
    assert missing.value.status == 404
    later = convert(client, media.video("no sound"))
    assert later.state == State.FAILED
    until(lambda: service.letters_to(client.me().email))
    assert len(service.letters_to(client.me().email)) == 1
    until(lambda: not database.mp3s.files.count_documents({"_id": {"$regex": f"^{conversion.id}"}}))
    assert database.videos.chunks.count_documents({"files_id": conversion.id}) == 0


def test_a_video_over_the_limit_is_refused_with_the_limit(client: Client, tmp_path: Path) -> None:
    """At once, before a byte of it was sent, and with the number."""
    video = tmp_path / "large.mp4"
    with video.open("wb") as file:
        file.truncate(MAX_UPLOAD_BYTES + 1)

    with pytest.raises(ApiError) as refused:
        client.upload(video)

    assert (refused.value.status, refused.value.code) == (413, "too-large")
    assert str(MAX_UPLOAD_BYTES) in refused.value.detail


def test_a_video_of_several_slices_arrives_whole(client: Client, tmp_path: Path) -> None:
    """Our own client, with more than a function takes in one call; that it is none is seen in the end."""
    video = tmp_path / "long.mp4"
    video.write_bytes(b"<!DOCTYPE html><html>" + bytes(5_000_000))

    done = convert(client, video)

    assert done.video.bytes == video.stat().st_size
    assert done.error is not None
    assert (done.state, done.error.type, done.attempts) == (State.FAILED, "unsupported-media", 1)
