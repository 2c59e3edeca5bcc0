"""The whole service, killed and started again, and with more than a function could answer. Nothing is faked."""

import os
import secrets
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import psutil
import pytest
from pymongo.database import Database

from functions.shared.mongo import Document, connect_mongo
from infra.local.stack import RunningStack, running_stack
from tests.letters import in_outbox
from tests.media import Media, ffmpeg
from tests.tus import until
from video2mp3 import Client, Conversion, State

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
    until(lambda: in_outbox(stack.outbox, address))
    time.sleep(2)  # for a second letter that must not come
    assert len(in_outbox(stack.outbox, address)) == 1


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
