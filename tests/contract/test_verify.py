"""`make verify`: all stored bytes, read against their digests."""

import os
import pty
import subprocess
import sys
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from pymongo.database import Database

from functions.shared.conversions import Video
from functions.shared.files import CHUNK_BYTES, GridFSFiles
from functions.shared.mongo import Document
from functions.shared.mongo_conversions import MongoConversions
from infra.local.servers import ServerUrls
from infra.verify.__main__ import main
from infra.verify.verify import verify_conversions, verify_files
from tests.conversions import OWNER, conversion
from tests.stored_mp3s import store_mp3

ROOT = Path(__file__).parents[2]
CONTENT = bytes(range(256)) * 10_240  # two and a half chunks


@pytest.fixture
def stored(mongo: Database[Document], servers: ServerUrls, monkeypatch: pytest.MonkeyPatch) -> Database[Document]:
    """A queued conversion `c1` whose video has three chunks; MONGODB_URL says where."""
    videos = GridFSFiles(mongo, "videos")
    file = videos.put("c1", [CONTENT])
    MongoConversions(mongo).add(conversion(video=Video(file.bytes, file.sha256)), [])
    monkeypatch.setenv("MONGODB_URL", urlsplit(servers.mongodb)._replace(path=f"/{mongo.name}").geturl())
    return mongo


def test_what_is_whole_is_said_to_be(stored, capfd):
    """Somebody who asks wants to hear how much was looked at."""
    mp3_of(stored)

    assert main([]) == 0

    out, err = capfd.readouterr()
    assert out == f"Read 3 files, {len(CONTENT) + 6} bytes. All are as they were stored.\n"
    assert err == ""


@pytest.mark.parametrize(
    "harm",
    [{"$set": {"data": CONTENT[:CHUNK_BYTES][::-1]}}, {"$set": {"data": CONTENT[: CHUNK_BYTES - 1]}}, None],
    ids=["flipped", "cut", "deleted"],
)
@pytest.mark.parametrize("number", [0, 1, 2])
def test_a_damaged_chunk_is_named_with_its_conversion(stored, capfd, harm, number):
    """Who has to repair it needs to know which chunk, and who is to be told. The others are read all the same."""
    chunk = {"files_id": "c1", "n": number}
    if harm:
        stored.videos.chunks.update_one(chunk, harm)
    else:
        stored.videos.chunks.delete_one(chunk)

    assert main([]) == 1

    out, _ = capfd.readouterr()
    assert out == (
        f"videos/c1: chunk {number} is missing or is not what was stored; conversion c1, owner owner-1\n"
        f"Read 1 files, {len(CONTENT)} bytes. 1 are damaged or missing.\n"
    )


def test_each_damaged_chunk_is_named_but_not_without_end(stored):
    """A file of twenty thousand chunks that are all gone is one thing to know."""
    GridFSFiles(stored, "mp3s").put("c2-1", (bytes([number]) * CHUNK_BYTES for number in range(13)))
    stored.videos.chunks.delete_many({"n": {"$ne": 1}})
    stored.mp3s.chunks.delete_many({})

    video, mp3 = (verified.damages for verified in verify_files(stored, lambda _: None))

    assert [each.what.split()[1] for each in video] == ["0", "2"]
    assert [each.what.split()[1] for each in mp3] == [str(number) for number in range(11)]
    assert mp3[-1].what.endswith("perhaps more, which were not read")
    assert {(each.conversion_id, each.owner_id) for each in mp3} == {("c2", "")}


def test_an_mp3_that_is_another_than_the_conversion_says_is_damage(stored, capfd):
    """Its chunks fit its digests; but nobody could download it, since the whole is compared, too."""
    conversion_id = mp3_of(stored)
    GridFSFiles(stored, "mp3s").put(f"{conversion_id}-1", [b"another"])

    assert main([]) == 1

    assert f"mp3s/{conversion_id}-1: the SHA-256 of the whole is another" in capfd.readouterr().out


@pytest.mark.parametrize("bucket", ["videos", "mp3s"])
def test_a_file_that_is_missing_is_damage(stored, capfd, bucket):
    """No digest tells of it: there is nothing left to read."""
    conversion_id = mp3_of(stored)
    file_id = conversion_id if bucket == "videos" else f"{conversion_id}-1"
    GridFSFiles(stored, bucket).delete(file_id)

    assert main([]) == 1

    whose = f"conversion {conversion_id}, owner {OWNER.id}"
    assert f"{bucket}/{file_id}: the file is missing; {whose}\n" in capfd.readouterr().out


def test_what_is_deleted_meanwhile_is_no_damage(stored):
    """The service runs on. A file that goes while it is read is nothing to report, nor a conversion with its files."""
    mp3_of(stored)
    gone: list[int] = []

    def delete_all(count: int) -> None:
        gone.append(count)
        for bucket in ("videos", "mp3s"):
            stored[bucket].files.delete_many({})
            stored[bucket].chunks.delete_many({})
        stored.conversions.update_many({}, {"$currentDate": {"deleted_at": True}})

    verified = list(verify_files(stored, delete_all))

    assert gone
    assert [each.damages for each in verified] == [[]] * len(verified)
    assert list(verify_conversions(stored)) == []


def test_on_a_terminal_it_shows_how_far_it_is(stored):
    """A terabyte takes hours. What is found still goes where it was sent."""
    stored.videos.chunks.delete_one({"n": 1})
    ours, theirs = pty.openpty()
    with subprocess.Popen(
        [sys.executable, "-m", "infra.verify"],
        cwd=ROOT,
        env={**os.environ, "TERM": "xterm"},
        stdout=subprocess.PIPE,
        stderr=theirs,
        text=True,
    ) as process:
        os.close(theirs)
        out, _ = process.communicate(timeout=60)
    shown = os.read(ours, 65_536).decode()
    os.close(ours)

    assert process.returncode == 1
    assert out.splitlines()[0].startswith("videos/c1: chunk 1 ")
    assert "Reading" in shown


def test_ctrl_c_ends_it_without_a_traceback(stored, capfd, monkeypatch):
    """Who does not want to wait is told that not all was looked at."""

    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("infra.verify.verify.GridFSFiles.read", interrupted)

    assert main([]) == 130

    assert capfd.readouterr() == ("", "Interrupted: not all was read.\n")


@pytest.mark.parametrize("url", ["", "postgresql://127.0.0.1/x", "mongodb://127.0.0.1:1/?serverSelectionTimeoutMS=100"])
def test_a_mongodb_that_cannot_be_used_is_named(monkeypatch, capfd, url):
    """It must not look like damage, nor like health."""
    monkeypatch.setenv("MONGODB_URL", url)
    monkeypatch.setattr("functions.shared.mongo.OPERATION_MS", 500)

    assert main([]) == 1

    out, err = capfd.readouterr()
    assert out == ""
    assert "MONGODB_URL" in err
    assert "Traceback" not in err


def mp3_of(database: Database[Document]) -> str:
    """Store an MP3 of five bytes with its video of one byte, and return the id of their conversion."""
    conversion_id = store_mp3(database, OWNER, [b"sound"])
    GridFSFiles(database, "videos").put(conversion_id, [b"v"])
    return conversion_id
