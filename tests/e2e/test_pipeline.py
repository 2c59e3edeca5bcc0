"""The whole service, stopped and started again, and with more than a function could answer. Nothing is faked."""

import os
import secrets
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from infra.local.stack import RunningStack, running_stack
from tests.media import Media, ffmpeg
from video2mp3 import Client, Conversion

PASSWORD = "correct horse battery"
MAX_UPLOAD_BYTES = 512 * 1024 * 1024


@pytest.fixture(scope="module")
def state_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("stack")


@pytest.fixture(scope="module")
def stack(state_dir: Path) -> Iterator[RunningStack]:
    with running_stack(state_dir, {**os.environ, "MAX_UPLOAD_BYTES": str(MAX_UPLOAD_BYTES)}) as running:
        yield running


@pytest.fixture
def client(stack: RunningStack) -> Iterator[Client]:
    with new_person(stack) as person:
        yield person


def new_person(stack: RunningStack) -> Client:
    client = Client(stack.url)
    address = f"{secrets.token_hex(6)}@example.com"
    client.register(address, PASSWORD)
    client.login(address, PASSWORD)
    return client


def convert(client: Client, video: Path) -> Conversion:
    return client.wait(client.upload(video).id, timeout_s=60)


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
