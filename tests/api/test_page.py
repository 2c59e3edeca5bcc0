"""The page comes from the origin of the API, wherever that is."""

import re
from collections.abc import Iterator

import httpx
import pytest
from playwright.sync_api import Browser

from functions.page.app import SITE
from infra import web as page
from tests.api.services import Service
from tests.browser.visitor import PATIENCE_MS, Visitor
from tests.media import Media


@pytest.fixture(scope="module")
def browser(service: Service) -> Iterator[httpx.Client]:
    """Somebody without an account, whose browser takes what browsers take."""
    page.build(print)
    headers = {"Accept": "text/html,*/*;q=0.8", "Accept-Encoding": "gzip, deflate"}
    with httpx.Client(base_url=f"{service.url}/", headers=headers, timeout=60) as client:
        yield client


def test_the_document_leads_to_everything_that_it_needs(browser: httpx.Client):
    """On AWS it lies below a stage, so each address in it is relative."""
    document = browser.get("")
    addresses = re.findall(r'(?:src|href)="([^"]+)"', document.text)

    assert document.status_code == 200
    assert document.headers["content-type"] == "text/html; charset=utf-8"
    assert document.headers["cache-control"] == "no-cache"
    assert "script-src 'self'" in document.headers["content-security-policy"]
    assert any(address.startswith("./assets/") for address in addresses)
    for address in addresses:
        assert address.startswith("./"), address
        assert browser.get(address).status_code == 200, address


def test_every_built_file_can_be_fetched(browser: httpx.Client):
    """A file in a folder without a route would be missed by those alone who need it."""
    built = [path.relative_to(SITE).as_posix() for path in SITE.rglob("*") if path.is_file()]
    files = [name for name in built if not name.startswith(".") and not name.endswith((".br", ".gz"))]

    assert files
    for name in files:
        answer = browser.get("" if name == "index.html" else name)
        assert (answer.status_code, answer.content) == (200, (SITE / name).read_bytes()), name


def test_an_asset_is_compressed_and_kept_for_ever(browser: httpx.Client):
    """Compressed bytes are no text, and must not be treated as if they were on the way."""
    script = next(path for path in (SITE / "assets").glob("*.js") if path.with_name(f"{path.name}.br").is_file())

    with browser.stream("GET", f"assets/{script.name}", headers={"Accept-Encoding": "br"}) as answer:
        compressed = b"".join(answer.iter_raw())
    head = browser.head(f"assets/{script.name}", headers={"Accept-Encoding": "br"})
    again = browser.get(
        f"assets/{script.name}", headers={"If-None-Match": head.headers["etag"], "Accept-Encoding": "br"}
    )

    assert answer.headers["content-encoding"] == "br"
    assert compressed == script.with_name(f"{script.name}.br").read_bytes()
    assert head.status_code == 200
    assert "immutable" in head.headers["cache-control"]
    assert (again.status_code, again.content) == (304, b"")


def test_what_is_not_there_is_a_problem(browser: httpx.Client):
    """Not a page that looks like one: a script that is missing must fail as such."""
    answer = browser.get("assets/index-00000000.js")

    assert (answer.status_code, answer.json()["type"]) == (404, "/problems/not-found")


def test_a_share_without_a_service_worker_leads_to_the_page(browser: httpx.Client):
    """The video is not kept, but the person is where they can choose it."""
    answer = browser.post("share", files={"video": ("clip.mp4", b"\x00\xff" * 1000, "video/mp4")})

    assert (answer.status_code, answer.headers["location"]) == (303, "./#/")


def test_a_first_visit_leads_to_an_mp3_that_can_be_saved(
    browser: httpx.Client, service: Service, chromium: Browser, media: Media
):
    """The same page works below the path of a stage, and where a download comes from another origin."""
    clip = media.video("mp4 moov first")

    with chromium.new_context(locale="en-GB") as context:
        context.set_default_timeout(PATIENCE_MS)
        ann = Visitor(context, str(browser.base_url))
        ann.arrives().converts(clip).sees(clip, "completed")
        with ann.page.expect_download() as saved:
            ann.presses(f"Save MP3 of {clip.name}")
        content = saved.value.path().read_bytes()

    assert saved.value.suggested_filename == f"{clip.stem}.mp3"
    assert content.startswith((b"ID3", b"\xff\xfb"))
    assert ann.troubles == []
