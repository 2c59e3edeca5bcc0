"""Stored bytes are lost or changed, as disks and people do it: that is told, and nothing wrong is made or sent."""

import http.client
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from urllib.parse import urlsplit

import httpx
import pytest
from pymongo.collection import Collection
from pymongo.database import Database

from functions.shared.conversions import Owner
from functions.shared.mongo import Document
from infra.local.stack import RunningStack
from tests.faults.conftest import Observed
from tests.faults.processes import Faults
from tests.media import Media
from tests.stored_mp3s import store_mp3
from tests.tus import MIB, Tus, noise
from video2mp3 import State

# Of an MP3 that a function answers with, and of one that the gateway streams.
SMALL, LARGE = noise(3 * MIB), noise(9 * MIB)

Harm = Callable[[Collection[Document], Document], object]


def delete(chunks: Collection[Document], chunk: Document) -> None:
    chunks.delete_one({"_id": chunk["_id"]})


def cut(chunks: Collection[Document], chunk: Document) -> None:
    chunks.update_one({"_id": chunk["_id"]}, {"$set": {"data": chunk["data"][:-1]}})


def flip(chunks: Collection[Document], chunk: Document) -> None:
    data = bytearray(chunk["data"])
    data[len(data) // 2] ^= 1
    chunks.update_one({"_id": chunk["_id"]}, {"$set": {"data": bytes(data)}})


HARMS: tuple[Harm, ...] = (delete, cut, flip)


def harm(chunks: Collection[Document], file_id: str, number: int, how: Harm) -> None:
    """Do something to a chunk of a file."""
    chunk = chunks.find_one({"files_id": file_id, "n": number})
    assert chunk is not None
    how(chunks, chunk)


@pytest.fixture
def mine(tus: Tus, database: Database[Document]) -> Iterator[None]:
    """Delete a test's conversions: who reads everything afterwards must not find their damage."""
    yield
    for conversion in tus.person.conversions():
        tus.person.delete(conversion.id)


@pytest.mark.row(20)
@pytest.mark.usefixtures("mine")
def test_a_damaged_video_is_not_converted(
    faults: Faults, database: Database[Document], tus: Tus, media: Media, observed: Observed
) -> None:
    """One bit in a video is a click in an MP3, which nobody would ever trace back."""
    video = media.video("mov", 30)
    assert video.stat().st_size > 2 * MIB
    with faults.paused("triggers"):
        ids = [tus.person.upload(video).id for _ in HARMS]
        for conversion_id, how in zip(ids, HARMS, strict=True):
            harm(database.videos.chunks, conversion_id, 1, how)

    ends = [tus.person.wait(each, timeout_s=60) for each in ids]

    assert [end.state for end in ends] == [State.FAILED] * len(HARMS)
    errors = [end.error.type for end in ends if end.error]
    assert errors == ["storage-corrupt"] * len(HARMS)
    made = database.mp3s.files.count_documents({"_id": {"$regex": f"^({'|'.join(ids)})-"}})
    assert made == 0
    observed(
        f"video deleted, cut, flipped: {errors[0]} {len(errors)} times, after {ends[0].attempts} attempt, {made} MP3s"
    )


class Damaged:
    """An MP3 of which a chunk was harmed."""

    def __init__(self, database: Database[Document], tus: Tus, content: bytes, number: int, how: Harm) -> None:
        owner = Owner(tus.id, tus.person.me().email)
        conversion_id = store_mp3(database, owner, [content])
        self.file_id = f"{conversion_id}-1"
        self.content = content
        self.number = number
        self.link = tus.person.link(conversion_id, ttl_s=3600).url
        harm(database.mp3s.chunks, self.file_id, number, how)

    def ask(self, method: str = "GET", first: int | None = None, last: int | None = None) -> tuple[int, bytes, bool]:
        """Return the status, what came, and whether that looks whole."""
        address = urlsplit(self.link)
        connection = http.client.HTTPConnection(address.netloc, timeout=60)
        try:
            connection.request(
                method, address.path, headers={} if first is None else {"Range": f"bytes={first}-{last}"}
            )
            response = connection.getresponse()
            try:
                return response.status, response.read(), True
            except http.client.IncompleteRead as error:
                return response.status, error.partial, False
        finally:
            connection.close()


@pytest.mark.row(20)
@pytest.mark.usefixtures("mine")
def test_a_damaged_mp3_is_never_sent_as_a_whole_one(
    stack: RunningStack, database: Database[Document], tus: Tus, observed: Observed
) -> None:
    """It is refused, or broken off where the damage begins; and `make verify` names it."""
    small = [Damaged(database, tus, SMALL, 1, how) for how in HARMS]
    begins = [Damaged(database, tus, LARGE, 0, how) for how in HARMS]
    later = [Damaged(database, tus, LARGE, 5, how) for how in HARMS]

    for mp3 in (*small, *begins):
        assert_refused(mp3.link)
    for mp3 in (*small, *begins, *later):
        start = mp3.number * MIB
        # Ranges that a function answers with: of the damage, and beside it.
        assert_refused(mp3.link, f"bytes={start + 5}-{start + 99}")
        sound = (2 * MIB + 10, 3 * MIB - 1)
        assert mp3.ask("GET", *sound) == (206, mp3.content[sound[0] : sound[1] + 1], True)
        assert mp3.ask("HEAD")[1] == b""
    for mp3 in later:
        for first, last in ((0, len(LARGE) - 1), (MIB + 1, len(LARGE) - 2)):
            status, came, looks_whole = mp3.ask("GET", first, last)
            assert (status, looks_whole) == (206, False)
            assert came == mp3.content[first : 5 * MIB]
        assert mp3.ask()[2] is False

    found = verified(stack)
    assert {mp3.file_id: mp3.number for mp3 in (*small, *begins, *later)}.items() <= found.items()
    observed(
        f"MP3s: {len(small) + len(begins)} refused with 500 storage-corrupt, {len(later)} broken off after 5 MiB, "
        f"verify names {len(found)}"
    )


def assert_refused(link: str, wanted: str | None = None) -> None:
    answer = httpx.get(link, headers={"Range": wanted} if wanted else {})
    assert (answer.status_code, answer.json()["type"]) == (500, "/problems/storage-corrupt")


def verified(stack: RunningStack) -> dict[str, int]:
    """Return what `make verify` finds: the numbers of chunks by the ids of files."""
    environ = {**os.environ, "MONGODB_URL": stack.urls.mongodb}
    done = subprocess.run(
        [sys.executable, "-m", "infra.verify"], env=environ, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 1, done
    return {found[1]: int(found[2]) for found in re.finditer(r"^mp3s/(\S+): chunk (\d+) ", done.stdout, re.MULTILINE)}
