"""Stored files, which the gateway streams in the place of a function."""

import asyncio
import base64
import gc
import threading
from collections.abc import Iterator
from typing import Any

import anyio
import anyio.to_thread
import pytest

from functions.shared.files import CHUNK_BYTES
from functions.shared.metrics import REQUESTS
from functions.shared.problems import Unavailable
from infra.gateway.exchange import BrokenOff
from infra.gateway.stored_files import Pieces, StoredFiles, StoredRange
from tests.fakes.gateway import MP3, TOKEN, FakeFunctions, assert_problem, make_gateway, send
from tests.fakes.metrics import FakeMetrics
from tests.fakes.shared import FakeFiles


def stored_answer(start: int, end: int, file_id: str = "f", bucket: str = "mp3s") -> dict[str, Any]:
    headers = {"Content-Type": "audio/mpeg", "X-Stored-File": f"{bucket}/{file_id};{start}-{end}"}
    return {"statusCode": 206, "headers": headers, "body": ""}


CONTENT = bytes(range(256)) * (CHUNK_BYTES // 256) * 3 + b"the end"


@pytest.fixture
def files() -> FakeFiles:
    files = FakeFiles()
    files.put("f", [CONTENT])
    return files


@pytest.mark.parametrize(
    ("start", "end"), [(0, len(CONTENT)), (0, 1), (5, 5), (CHUNK_BYTES, 2 * CHUNK_BYTES), (77, len(CONTENT) - 3)]
)
def test_a_stored_file_is_streamed_where_the_function_names_it(files: FakeFiles, start: int, end: int):
    """So an MP3 of any size passes a door that takes 6 MB, and the client never sees how."""
    answer = send(make_gateway(FakeFunctions(stored_answer(start, end)), files=files), "GET", MP3, headers=TOKEN)

    assert answer.status_code == 206
    assert answer.content == CONTENT[start:end]
    assert answer.headers["content-length"] == str(end - start)
    assert "x-stored-file" not in answer.headers


def answer_of(pieces: str, body: bytes) -> dict[str, Any]:
    headers = {"Content-Type": "application/zip", "X-Stored-File": pieces}
    return {"statusCode": 200, "headers": headers, "body": base64.b64encode(body).decode(), "isBase64Encoded": True}


def test_stored_files_are_sent_with_what_the_function_gave_around_them(files: FakeFiles):
    """A ZIP is that: MP3s, and what is written between them."""
    files.put("g", [b"the other file"])
    pieces = f"4,mp3s/f;3-{len(CONTENT)},mp3s/empty;0-0,2,mp3s/g;0-14,3"

    answer = send(make_gateway(FakeFunctions(answer_of(pieces, b"headmiend")), files=files), "GET", MP3, headers=TOKEN)

    assert answer.content == b"head" + CONTENT[3:] + b"mi" + b"the other file" + b"end"
    assert answer.headers["content-length"] == str(len(answer.content))


@pytest.mark.parametrize(
    ("pieces", "body"),
    [
        ("4", b"five!"),
        ("4", b"abc"),
        ("4,", b"four"),
        ("-4", b"four"),
        ("4 ,", b"four"),
        ("mp3s/f;9-3", b""),
        ("", b""),
    ],
)
def test_pieces_that_do_not_go_with_the_body_are_no_answer(pieces: str, body: bytes):
    """A length that was announced wrongly would break every download off."""
    answer = send(make_gateway(FakeFunctions(answer_of(pieces, body))), "GET", MP3, headers=TOKEN)

    assert_problem(answer, "bad-answer")


def test_a_first_file_that_is_missing_is_a_problem(files: FakeFiles):
    """The header of a ZIP waits for the first bytes of its first MP3, so that there is still time to say so."""
    gateway = make_gateway(FakeFunctions(answer_of("4,mp3s/gone;0-9", b"head")), files=files)

    assert_problem(send(gateway, "GET", MP3, headers=TOKEN), "storage-corrupt")


def test_a_later_file_that_is_missing_breaks_the_answer_off(files: FakeFiles):
    """It may have been deleted while the others were sent."""
    gateway = make_gateway(FakeFunctions(answer_of("4,mp3s/f;0-3,mp3s/gone;0-9", b"head")), files=files)

    with pytest.raises(BrokenOff):
        send(gateway, "GET", MP3, headers=TOKEN)


def test_a_stored_file_is_never_held_in_memory(files: FakeFiles):
    """It is read part by part, and read on only when the client has taken what was read."""
    read: list[int] = []
    sent: list[int] = []

    class Slow(FakeFiles):
        def read(self, file_id: str, start: int = 0, end: int | None = None) -> Iterator[bytes]:
            for number in range(8):
                read.append(number)
                yield bytes([number]) * CHUNK_BYTES

    gateway = make_gateway(FakeFunctions(stored_answer(0, 8 * CHUNK_BYTES)), files=Slow())

    async def watch(scope: Any, receive: Any, send_on: Any) -> None:
        async def counted(message: Any) -> None:
            if message.get("body"):
                sent.append(len(message["body"]))
                assert len(read) - sum(sent) / CHUNK_BYTES <= 2
            await send_on(message)

        await gateway(scope, receive, counted)

    assert len(send(watch, "GET", MP3, headers=TOKEN).content) == 8 * CHUNK_BYTES


def test_the_next_part_is_read_while_the_client_takes_one():
    """Storage and client would else wait for each other in turn, and a download take as long as both together."""
    reads_on = threading.Event()

    class Watched(FakeFiles):
        def read(self, file_id: str, start: int = 0, end: int | None = None) -> Iterator[bytes]:
            yield bytes(CHUNK_BYTES)
            reads_on.set()
            yield bytes(CHUNK_BYTES)

    gateway = make_gateway(FakeFunctions(stored_answer(0, 2 * CHUNK_BYTES)), files=Watched())

    async def watch(scope: Any, receive: Any, send_on: Any) -> None:
        async def slowly(message: Any) -> None:
            if message.get("body"):
                assert await anyio.to_thread.run_sync(reads_on.wait, 10)
            await send_on(message)

        await gateway(scope, receive, slowly)

    assert len(send(watch, "GET", MP3, headers=TOKEN).content) == 2 * CHUNK_BYTES


def test_nobody_hears_of_a_part_that_nobody_waits_for():
    """A client that goes away takes no notice of a storage that does, too."""
    complaints: list[Any] = []
    failed = threading.Event()

    class Broken(FakeFiles):
        def read(self, file_id: str, start: int = 0, end: int | None = None) -> Iterator[bytes]:
            yield bytes(CHUNK_BYTES)
            failed.set()
            raise Unavailable("The storage")

    async def begin_and_leave() -> None:
        asyncio.get_running_loop().set_exception_handler(lambda _, context: complaints.append(context))
        stored = Pieces((StoredRange("mp3s", "f", 0, 2 * CHUNK_BYTES),))
        parts = await StoredFiles({"mp3s": Broken}).open(stored)
        assert len(await anext(parts)) == CHUNK_BYTES
        del parts
        assert await anyio.to_thread.run_sync(failed.wait, 10)
        await anyio.sleep(0.05)
        gc.collect()

    anyio.run(begin_and_leave)

    assert complaints == []


@pytest.mark.parametrize(
    ("problem", "answer"),
    [
        ("storage-corrupt", stored_answer(0, 9, file_id="gone")),
        ("internal", stored_answer(0, 9, bucket="videos")),
    ],
)
def test_a_file_that_cannot_be_begun_is_a_problem(files: FakeFiles, problem: str, answer: Any):
    """Before the first byte is sent there is still time to say so."""
    assert_problem(send(make_gateway(FakeFunctions(answer), files=files), "GET", MP3, headers=TOKEN), problem)


def test_a_storage_that_is_down_is_a_503():
    """The same request may work a little later, so a client may try again."""

    class Down(FakeFiles):
        def read(self, file_id: str, start: int = 0, end: int | None = None) -> Iterator[bytes]:
            raise Unavailable("The storage")

    answer = send(make_gateway(FakeFunctions(stored_answer(0, 9)), files=Down()), "GET", MP3, headers=TOKEN)

    assert_problem(answer, "unavailable")


class Failing(FakeFiles):
    def read(self, file_id: str, start: int = 0, end: int | None = None) -> Iterator[bytes]:
        yield CONTENT[:CHUNK_BYTES]
        raise Unavailable("The storage")


@pytest.mark.parametrize("damage", ["short", "changed", "unavailable"])
def test_a_file_that_fails_on_the_way_is_broken_off(files: FakeFiles, damage: str):
    """Fewer bytes come than were announced, so nobody takes a damaged one for whole. It is counted as no success."""
    if damage == "short":
        files.contents["f"] = CONTENT[:-1]
    elif damage == "changed":
        files.contents["f"] = CONTENT[:-1] + b"!"
    else:
        files = Failing()
    metrics = FakeMetrics()
    gateway = make_gateway(FakeFunctions(stored_answer(0, len(CONTENT))), files=files, metrics=metrics)
    sent = bytearray()

    async def watch(scope: Any, receive: Any, send_on: Any) -> None:
        async def counted(message: Any) -> None:
            sent.extend(message.get("body", b""))
            await send_on(message)

        await gateway(scope, receive, counted)

    with pytest.raises(BrokenOff):
        send(watch, "GET", MP3, headers=TOKEN)
    assert len(sent) < len(CONTENT)
    assert metrics.value(REQUESTS, route="/v1/conversions/{conversion_id}/mp3", method="GET", status="5xx") == 1
