"""MongoDB dies while bytes go in, when they are just in, and while they go out: none is lost, and none is wrong."""

import contextlib
import http.client
import os
import signal
import socket
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest
from pymongo.database import Database

from functions.shared.conversions import Owner
from functions.shared.mongo import Document
from infra.local.stack import RunningStack
from tests.faults.checker import Accepted, Checker
from tests.faults.conftest import Observed
from tests.faults.processes import Faults
from tests.gateway_process import running_gateway
from tests.media import Media, with_ballast
from tests.stored_mp3s import store_mp3
from tests.tcp_proxy import TcpProxy, proxied
from tests.tus import FORM, MIB, Answer, Tus, form, metadata, noise, sha256, until, upload_id
from video2mp3 import Client

SECONDS = 3
MP3 = noise(24 * MIB + 7)
# curl's own pace, so that it takes some seconds.
SLOWLY = ["--limit-rate", "8M"]


@pytest.fixture(scope="module")
def clip(media: Media) -> bytes:
    return media.video("mp4 moov last", SECONDS).read_bytes()


class Uploading:
    """A video on its way, sent by video2mp3's client, through a proxy that stands still in the middle."""

    def __init__(self, name: str, size: int, clip: bytes, folder: Path) -> None:
        self.path = folder / name
        self.path.write_bytes(with_ballast(clip, size))
        # With their Retry-After.
        self.answers: list[tuple[int, str | None]] = []

    @contextlib.contextmanager
    def half_done(self, url: str, person: Client) -> Iterator["Uploading"]:
        """Yield when it stands, and let it go on at the end."""
        with proxied(url) as (proxy, endpoint), Client(endpoint, timeout_s=60) as client, ThreadPoolExecutor() as pool:
            client._tokens = person._tokens
            client._http.event_hooks = {"response": [self._note]}
            proxy.freeze_after(self.path.stat().st_size * 2 // 3)
            uploading = pool.submit(client.upload, self.path)
            try:
                until(lambda: proxy.frozen)
                yield self
            finally:
                proxy.thaw()
            uploading.result(120)

    def _note(self, answer: httpx.Response) -> None:
        self.answers.append((answer.status_code, answer.headers.get("Retry-After")))


@pytest.mark.row(17)
def test_uploads_go_on_when_mongodb_restarts_in_the_middle(
    stack: RunningStack,
    faults: Faults,
    checker: Checker,
    database: Database[Document],
    tus: Tus,
    clip: bytes,
    tmp_path: Path,
    observed: Observed,
) -> None:
    """Whoever uploads sees nothing of it, and has one conversion, of exactly what was sent.

    The client has the patience for it. For programs that send a video in one request, and never again, the gateway has.
    """
    by_form, by_tus = (
        Uploading("halfway-form.mp4", 3 * MIB, clip, tmp_path),
        Uploading("halfway-tus.mp4", 17 * MIB, clip, tmp_path),
    )
    content = with_ballast(clip, 18 * MIB)
    body = form(content, "halfway-one-request.mp4")
    with (
        tus.begin("POST", "/v1/conversions", {**FORM, "Content-Length": str(len(body))}) as one_request,
        by_form.half_done(stack.url, tus.person),
        by_tus.half_done(stack.url, tus.person),
    ):
        one_request.send(body[: 9 * MIB])
        until(lambda: database.uploads.find_one({"owner.id": tus.id, "length": None, "offset": {"$gt": 0}}))
        killed = faults.kill("mongodb")
        one_request.send(body[9 * MIB :])
        answer = one_request.answer()
    faults.wait_until_well(killed)

    assert answer.status == 202, answer
    sent = {
        "halfway-one-request.mp4": content,
        **{each.path.name: each.path.read_bytes() for each in (by_form, by_tus)},
    }
    made = list(database.conversions.find({"filename": {"$in": list(sent)}}))
    assert sorted(each["filename"] for each in made) == sorted(sent)
    checker.wait([each["_id"] for each in made])
    verdict = checker.look(
        Accepted(each["_id"], each["filename"], sha256(sent[each["filename"]]), SECONDS, deleted=False) for each in made
    )
    assert verdict.is_clean, verdict.reasons
    assert verdict.ends["completed"] == 3
    refused = [answer for each in (by_form, by_tus) for answer in each.answers if answer[0] == 503]
    assert all(int(retry_after or 0) > 0 for _, retry_after in refused)
    observed(f"3 ways at once, {len(refused)} x 503 with Retry-After; {verdict.ends['completed']} completed, {verdict}")


def by_form(tus: Tus, content: bytes, name: str) -> tuple[Answer, str]:
    answer = tus.ask("POST", "/v1/conversions", FORM, form(content, name))
    return answer, upload_id(answer.header("Location") or "")


def by_tus(tus: Tus, content: bytes, name: str) -> tuple[Answer, str]:
    path = tus.create(len(content), metadata({"filename": name}))
    return tus.patch(path, 0, content), upload_id(path)


@pytest.mark.row(18)
def test_what_was_acknowledged_outlives_mongodb(
    stack: RunningStack, faults: Faults, checker: Checker, tus: Tus, clip: bytes, observed: Observed
) -> None:
    """The answer is a promise: the client may delete its file. So all was in the journal before."""
    contents = {by_form: with_ballast(clip, 3 * MIB), by_tus: with_ballast(clip, 9 * MIB + 1)}
    mongodb = stack.pids["mongodb"]
    with ThreadPoolExecutor() as pool:
        sending = [
            pool.submit(way, tus, content, f"acknowledged-{way.__name__}.mp4") for way, content in contents.items()
        ]
        answers = [each.result(60) for each in sending]
        os.kill(mongodb, signal.SIGKILL)
    faults.wait_until_well(mongodb)

    assert [answer.status for answer, _ in answers] == [202, 204]
    checker.wait([conversion_id for _, conversion_id in answers])
    verdict = checker.look(
        Accepted(conversion_id, f"acknowledged-{way.__name__}.mp4", sha256(content), SECONDS, deleted=False)
        for (way, content), (_, conversion_id) in zip(contents.items(), answers, strict=True)
    )
    assert verdict.is_clean, verdict.reasons
    assert verdict.ends["completed"] == 2
    observed(f"answers 202 and 204, then SIGKILL: {verdict.ends['completed']} completed, {verdict}")


@dataclass(frozen=True)
class Mp3:
    """An MP3 with the bytes MP3, a link to it, and what the gateway there finds MongoDB through."""

    link: str
    etag: str
    to_mongodb: TcpProxy


@pytest.fixture(scope="module")
def mp3(
    stack: RunningStack, database: Database[Document], tus: Tus, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Mp3]:
    conversion_id = store_mp3(database, Owner(tus.id, tus.person.me().email), [MP3])
    folder = tmp_path_factory.mktemp("gateway")
    with (
        proxied(stack.urls.mongodb) as (proxy, url),
        running_gateway(folder, stack.urls, database, environ={"MONGODB_URL": url}) as gateway,
    ):
        link = gateway.link(conversion_id)
        yield Mp3(link, httpx.head(link).headers["etag"], proxy)
    tus.person.delete(conversion_id)


class Download:
    """A download of `start` to `end` of which the first part has been read; the rest comes when it is asked for."""

    def __init__(self, mp3: Mp3, start: int = 0, end: int = len(MP3)) -> None:
        self.start, self.end = start, end
        self._mp3 = mp3
        self._connection, self._response = self._ask()
        self.content = self._response.read(MIB)

    def _ask(self) -> tuple[http.client.HTTPConnection, http.client.HTTPResponse]:
        address = urlsplit(self._mp3.link)
        connection = http.client.HTTPConnection(address.netloc, timeout=60)
        connection.connect()
        # Else the kernel takes most of it ahead of us.
        connection.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 256 * 1024)
        headers = {"Range": f"bytes={self.start}-{self.end - 1}", "If-Range": self._mp3.etag}
        connection.request("GET", address.path, headers={} if self.end - self.start == len(MP3) else headers)
        return connection, connection.getresponse()

    def is_broken_off(self) -> bool:
        """Read the rest. Return whether it is known that bytes are missing."""
        try:
            self.content += self._response.read()
        except http.client.IncompleteRead as error:
            self.content += error.partial
            return True
        except ConnectionResetError:
            return True
        finally:
            self._connection.close()
        return False

    def go_on(self) -> int:
        """Ask for what is missing, and return the status."""
        rest = Download(self._mp3, self.start + len(self.content), self.end)
        assert not rest.is_broken_off()
        self.content += rest.content
        return rest._response.status


@pytest.fixture
def curl(mp3: Mp3, tmp_path: Path) -> Iterator["subprocess.Popen[str]"]:
    """A curl that has fetched more than a megabyte into `a.mp3`, and goes on slowly."""
    path = tmp_path / "a.mp3"
    command = ["curl", "--silent", "--show-error", *SLOWLY, "--output", str(path), mp3.link]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as curl:
        until(lambda: path.exists() and path.stat().st_size > MIB)
        yield curl


@pytest.mark.row(19)
def test_a_download_whose_database_dies_is_broken_off(
    mp3: Mp3, curl: "subprocess.Popen[str]", tmp_path: Path, observed: Observed
) -> None:
    """Never a short MP3 that looks whole: each client knows that bytes are missing, and can go on later."""
    path = tmp_path / "a.mp3"
    whole, part = Download(mp3), Download(mp3, 1_000_001, len(MP3) - 5)

    mp3.to_mongodb.go_down()
    broken_off = [download.is_broken_off() for download in (whole, part)]
    _, said = curl.communicate(timeout=60)
    mp3.to_mongodb.come_up()

    assert broken_off == [True, True]
    assert curl.returncode in (18, 56), said
    had = [len(whole.content), len(part.content), path.stat().st_size]
    assert max(had) < part.end - part.start
    assert [whole.go_on(), part.go_on()] == [206, 206]
    again = ["curl", "--silent", "--fail", "--continue-at", "-", "--output", str(path), mp3.link]
    assert subprocess.run(again, timeout=60, check=False).returncode == 0
    assert sha256(whole.content) == sha256(path.read_bytes()) == sha256(MP3)
    assert sha256(part.content) == sha256(MP3[part.start : part.end])
    observed(
        f"of {len(MP3)} bytes {had} came; IncompleteRead, and curl's {curl.returncode}; then 206, and sha256 right"
    )


@pytest.mark.row(19)
def test_a_download_outlives_a_database_that_is_soon_back(
    mp3: Mp3, curl: "subprocess.Popen[str]", tmp_path: Path, observed: Observed
) -> None:
    """Servers are updated and fail over while people download."""
    refused = mp3.to_mongodb.refused

    mp3.to_mongodb.go_down()
    until(lambda: mp3.to_mongodb.refused > refused)
    mp3.to_mongodb.come_up()

    assert curl.wait(60) == 0
    assert sha256((tmp_path / "a.mp3").read_bytes()) == sha256(MP3)
    observed(f"soon back: curl's {curl.returncode}, sha256 right")
