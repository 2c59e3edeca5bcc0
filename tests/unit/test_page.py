"""The function page: the files of the built page, as browsers ask for them."""

import gzip
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import boto3
import pytest

from functions.download.s3_copies import connect_s3
from functions.page.app import Page, bucket_origin, create_app
from functions.page.negotiation import choose_coding
from functions.page.policies import policies
from functions.page.site import load_site
from functions.shared.once import once
from infra.template import load_template
from tests.events import body_of, header, http_event, json_of

DOCUMENT, SCRIPT = b"<!doctype html>", b"console.log('\xc3\xa9');" * 100
ZIPPED = gzip.compress(SCRIPT, mtime=0)
# No brotli can be made here, and the function does not look inside.
BROTLI = b"\x0b\x02\x80\xff"
FOREVER = "public, max-age=31536000, immutable"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A built page."""
    (tmp_path / "assets").mkdir()
    (tmp_path / "icons").mkdir()
    (tmp_path / "index.html").write_bytes(DOCUMENT)
    (tmp_path / "assets/index-4f0c.js").write_bytes(SCRIPT)
    (tmp_path / "assets/index-4f0c.js.br").write_bytes(BROTLI)
    (tmp_path / "assets/index-4f0c.js.gz").write_bytes(ZIPPED)
    (tmp_path / "icons/icon.png").write_bytes(b"\x89PNG\xff")
    (tmp_path / "manifest.webmanifest").write_text("{}")
    (tmp_path / "sw.js").write_text("self.skipWaiting();")
    (tmp_path / "favicon.ico").write_bytes(b"\x00\x00\x01")
    return tmp_path


class Browser:
    """Calls the function as API Gateway does."""

    def __init__(self, folder: Path, media_origin: str = "") -> None:
        self._app = create_app(once(lambda: Page(load_site(folder), policies(media_origin))))

    def ask(
        self, path: str, headers: Mapping[str, str] | None = None, *, method: str = "GET", stage_path: str = ""
    ) -> dict[str, Any]:
        parts = path.split("/")
        template, parameters = path, {}
        if parts[1] in {"assets", "icons"}:
            template, parameters = f"/{parts[1]}/{{name}}", {"name": "/".join(parts[2:])}
        event = http_event(method, template, parameters, headers=headers, stage_path=stage_path)
        answer: dict[str, Any] = self._app(event, None)
        return answer


@pytest.fixture
def browser(folder: Path) -> Browser:
    return Browser(folder)


@pytest.mark.parametrize(
    ("path", "content_type", "body"),
    [
        ("/", "text/html; charset=utf-8", DOCUMENT),
        ("/assets/index-4f0c.js", "text/javascript; charset=utf-8", SCRIPT),
        ("/icons/icon.png", "image/png", b"\x89PNG\xff"),
        ("/manifest.webmanifest", "application/manifest+json", b"{}"),
        ("/sw.js", "text/javascript; charset=utf-8", b"self.skipWaiting();"),
        ("/favicon.ico", "image/x-icon", b"\x00\x00\x01"),
    ],
)
def test_every_file_is_sent_byte_by_byte_with_its_type(browser: Browser, path: str, content_type: str, body: bytes):
    """With nosniff, a script of another type is not run."""
    answer = browser.ask(path)

    assert (answer["statusCode"], body_of(answer)) == (200, body)
    assert header(answer, "Content-Type") == content_type
    assert header(answer, "X-Content-Type-Options") == "nosniff"
    assert header(answer, "Content-Encoding") is None


def test_an_asset_is_kept_for_a_year_and_all_else_is_asked_for_again(browser: Browser):
    """An asset has another name when it changes. The document that names it must never be stale."""
    assert header(browser.ask("/assets/index-4f0c.js"), "Cache-Control") == FOREVER
    for path in ("/", "/sw.js", "/manifest.webmanifest", "/icons/icon.png", "/favicon.ico"):
        assert header(browser.ask(path), "Cache-Control") == "no-cache"


@pytest.mark.parametrize(
    ("accepted", "coding", "body"),
    [("gzip, deflate, br, zstd", "br", BROTLI), ("gzip", "gzip", ZIPPED), ("zstd", None, SCRIPT)],
)
def test_a_browser_gets_the_smallest_form_that_it_takes(
    browser: Browser, accepted: str, coding: str | None, body: bytes
):
    """On a phone, that is most of the time that a first visit takes. Each form has an ETag of its own."""
    plain = browser.ask("/assets/index-4f0c.js")

    answer = browser.ask("/assets/index-4f0c.js", {"Accept-Encoding": accepted})

    assert (header(answer, "Content-Encoding"), body_of(answer)) == (coding, body)
    assert header(answer, "Content-Type") == header(plain, "Content-Type")
    assert header(answer, "Vary") == "Accept-Encoding"
    assert (header(answer, "ETag") == header(plain, "ETag")) is (coding is None)


@pytest.mark.parametrize(
    ("accept_encoding", "coding"),
    [
        ("", "identity"),
        ("br", "br"),
        ("BR;q=0.1, gzip;q=1.0", "br"),
        ("br;q=0, gzip", "gzip"),
        ("br; q=0.000, gzip;q=0", "identity"),
        ("*", "br"),
        ("*;q=0", "identity"),
        ("br;q=0, *", "gzip"),
        ("deflate", "identity"),
        (",;,q", "identity"),
    ],
)
def test_what_a_client_refuses_it_does_not_get(accept_encoding: str, coding: str):
    """A weight of zero means: not this one."""
    assert choose_coding(accept_encoding, ["identity", "br", "gzip"]) == coding


@pytest.mark.parametrize("path", ["/", "/assets/index-4f0c.js"])
@pytest.mark.parametrize("known", ["{}", "W/{}", '"other", {}', "*"])
def test_what_a_browser_has_already_is_not_sent_again(browser: Browser, path: str, known: str):
    """A visit on which nothing has changed costs one short answer."""
    first = browser.ask(path, {"Accept-Encoding": "br"})
    etag = header(first, "ETag")
    assert etag

    again = browser.ask(path, {"Accept-Encoding": "br", "If-None-Match": known.format(etag)})
    changed = browser.ask(path, {"Accept-Encoding": "br", "If-None-Match": '"other"'})

    assert (again["statusCode"], body_of(again)) == (304, b"")
    for name in ("ETag", "Cache-Control", "Vary", "Content-Security-Policy"):
        assert header(again, name) == header(first, name)
    assert (changed["statusCode"], body_of(changed)) == (200, body_of(first))


def test_a_head_says_what_a_get_would(browser: Browser):
    """Link checkers and monitoring ask so."""
    headers = {"Accept-Encoding": "gzip"}
    whole = browser.ask("/assets/index-4f0c.js", headers)

    head = browser.ask("/assets/index-4f0c.js", headers, method="HEAD")

    assert body_of(head) == b""
    assert header(head, "Content-Length") == str(len(body_of(whole)))
    for name in ("ETag", "Content-Type", "Content-Encoding", "Cache-Control"):
        assert header(head, name) == header(whole, name)


@pytest.mark.parametrize(
    "path",
    ["/assets/index-0000.js", "/assets/../index.html", "/icons/../sw.js", "/assets/index-4f0c.js.br", "/assets/.stamp"],
)
def test_what_is_not_of_the_page_is_not_found(browser: Browser, path: str):
    """A tab that was opened before an update may ask for an old script. Nobody gets at other files."""
    answer = browser.ask(path)

    assert (answer["statusCode"], json_of(answer)["type"]) == (404, "/problems/not-found")
    assert header(answer, "Cache-Control") == "no-store"


def test_the_page_may_run_its_own_scripts_and_nothing_else(browser: Browser):
    """Whatever a file name smuggles into the page, the browser does not run it, nor send data elsewhere."""
    answer = browser.ask("/")
    policy = header(answer, "Content-Security-Policy")
    assert policy
    allowed = dict(directive.split(" ", 1) for directive in policy.split("; "))

    assert allowed["default-src"] == "'none'"
    assert allowed["script-src"] == allowed["style-src"] == allowed["connect-src"] == "'self'"
    assert allowed["frame-ancestors"] == allowed["base-uri"] == "'none'"
    assert "unsafe" not in policy
    assert "http" not in policy
    assert header(answer, "Referrer-Policy") == "no-referrer"
    assert header(answer, "Cross-Origin-Opener-Policy") == "same-origin"
    assert "microphone=()" in (header(answer, "Permissions-Policy") or "")


def test_a_player_may_follow_to_the_bucket_of_mp3s(folder: Path):
    """On AWS a long MP3 comes from there, and browsers hold a redirect against the policy. Scripts still may not."""
    answer = Browser(folder, "https://bucket.s3.eu-central-1.amazonaws.com").ask("/")
    policy = header(answer, "Content-Security-Policy") or ""

    assert "media-src 'self' blob: https://bucket.s3.eu-central-1.amazonaws.com;" in policy
    assert policy.count("https://") == 1


@pytest.mark.parametrize("region", ["eu-central-1", "us-east-1"])
@pytest.mark.parametrize("endpoint_url", ["", "http://127.0.0.1:4566"])
def test_the_bucket_is_where_download_sends_players(region: str, endpoint_url: str, monkeypatch: pytest.MonkeyPatch):
    """S3 has several names for one bucket, and browsers compare letter by letter."""
    for name, value in {
        "AWS_DEFAULT_REGION": region,
        "AWS_ENDPOINT_URL": endpoint_url,
        "AWS_ACCESS_KEY_ID": "id",
        "AWS_SECRET_ACCESS_KEY": "secret",
    }.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(boto3, "DEFAULT_SESSION", None)

    url = connect_s3().generate_presigned_url("get_object", Params={"Bucket": "video2mp3-mp3s", "Key": "k"})

    assert url.startswith(f"{bucket_origin('video2mp3-mp3s')}/")


def test_without_a_bucket_there_is_no_other_origin():
    """Everywhere but on AWS, the gateway streams MP3s itself."""
    assert bucket_origin("") == ""


def test_a_stage_without_its_slash_leads_to_the_one_with_it(browser: Browser):
    """From /prod, the relative address assets/x.js leads to /assets/x.js, which is no part of the stage."""
    answer = browser.ask("/", stage_path="/prod")
    event = http_event("GET", "/")
    event["requestContext"]["path"] = "/prod"
    without = create_app(lambda: pytest.fail("the page is not needed"))(event, None)

    assert answer["statusCode"] == 200
    assert (without["statusCode"], header(without, "Location")) == (307, "prod/")


def test_a_shared_video_that_no_service_worker_took_leads_to_the_page(browser: Browser):
    """The first share after the browser has dropped its worker must not end in an error."""
    event = http_event("POST", "/share", body=b"--x\r\n\xff", headers={"Content-Type": "multipart/form-data"})

    answer = create_app(lambda: pytest.fail("the body is not needed"))(event, None)

    assert (answer["statusCode"], header(answer, "Location"), body_of(answer)) == (303, "./#/", b"")


def test_without_a_build_the_log_and_the_answer_say_what_to_run(tmp_path: Path, caplog: pytest.LogCaptureFixture):
    """A person who starts the function from a fresh checkout sees a sentence, not a traceback."""
    browser = Browser(tmp_path / "site")

    answer = browser.ask("/")
    (line,) = caplog.records

    assert (answer["statusCode"], json_of(answer)["type"]) == (503, "/problems/unavailable")
    assert "python -m infra.web" in json_of(answer)["detail"]
    assert (line.levelname, line.message, line.exc_info) == ("ERROR", "not built", None)
    assert vars(line)["run"] == "python -m infra.web"


def test_a_page_that_is_built_later_is_found(tmp_path: Path):
    """Nobody need start the function again."""
    browser = Browser(tmp_path)
    assert browser.ask("/")["statusCode"] == 503

    (tmp_path / "index.html").write_bytes(DOCUMENT)

    assert body_of(browser.ask("/")) == DOCUMENT


def test_the_files_are_read_once(folder: Path, browser: Browser):
    """A request reads no disk."""
    browser.ask("/")

    (folder / "index.html").unlink()

    assert body_of(browser.ask("/")) == DOCUMENT


def test_nothing_of_the_page_needs_a_login():
    """It is where people log in."""
    routes = [route for route in load_template().routes if route.function == "PageFunction"]

    assert routes
    assert not any(route.guarded for route in routes)
