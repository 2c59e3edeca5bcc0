"""Clients that are slow, or gone: nobody else notices, and nothing of theirs is left but what they can go on with."""

import contextlib
import select
import socket
import statistics
import threading
import time
from collections import Counter
from collections.abc import Iterator
from typing import Self
from urllib.parse import urlsplit

import httpx
import pytest
from pymongo.database import Database

from functions.shared.mongo import Document
from functions.upload.mongo_usage import MongoUsage
from infra.local.stack import RunningStack
from tests.faults.conftest import Observed
from tests.gateway_process import running_gateway
from tests.tus import BYTES, FORM, MIB, Tus, form_head, new_person, noise, sha256, stored, until

# The limits of the gateway that meets slow clients. A byte a second is never silent for so long.
PATIENCE_S = 3.0
# How many there are of each kind.
CLIENTS = 10
# How often somebody else asks for something, alone and beside them.
REQUESTS = 60
# Generous bounds for a machine that does other things, too. One slow client that holds up the others costs seconds.
MOST_SLOWER, LONGEST_S = 5, 0.25


@pytest.fixture(scope="module")
def impatient(
    stack: RunningStack, database: Database[Document], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Tus]:
    """Somebody with an account at a gateway that is soon tired of slow clients."""
    limits = {"HEAD_TIMEOUT_S": str(PATIENCE_S), "BODY_IDLE_S": str(PATIENCE_S)}
    folder = tmp_path_factory.mktemp("gateway")
    with running_gateway(folder, stack.urls, database, postgres_url=stack.urls.postgres, environ=limits) as gateway:
        tus = new_person(gateway.url)
        yield tus
        tus.person.close()


def head(method: str, path: str, headers: dict[str, str | None]) -> bytes:
    lines = [f"{method} {path} HTTP/1.1", "Host: x", *(f"{name}: {headers[name]}" for name in headers if headers[name])]
    return "\r\n".join([*lines, "", ""]).encode()


def beginnings(tus: Tus, paths: list[str]) -> Iterator[tuple[str, bytes]]:
    """Yield what each slow client sends at once, with its kind. The rest comes a byte a second, and never ends."""
    token: dict[str, str | None] = {"Authorization": f"Bearer {tus.token}"}
    small, large = {"Content-Length": "2000"}, {"Content-Length": str(30 * MIB)}
    patch: dict[str, str | None] = {"Tus-Resumable": "1.0.0", "Content-Type": BYTES, "Upload-Offset": "0"}
    for path in paths:
        yield "head", b"GET /v1/auth/me HTTP/1.1\r\nHost: x\r\nX-Slow: "
        yield "login", head("POST", "/v1/auth/login", {"Content-Type": "application/json", **small}) + b'{"email": "'
        yield "small form", head("POST", "/v1/conversions", {**token, **FORM, **small}) + form_head("slow.mp4")
        yield "large form", head("POST", "/v1/conversions", {**token, **FORM, **large}) + form_head("slow.mp4")
        yield "tus", head("PATCH", path, {**token, **patch, **small}) + b"x"


class Crowd:
    """Clients that send a byte a second each, from one thread, until they are answered or the block ends."""

    def __init__(self, url: str, clients: list[tuple[str, bytes]]) -> None:
        self.answers: Counter[tuple[str, bytes]] = Counter()
        self.after_s: list[float] = []
        self._address = urlsplit(url)
        self._clients = clients
        self._open: dict[socket.socket, tuple[str, float]] = {}
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._drip, daemon=True)

    def __enter__(self) -> Self:
        for kind, beginning in self._clients:
            client = socket.create_connection((self._address.hostname, self._address.port), timeout=60)
            client.sendall(beginning)
            self._open[client] = kind, time.monotonic()
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopping.set()
        self._thread.join()
        for client in self._open:
            client.close()

    @property
    def waiting(self) -> int:
        """How many of them were not answered yet."""
        return len(self._open)

    def _drip(self) -> None:
        while self._open and not self._stopping.wait(1):
            answered, _, _ = select.select(list(self._open), [], [], 0)
            for client in answered:
                kind, since = self._open.pop(client)
                self.answers[kind, client.recv(65536).partition(b"\r\n")[0]] += 1
                self.after_s.append(time.monotonic() - since)
                client.close()
            for client in self._open:
                with contextlib.suppress(OSError):
                    client.send(b"x")


def median_s(tus: Tus, count: int) -> float:
    """Return how long a request takes that goes through the authorizer to two databases."""
    took = []
    with httpx.Client(headers={"Authorization": f"Bearer {tus.token}"}, timeout=60) as http:
        for _ in range(count):
            started = time.perf_counter()
            assert http.get(tus.endpoint.replace("uploads", "conversions")).status_code == 200
            took.append(time.perf_counter() - started)
            time.sleep(0.01)
    return statistics.median(took)


@pytest.mark.row(24)
def test_who_sends_a_byte_a_second_is_sent_away_and_nobody_else_notices(
    impatient: Tus, database: Database[Document], observed: Observed
) -> None:
    """In the head of a request, and in each kind of body. Else a hundred such clients are all that it takes."""
    content = noise(6 * MIB)
    paths = [impatient.create(2000) for _ in range(CLIENTS)]
    clients = list(beginnings(impatient, paths))
    median_s(impatient, REQUESTS // 4)
    alone = median_s(impatient, REQUESTS)

    with Crowd(impatient.endpoint, clients) as crowd:
        beside = median_s(impatient, REQUESTS)
        uploaded = impatient.store(content)
        until(lambda: not crowd.waiting, within_s=60)

    kinds = {kind for kind, _ in clients}
    assert crowd.answers == {(kind, b"HTTP/1.1 408 Request Timeout"): CLIENTS for kind in kinds}
    assert beside < max(MOST_SLOWER * alone, LONGEST_S)
    assert sha256(stored(database, uploaded)) == sha256(content)
    assert min(crowd.after_s) > PATIENCE_S - 1
    # What came of an upload stays.
    assert all(impatient.offset(path) > 0 for path in paths)
    observed(
        f"{len(clients)} clients in {len(kinds)} kinds of requests: 408 after {min(crowd.after_s):.1f} to "
        f"{max(crowd.after_s):.1f} s; the median request of another took {beside / alone:.2f} times as long as alone"
    )


@pytest.mark.row(25)
@pytest.mark.parametrize("how", ["reset", "hang_up"])
def test_a_form_whose_client_goes_away_leaves_nothing(
    tus: Tus, database: Database[Document], observed: Observed, how: str
) -> None:
    """Half a form cannot be resumed, so it must not take room, on the disks or of what its owner may store."""
    usage = MongoUsage(database)
    used = usage.used_by(tus.id).bytes

    with tus.begin("POST", "/v1/conversions", {**FORM, "Content-Length": str(30 * MIB)}) as sending:
        sending.send(form_head("gone.mp4") + noise(11 * MIB))
        came = until(lambda: database.uploads.find_one({"owner.id": tus.id, "length": None, "offset": {"$gt": 0}}))
        taken = usage.used_by(tus.id).bytes - used
        getattr(sending, how)()

    assert taken > 0
    until(lambda: not what_is_left(database, came["_id"]))
    assert usage.used_by(tus.id).bytes == used
    assert database.conversions.count_documents({"owner.id": tus.id, "filename": "gone.mp4"}) == 0
    observed(f"form, {how}: {came['offset'] // MIB} MiB came, {len(what_is_left(database, came['_id']))} left")


def what_is_left(database: Database[Document], upload_id: str) -> list[str]:
    """Return where something of an upload is stored. A tombstone, which says when it was deleted, is nothing of it."""
    places: dict[str, Document] = {
        "uploads": {"_id": upload_id, "owner": {"$exists": True}},
        "videos.files": {"_id": upload_id},
        "videos.chunks": {"files_id": upload_id},
    }
    return [name for name, wanted in places.items() if database[name].find_one(wanted)]


@pytest.mark.row(25)
@pytest.mark.parametrize("how", ["reset", "hang_up"])
def test_what_came_by_tus_before_a_connection_broke_is_kept(
    tus: Tus, database: Database[Document], observed: Observed, how: str
) -> None:
    """PATCH: the server SHOULD always store as much of the received data as possible. HEAD tells how much."""
    content = noise(8 * MIB + 3)
    counts = [5, 100_003, MIB + 7, 6 * MIB + 11]
    for sent in counts:
        path = tus.create(len(content))

        with tus.begin_patch(path, 0, len(content)) as sending:
            sending.send(content[:sent])
            if how == "reset":
                # It takes with it what the server has not read yet.
                sending.wait_until_read()
            getattr(sending, how)()

        until(lambda path=path, sent=sent: tus.offset(path) == sent)  # type: ignore[misc]
        # The broken request may still be at it.
        rest = until(lambda path=path, sent=sent: not_locked(tus, path, sent, content))  # type: ignore[misc]
        assert rest == (204, len(content))
        assert sha256(stored(database, path)) == sha256(content)
    observed(f"tus, {how}: HEAD says {counts}, and it goes on from there")


def not_locked(tus: Tus, path: str, offset: int, content: bytes) -> tuple[int, int] | None:
    answer = tus.patch(path, offset, content[offset:])
    return None if answer.status == 423 else (answer.status, answer.offset)
