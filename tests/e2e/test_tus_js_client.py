"""The service with tus-js-client from npm, unmodified: what browsers use (Uppy is built on it)."""

import secrets
from pathlib import Path

import pytest
from pymongo.database import Database

from functions.shared.mongo import Document
from tests.e2e.tus_js_client import TusJs
from tests.media import Media
from tests.tcp_proxy import proxied
from tests.tus import MIB, Tus, noise, sha256, stored, until, upload_id
from video2mp3 import ApiError, State

CONTENT = noise(16 * MIB + 3)


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("files") / "noise.bin"
    path.write_bytes(CONTENT)
    return path


def test_a_video_becomes_an_mp3(tus_js: TusJs, tus: Tus, media: Media) -> None:
    """With a name and options as metadata, in one PATCH."""
    sent = {"filename": "Grüße.mp4", "filetype": "video/mp4", "quality": "192"}

    story = tus_js.run("upload.mjs", tus, media.video("mp4 moov last"), options={"metadata": sent})

    assert len(story.answers("PATCH")) == 1
    done = tus.person.wait(upload_id(story.path), timeout_s=60)
    assert (done.state, done.filename) == (State.COMPLETED, "Grüße.mp4")


@pytest.mark.parametrize("chunk_size", [MIB + 1, 4 * MIB, 7 * MIB, None])
def test_a_file_in_chunks_of_any_size_arrives_whole(
    tus_js: TusJs, tus: Tus, database: Database[Document], file: Path, chunk_size: int | None
) -> None:
    """Smaller and larger than one call of a function carries; without a size, tus-js-client sends all at once."""
    options = {} if chunk_size is None else {"chunkSize": chunk_size}

    story = tus_js.run("upload.mjs", tus, file, options=options)

    assert len(story.answers("PATCH")) == -(-len(CONTENT) // (chunk_size or len(CONTENT)))
    assert sha256(stored(database, story.path)) == sha256(CONTENT)


def test_four_parts_at_once_become_one_video(tus_js: TusJs, tus: Tus, database: Database[Document], file: Path) -> None:
    """parallelUploads, for long fat lines: partial uploads and a concatenation."""
    story = tus_js.run("upload.mjs", tus, file, options={"parallelUploads": 4, "metadata": {"filename": "a.mp4"}})

    assert [answer["status"] for answer in story.answers("POST")] == [201] * 5
    assert [answer["status"] for answer in story.answers("PATCH")] == [204] * 4
    assert sha256(stored(database, story.path)) == sha256(CONTENT)
    assert tus.person.conversion(upload_id(story.path)).filename == "a.mp4"


@pytest.mark.parametrize("chunk_size", [MIB + 1, 6 * MIB])
def test_a_stream_of_unknown_length_arrives_whole(
    tus_js: TusJs, tus: Tus, database: Database[Document], file: Path, chunk_size: int
) -> None:
    """uploadLengthDeferred: a camera does not know how long it will record."""
    options = {"uploadLengthDeferred": True, "chunkSize": chunk_size}

    story = tus_js.run("upload.mjs", tus, file, asStream=True, options=options)

    assert sha256(stored(database, story.path)) == sha256(CONTENT)
    assert tus.head(story.path).header("Upload-Length") == str(len(CONTENT))


@pytest.mark.parametrize("chunk_size", [MIB, 5 * MIB, None])
def test_the_first_bytes_travel_with_the_creation(
    tus_js: TusJs, tus: Tus, database: Database[Document], file: Path, chunk_size: int | None
) -> None:
    """With uploadDataDuringCreation; it saves a round trip."""
    options = {"uploadDataDuringCreation": True, **({} if chunk_size is None else {"chunkSize": chunk_size})}

    story = tus_js.run("upload.mjs", tus, file, options=options)

    (created,) = story.answers("POST")
    assert int(created["offset"]) == (chunk_size or len(CONTENT))
    assert sha256(stored(database, story.path)) == sha256(CONTENT)


def test_patch_can_be_called_post(tus_js: TusJs, tus: Tus, database: Database[Document], file: Path) -> None:
    """overridePatchMethod, for networks in which PATCH does not pass."""
    story = tus_js.run("upload.mjs", tus, file, options={"overridePatchMethod": True})

    assert not story.answers("PATCH")
    assert sha256(stored(database, story.path)) == sha256(CONTENT)


def test_an_upload_that_is_paused_goes_on(tus_js: TusJs, tus: Tus, database: Database[Document], file: Path) -> None:
    """The client breaks its request off, as it does for a pause button, and resumes where the server is."""
    story = tus_js.run("pause.mjs", tus, file)

    assert story.of("paused")
    assert len(story.answers("POST")) == 1
    assert sha256(stored(database, story.path)) == sha256(CONTENT)


@pytest.mark.parametrize(
    "options", [{}, {"chunkSize": 3 * MIB}, {"parallelUploads": 4}], ids=["", "chunks", "parallel"]
)
def test_a_client_that_was_killed_finds_its_upload_again(
    tus_js: TusJs, tus: Tus, database: Database[Document], file: Path, options: dict[str, int]
) -> None:
    """It kept the address; the server kept the bytes; so the rest is all that is sent again."""
    told = {"urls": str(file.with_name(f"{secrets.token_hex(4)}.json")), "options": options}
    with proxied(tus.endpoint) as (proxy, endpoint):
        # Even of four parallel parts each has begun by then, so the client has kept all addresses.
        proxy.freeze_after(13 * MIB)
        with tus_js.begin("upload.mjs", tus, file, **told, endpoint=endpoint) as first:
            until(lambda: proxy.frozen)
            first.kill()
        proxy.cut()
        proxy.thaw()
        story = tus_js.run("upload.mjs", tus, file, **told, endpoint=endpoint)

    # What joins parts is a POST; none creates anything anew.
    assert len(story.answers("POST")) == ("parallelUploads" in options)
    assert sum(int(answer["from"]) for answer in story.answers("PATCH")) > 0
    assert sha256(stored(database, story.path)) == sha256(CONTENT)


def test_an_upload_that_is_terminated_is_gone(
    tus_js: TusJs, tus: Tus, database: Database[Document], file: Path
) -> None:
    """The person has changed their mind."""
    story = tus_js.run("terminate.mjs", tus, file, options={"chunkSize": 2 * MIB})

    (terminated,) = story.of("terminated")
    assert [answer["status"] for answer in story.answers("DELETE")] == [204]
    path = f"/v1/uploads/{upload_id(terminated['url'])}"
    assert tus.head(path).status in {404, 410}
    assert database.videos.chunks.count_documents({"files_id": upload_id(path)}) == 0
    with pytest.raises(ApiError):
        tus.person.conversion(upload_id(path))
