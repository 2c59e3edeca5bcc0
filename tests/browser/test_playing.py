"""Playing an MP3 in a page, from the link that people get by e-mail."""

import http.server
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import boto3
import pytest
from playwright.sync_api import Page, Response
from pymongo.database import Database

from functions.shared.conversions import Owner
from functions.shared.mongo import Document
from infra.local.servers import ServerUrls
from tests.gateway_process import GatewayProcess, running_gateway
from tests.media import ffmpeg
from tests.ministack import REGION, running_ministack, use_aws
from tests.stored_mp3s import store_mp3

SECONDS = 12 * 60
BUCKET = "downloads"

# Seeks, waits for the event that says that it has, and plays for half a second from there.
PLAY_FROM = """async (position) => {
    const audio = document.querySelector("audio");
    const happens = (event) => new Promise((resolve, reject) => {
        audio.addEventListener(event, resolve, {once: true});
        audio.addEventListener("error", () => reject(new Error(audio.error.message)), {once: true});
    });
    const seeked = happens("seeked");
    audio.currentTime = position;
    await seeked;
    const from = audio.currentTime;
    await audio.play();
    while (audio.currentTime < from + 0.5) await happens("timeupdate");
    audio.pause();
    return [from, audio.currentTime];
}"""


@pytest.fixture(scope="module")
def mp3(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three times what fits one answer of a function."""
    folder = tmp_path_factory.mktemp("mp3")
    ffmpeg("-f", "lavfi", "-i", "sine=duration=60", "-b:a", "160k", str(folder / "minute.mp3"))
    ffmpeg(
        "-stream_loop", str(SECONDS // 60 - 1), "-i", str(folder / "minute.mp3"), "-c", "copy", str(folder / "a.mp3")
    )
    return folder / "a.mp3"


@pytest.fixture
def link(mp3: Path, gateway: GatewayProcess, mongo: Database[Document]) -> str:
    return gateway.link(store_mp3(mongo, Owner("ann", "ann@example.com"), [mp3.read_bytes()]))


@pytest.fixture(params=["streamed by the gateway", "copied to S3"])
def gateway(
    request: pytest.FixtureRequest,
    tmp_path: Path,
    servers: ServerUrls,
    mongo: Database[Document],
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[GatewayProcess]:
    if request.param == "streamed by the gateway":
        with running_gateway(tmp_path, servers, mongo) as gateway:
            yield gateway
        return
    with running_ministack(tmp_path) as environ:
        use_aws(environ, monkeypatch)
        s3 = boto3.client("s3")
        s3.create_bucket(Bucket=BUCKET, CreateBucketConfiguration={"LocationConstraint": REGION})
        s3.close()
        with running_gateway(tmp_path, servers, mongo, environ={**environ, "DOWNLOAD_BUCKET": BUCKET}) as gateway:
            yield gateway


def test_a_player_seeks_in_an_mp3(page: Page, link: str, mp3: Path) -> None:
    """Nobody waits for an hour of music to hear its end: the player asks for the range that it needs."""
    answers: list[Response] = []
    with served(f'<audio preload="metadata" src="{link}"></audio>') as url:
        page.goto(url)
        page.on("response", lambda answer: answers.append(answer))  # noqa: PLW0108  # Playwright marks what it is given
        page.wait_for_function("document.querySelector('audio').duration > 0")
        duration = page.evaluate("document.querySelector('audio').duration")
        played = {begin: page.evaluate(PLAY_FROM, begin) for begin in (SECONDS - 5, SECONDS / 2)}
        ranges = [(answer.status, answer.request.all_headers()["range"]) for answer in answers]

    assert duration == pytest.approx(SECONDS, abs=1)
    for begin, (start, end) in played.items():
        assert start == pytest.approx(begin, abs=0.1)
        assert start + 0.5 <= end < start + 5
    assert {status for status, _ in ranges} - {307} == {206}
    begins = [int(asked.removeprefix("bytes=").partition("-")[0]) / mp3.stat().st_size for _, asked in ranges]
    assert any(0.9 < begin < 1 for begin in begins)
    assert any(0.4 < begin < 0.6 for begin in begins)


@contextmanager
def served(html: str) -> Iterator[str]:
    """Serve one page, and yield its URL."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "text/html; charset=utf-8")
            self.end_headers()
            self.wfile.write(f"<!doctype html><title>A page</title>{html}".encode())

        def log_message(self, *_: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}/"
        finally:
            server.shutdown()
            thread.join()
