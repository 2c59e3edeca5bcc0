"""The service with tuspy from PyPI, unmodified: a client that nobody here wrote."""

from io import BytesIO
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from pymongo.database import Database
from tusclient.client import TusClient
from tusclient.exceptions import TusCommunicationError, TusUploadFailed
from tusclient.storage.filestorage import FileStorage
from tusclient.uploader.uploader import Uploader

from functions.shared.mongo import Document
from tests.media import Media
from tests.tus import MIB, Tus, metadata, noise, sha256, stored, upload_id
from video2mp3 import State

# tuspy opens a file for every request and leaves it to Python to close it.
pytestmark = pytest.mark.filterwarnings("ignore:unclosed file:ResourceWarning")

CONTENT = noise(11 * MIB + 3)


@pytest.fixture
def client(tus: Tus) -> TusClient:
    return TusClient(tus.endpoint, headers={"Authorization": f"Bearer {tus.token}"})


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "noise.bin"
    path.write_bytes(CONTENT)
    return path


def path_of(uploader: Uploader) -> str:
    return urlsplit(str(uploader.url)).path


def test_a_video_becomes_an_mp3(client: TusClient, tus: Tus, media: Media) -> None:
    """With a name and options as metadata."""
    video = media.video("mkv")
    sent = {"filename": "Grüße.mkv", "filetype": "video/x-matroska", "quality": "v4"}

    uploader = client.uploader(str(video), metadata=sent)
    uploader.upload()

    assert tus.head(path_of(uploader)).header("Upload-Metadata") == metadata(sent)["Upload-Metadata"]
    done = tus.person.wait(upload_id(path_of(uploader)), timeout_s=60)
    assert (done.state, done.filename) == (State.COMPLETED, "Grüße.mkv")


@pytest.mark.parametrize("chunk_size", [MIB, 3 * MIB + 1, 6 * MIB, len(CONTENT)])
def test_a_file_in_chunks_of_any_size_arrives_whole(
    client: TusClient, database: Database[Document], file: Path, chunk_size: int
) -> None:
    """Smaller and larger than one call of a function carries."""
    uploader = client.uploader(str(file), chunk_size=chunk_size)
    uploader.upload()

    assert sha256(stored(database, path_of(uploader))) == sha256(CONTENT)


@pytest.mark.parametrize("chunk_size", [MIB + 1, 6 * MIB])
def test_checksums_of_chunks_are_checked(
    client: TusClient, database: Database[Document], file: Path, chunk_size: int
) -> None:
    """SHA-1, the one algorithm that every tus server has."""
    uploader = client.uploader(str(file), chunk_size=chunk_size, upload_checksum=True)
    uploader.upload()

    assert sha256(stored(database, path_of(uploader))) == sha256(CONTENT)


def test_a_stored_url_resumes_where_the_last_run_stopped(
    client: TusClient, database: Database[Document], file: Path, tmp_path: Path
) -> None:
    """A program that was ended goes on the next day."""
    storage = FileStorage(str(tmp_path / "urls.json"))
    first = client.uploader(str(file), chunk_size=2 * MIB + 1, store_url=True, url_storage=storage)
    first.upload(stop_at=5 * MIB)
    stopped_at = first.offset

    second = client.uploader(str(file), chunk_size=4 * MIB, store_url=True, url_storage=storage)
    assert second.url == first.url
    assert 0 < second.offset == stopped_at < len(CONTENT)
    second.upload()
    storage.close()

    assert sha256(stored(database, path_of(second))) == sha256(CONTENT)


def test_an_empty_file_is_an_upload_too(client: TusClient, tus: Tus) -> None:
    """Then tuspy sends one POST and nothing else."""
    uploader = client.uploader(file_stream=BytesIO(b""))
    uploader.upload()

    assert tus.offset(path_of(uploader)) == 0


def test_refusals_arrive_as_what_they_are(client: TusClient, tus: Tus) -> None:
    """What tuspy raises tells the status."""
    with pytest.raises(TusCommunicationError) as missing:
        client.uploader(file_stream=BytesIO(CONTENT), url=f"{tus.endpoint}/{'0' * 32}")
    assert missing.value.status_code == 404

    uploader = client.uploader(file_stream=BytesIO(CONTENT))
    uploader.url = uploader.create_url()
    uploader.offset = 7
    with pytest.raises(TusUploadFailed) as conflict:
        uploader.upload()
    assert conflict.value.status_code == 409
