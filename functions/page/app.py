"""The built page over HTTP."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from urllib.parse import urlsplit

from chalice.app import Request, Response

from functions.page.negotiation import choose_coding, has_already
from functions.page.policies import policies
from functions.page.site import IDENTITY, Site, SiteMissing, load_site
from functions.shared.environment import environment
from functions.shared.http import NO_STORE, HttpFunction, HttpSettings, to_response
from functions.shared.once import once
from functions.shared.problems import NotFound, Problem
from functions.shared.settings import from_env

# Where `python -m infra.web` puts what it builds.
SITE = Path(__file__).with_name("site")

# The name of an asset contains a hash of its content, so what a name stands for never changes.
_FOREVER = "public, max-age=31536000, immutable"
_ASK_AGAIN = "no-cache"


class Settings(HttpSettings, frozen=True, kw_only=True):
    """`download_bucket` is the S3 bucket to which download redirects players. Without one it redirects nobody."""

    download_bucket: str = ""


class PageMissing(Problem):
    """Raised when the page was not built before the function was started or packaged."""

    code = "unavailable"

    def __init__(self) -> None:
        super().__init__("The page has not been built. Run `python -m infra.web`, then reload.")


@dataclass(frozen=True)
class Page:
    """The files, and the headers that go with each of them."""

    site: Site
    policies: Mapping[str, str]


def connect() -> Page:
    """Read the built page. Raises SiteMissing and InvalidSettings."""
    settings = from_env(Settings, environment())
    return Page(load_site(SITE), policies(bucket_origin(settings.download_bucket)))


def bucket_origin(bucket: str) -> str:
    """Return the origin of presigned URLs for an S3 bucket, with the region and endpoint of the environment."""
    if not bucket:
        return ""
    # The import takes half a second, so it is made only where there is a bucket.
    import boto3  # noqa: PLC0415
    from botocore import UNSIGNED  # noqa: PLC0415
    from botocore.config import Config  # noqa: PLC0415

    # Addressed as download does. The origin is the same without a signature, which needs no credentials.
    client = boto3.client("s3", config=Config(signature_version=UNSIGNED, s3={"addressing_style": "virtual"}))
    url = urlsplit(client.generate_presigned_url("get_object", Params={"Bucket": bucket, "Key": "mp3"}))
    return f"{url.scheme}://{url.netloc}"


def create_app(page: Callable[[], Page]) -> HttpFunction:
    """Make the function. `page` is called at each request for a file."""
    app = HttpFunction("page")
    # Every body is sent as bytes, since compressed ones are not text.
    app.api.binary_types = ["*/*"]

    def send(name: str, cache_control: str = _ASK_AGAIN) -> Response:
        try:
            found = page()
        except SiteMissing as error:
            # No traceback: what to do about it is all there is to say.
            app.logger.error("not built", extra={"reason": str(error), "run": "python -m infra.web"})  # noqa: TRY400
            return to_response(PageMissing())
        if name not in found.site:
            raise NotFound
        return _send(found, name, cache_control, app.current_request)

    @app.route("/", methods=["GET", "HEAD"])
    def document() -> Response:
        # On AWS the page is at /<stage>/. From /<stage> its relative addresses would lead elsewhere.
        path: str = app.current_request.context["path"]
        if not path.endswith("/"):
            return _redirect(f"{path.rpartition('/')[2]}/", HTTPStatus.TEMPORARY_REDIRECT)
        return send("index.html")

    @app.route("/assets/{name}", methods=["GET", "HEAD"])
    def asset(name: str) -> Response:
        return send(f"assets/{name}", _FOREVER)

    @app.route("/icons/{name}", methods=["GET", "HEAD"])
    def icon(name: str) -> Response:
        return send(f"icons/{name}")

    @app.route("/favicon.ico", methods=["GET", "HEAD"])
    def favicon() -> Response:
        return send("favicon.ico")

    @app.route("/manifest.webmanifest", methods=["GET", "HEAD"])
    def manifest() -> Response:
        return send("manifest.webmanifest")

    @app.route("/sw.js", methods=["GET", "HEAD"])
    def service_worker() -> Response:
        return send("sw.js")

    @app.route("/share", methods=["POST"])
    def share() -> Response:
        # The page's service worker takes what a phone shares. Without the worker, nothing can keep the file.
        return _redirect("./#/", HTTPStatus.SEE_OTHER)

    return app


def _send(page: Page, name: str, cache_control: str, request: Request) -> Response:
    file = page.site[name]
    asked = request.headers
    coding = choose_coding(asked.get("accept-encoding", ""), file.representations)
    chosen = file.representations[coding]
    headers: dict[str, str | list[str]] = {
        "Content-Type": file.content_type,
        "Cache-Control": cache_control,
        "ETag": chosen.etag,
        "Vary": "Accept-Encoding",
        **page.policies,
    }
    if has_already(asked.get("if-none-match", ""), chosen.etag):
        return Response(b"", headers=headers, status_code=int(HTTPStatus.NOT_MODIFIED))
    if coding != IDENTITY:
        headers["Content-Encoding"] = coding
    if request.method == "HEAD":
        headers["Content-Length"] = str(len(chosen.body))
        return Response(b"", headers=headers)
    return Response(chosen.body, headers=headers)


def _redirect(location: str, status: HTTPStatus) -> Response:
    headers: dict[str, str | list[str]] = {"Location": location, "Content-Type": "text/plain", **NO_STORE}
    return Response(b"", headers=headers, status_code=int(status))


app = create_app(once(connect))
