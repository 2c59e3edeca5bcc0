"""Downloads of MP3s that are larger than a function's answer, by curl and by hand, from the whole service."""

import itertools
import subprocess
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest
from pymongo.database import Database

from functions.shared.conversions import Owner
from functions.shared.mongo import Document
from infra.local.stack import RunningStack
from tests.stored_mp3s import store_mp3
from tests.tus import MIB, Tus, noise, until

CONTENT = noise(24 * MIB + 7)
SLOWLY = ["--limit-rate", "4M"]


@dataclass(frozen=True)
class Mp3:
    """An MP3 of CONTENT. `url` wants `token`, `link` wants nothing."""

    conversion_id: str
    url: str
    token: str
    link: str
    etag: str
    last_modified: str

    def ask(self, method: str = "GET", **headers: str) -> httpx.Response:
        return httpx.request(method, self.link, headers={name.replace("_", "-"): headers[name] for name in headers})


@pytest.fixture(scope="module")
def mp3(stack: RunningStack, database: Database[Document], tus: Tus) -> Mp3:
    me = tus.person.me()
    conversion_id = store_mp3(database, Owner(me.id, me.email), [CONTENT], "Grüße.mp4")
    link = tus.person.link(conversion_id, ttl_s=3600).url
    head = httpx.head(link)
    url = f"{stack.url}/v1/conversions/{conversion_id}/mp3"
    return Mp3(conversion_id, url, tus.token, link, head.headers["etag"], head.headers["last-modified"])


def curl(url: str, *options: str) -> subprocess.CompletedProcess[str]:
    command = ["curl", "--silent", "--show-error", "--fail", "--max-time", "60", *options, url]
    return subprocess.run(command, capture_output=True, text=True, timeout=70, check=False)


def test_curl_fetches_an_mp3_whole(mp3: Mp3, tmp_path: Path) -> None:
    """Under the video's name, as the README shows it."""
    token = ("--header", f"Authorization: Bearer {mp3.token}")

    done = curl(mp3.url, *token, "--remote-name", "--remote-header-name", "--output-dir", str(tmp_path))

    assert (done.returncode, done.stderr) == (0, "")
    (path,) = tmp_path.iterdir()
    assert path.name == "Gru_e.mp3"
    assert path.read_bytes() == CONTENT


def test_curl_goes_on_where_it_was_stopped(mp3: Mp3, tmp_path: Path) -> None:
    path = tmp_path / "a.mp3"
    first = subprocess.Popen(["curl", "--silent", *SLOWLY, "--output", path, mp3.link])
    try:
        until(lambda: path.exists() and path.stat().st_size > 5 * MIB)
    finally:
        first.kill()
        first.wait()
    had = path.stat().st_size

    second = curl(mp3.link, "--continue-at", "-", "--output", str(path), "--write-out", "%{http_code} %{size_download}")

    assert second.stdout == f"206 {len(CONTENT) - had}"
    assert path.read_bytes() == CONTENT


def test_an_mp3_is_put_together_from_ranges(mp3: Mp3, tmp_path: Path) -> None:
    """Download managers fetch several at once; some are as large as what fits one answer, some larger, one smaller."""
    ends = [0, 1, 1000, 4 * MIB + 1000, 8 * MIB + 1001, 20 * MIB, len(CONTENT)]
    ranges = [f"{start}-{end - 1}" for start, end in itertools.pairwise(ends)]
    curls = [
        subprocess.Popen(["curl", "--silent", "--fail", "--range", each, "--output", tmp_path / each, mp3.link])
        for each in ranges
    ]

    assert [each.wait(60) for each in curls] == [0] * len(ranges)
    assert b"".join((tmp_path / each).read_bytes() for each in ranges) == CONTENT


def test_a_head_says_what_a_get_would(mp3: Mp3) -> None:
    head, get = mp3.ask("HEAD"), mp3.ask()

    assert (head.status_code, head.content) == (200, b"")
    assert (get.status_code, get.content) == (200, CONTENT)
    for answer in (head, get):
        del answer.headers["date"], answer.headers["x-request-id"]
    assert head.headers == get.headers
    assert head.headers["content-length"] == str(len(CONTENT))
    assert head.headers["accept-ranges"] == "bytes"


def test_a_range_goes_on_only_with_the_file_that_was_begun(mp3: Mp3) -> None:
    """If-Range: else two files would be glued together."""
    for validator in (mp3.etag, mp3.last_modified):
        part = mp3.ask(Range="bytes=5000000-19999999", If_Range=validator)
        assert (part.status_code, part.content) == (206, CONTENT[5_000_000:20_000_000])
        assert part.headers["content-range"] == f"bytes 5000000-19999999/{len(CONTENT)}"
    for validator in ('"another"', f"W/{mp3.etag}", "Thu, 01 Jan 1970 00:00:00 GMT"):
        whole = mp3.ask(Range="bytes=5000000-19999999", If_Range=validator)
        assert (whole.status_code, whole.content) == (200, CONTENT)


@pytest.mark.parametrize("count", [2, 1000])
def test_several_ranges_get_the_whole_once(mp3: Mp3, count: int) -> None:
    """A thousand ranges must not be a thousand times the work."""
    answer = mp3.ask(Range="bytes=" + ",".join(f"{number}-" for number in range(count)))

    assert (answer.status_code, answer.content) == (200, CONTENT)
