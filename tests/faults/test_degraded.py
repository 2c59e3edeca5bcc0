"""Each server in turn is down, or holds the line and says nothing: what every route answers, and how it comes back."""

import contextlib
import re
import secrets
import time
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import httpx
import pytest
from pymongo.database import Database

from functions.page.app import SITE
from functions.page.site import load_site
from functions.shared.conversions import Owner, State
from functions.shared.mongo import Document
from functions.shared.mongo_conversions import MongoConversions
from infra import web
from infra.local.servers import ServerUrls
from infra.template import load_template
from tests.conversions import conversion
from tests.faults.conftest import Observed
from tests.faults.parts import Parts
from tests.faults.test_mail import MailServer
from tests.media import Media
from tests.problems import problem
from tests.stored_mp3s import store_mp3
from tests.tcp_proxy import TcpProxy, proxied
from tests.tus import BYTES, Tus, metadata, until, upload_id

PASSWORD = "correct horse battery"
POSTGRES, MONGODB, RABBITMQ = SERVERS = ("postgres", "mongodb", "rabbitmq")
# API Gateway waits no longer for any answer.
LONGEST_S = 29


class Needs(NamedTuple):
    """What a route answers when all is well, and the servers without which it is 503."""

    status: int
    servers: tuple[str, ...] = ()


GUARDED = (POSTGRES, MONGODB)
# Every route of template.yaml. RabbitMQ is in none but the one that says how the servers are.
ROUTES = {
    ("POST", "/v1/auth/register"): Needs(201, (POSTGRES,)),
    ("POST", "/v1/auth/login"): Needs(200, (POSTGRES,)),
    ("POST", "/v1/auth/refresh"): Needs(200, (POSTGRES,)),
    ("POST", "/v1/auth/logout"): Needs(204, (POSTGRES,)),
    ("GET", "/v1/auth/me"): Needs(200, (POSTGRES,)),
    ("POST", "/v1/conversions"): Needs(202, GUARDED),
    ("GET", "/v1/conversions"): Needs(200, GUARDED),
    ("GET", "/v1/conversions/{conversion_id}"): Needs(200, GUARDED),
    ("DELETE", "/v1/conversions/{conversion_id}"): Needs(204, GUARDED),
    ("POST", "/v1/conversions/{conversion_id}/retry"): Needs(202, GUARDED),
    ("GET", "/v1/conversions/{conversion_id}/mp3"): Needs(200, GUARDED),
    ("HEAD", "/v1/conversions/{conversion_id}/mp3"): Needs(200, GUARDED),
    ("POST", "/v1/conversions/{conversion_id}/link"): Needs(201, GUARDED),
    ("GET", "/v1/conversions/zip"): Needs(200, GUARDED),
    ("HEAD", "/v1/conversions/zip"): Needs(200, GUARDED),
    ("POST", "/v1/conversions/zip/link"): Needs(201, GUARDED),
    ("GET", "/v1/usage"): Needs(200, GUARDED),
    ("POST", "/v1/uploads"): Needs(201, GUARDED),
    ("HEAD", "/v1/uploads/{upload_id}"): Needs(200, GUARDED),
    ("PATCH", "/v1/uploads/{upload_id}"): Needs(204, GUARDED),
    ("POST", "/v1/uploads/{upload_id}"): Needs(204, GUARDED),
    ("DELETE", "/v1/uploads/{upload_id}"): Needs(204, GUARDED),
    ("GET", "/v1/downloads/{token}"): Needs(200, (MONGODB,)),
    ("HEAD", "/v1/downloads/{token}"): Needs(200, (MONGODB,)),
    ("GET", "/v1/downloads/zip/{token}"): Needs(200, (MONGODB,)),
    ("HEAD", "/v1/downloads/zip/{token}"): Needs(200, (MONGODB,)),
    ("OPTIONS", "/v1/auth/register"): Needs(204),
    ("OPTIONS", "/v1/auth/login"): Needs(204),
    ("OPTIONS", "/v1/auth/refresh"): Needs(204),
    ("OPTIONS", "/v1/auth/logout"): Needs(204),
    ("OPTIONS", "/v1/auth/me"): Needs(204),
    ("OPTIONS", "/v1/conversions"): Needs(204),
    ("OPTIONS", "/v1/conversions/{conversion_id}"): Needs(204),
    ("OPTIONS", "/v1/conversions/{conversion_id}/retry"): Needs(204),
    ("OPTIONS", "/v1/conversions/{conversion_id}/mp3"): Needs(204),
    ("OPTIONS", "/v1/conversions/{conversion_id}/link"): Needs(204),
    ("OPTIONS", "/v1/conversions/zip"): Needs(204),
    ("OPTIONS", "/v1/conversions/zip/link"): Needs(204),
    ("OPTIONS", "/v1/usage"): Needs(204),
    ("OPTIONS", "/v1/uploads"): Needs(204),
    ("OPTIONS", "/v1/uploads/{upload_id}"): Needs(204),
    ("OPTIONS", "/v1/downloads/{token}"): Needs(204),
    ("OPTIONS", "/v1/downloads/zip/{token}"): Needs(204),
    ("GET", "/healthz"): Needs(200),
    ("HEAD", "/healthz"): Needs(200),
    ("GET", "/readyz"): Needs(200, SERVERS),
    ("HEAD", "/readyz"): Needs(200, SERVERS),
    ("GET", "/"): Needs(200),
    ("HEAD", "/"): Needs(200),
    ("GET", "/assets/{name}"): Needs(200),
    ("HEAD", "/assets/{name}"): Needs(200),
    ("GET", "/icons/{name}"): Needs(200),
    ("HEAD", "/icons/{name}"): Needs(200),
    ("GET", "/favicon.ico"): Needs(200),
    ("HEAD", "/favicon.ico"): Needs(200),
    ("GET", "/manifest.webmanifest"): Needs(200),
    ("HEAD", "/manifest.webmanifest"): Needs(200),
    ("GET", "/sw.js"): Needs(200),
    ("HEAD", "/sw.js"): Needs(200),
    ("POST", "/share"): Needs(303),
}
Route = tuple[str, str]
NOTHING_WRONG: dict[str, dict[Route, str]] = {server: {} for server in SERVERS}


@dataclass
class Service:
    """A gateway with all functions in it, whose ways to the servers lead through proxies."""

    parts: Parts
    proxies: dict[str, TcpProxy]
    video: bytes
    # One for all: to make a client takes a while of this process, in which the proxies have to forward bytes, too.
    client: httpx.Client

    def ask(self, route: Route, things: "Things") -> tuple[httpx.Response, float]:
        """Ask one route as somebody does who has a right to it; return the answer, and how long it took."""
        method, template = route
        options = things.options(route, self.video)
        path = template.format_map(things.path_values(route))
        started = time.monotonic()
        answer = self.client.request(method, self.parts.url + path, **options)
        return answer, time.monotonic() - started

    def ask_all(self, things: "Things") -> dict[Route, tuple[httpx.Response, float]]:
        """Ask every route at the same time."""
        with ThreadPoolExecutor(len(ROUTES)) as people:
            answers = people.map(lambda route: self.ask(route, things), ROUTES)
            return dict(zip(ROUTES, answers, strict=True))

    def checks(self) -> dict[str, str]:
        """Return what /readyz says."""
        checks: dict[str, str] = httpx.get(f"{self.parts.url}/readyz", timeout=30).json()["checks"]
        return checks

    def is_well(self) -> bool:
        """Whether /readyz says so, and somebody can log in."""
        return (
            set(self.checks().values()) == {"ok"}
            and httpx.post(
                f"{self.parts.url}/v1/auth/login", json={"email": "x@example.com", "password": "nobody's"}, timeout=30
            ).status_code
            == 401
        )


@dataclass
class Things:
    """What one person has, so that each route can be asked once with success."""

    person: Tus
    email: str
    refresh_token: str
    leaving: str
    completed: str
    to_delete: str
    failed: str
    link: str
    zip_link: str
    uploads: dict[str, str] = field(default_factory=dict)

    def path_values(self, route: Route) -> dict[str, str]:
        method, template = route
        of_method = {"DELETE": self.to_delete}.get(method, self.completed)
        return {
            "conversion_id": self.failed if template.endswith("/retry") else of_method,
            "upload_id": self.uploads.get(method, "x"),
            "token": self.zip_link if "/zip/" in template else self.link,
            "name": a_file_of_the_page(template),
        }

    def options(self, route: Route, video: bytes) -> dict[str, Any]:
        """Return the headers and the body of a request."""
        method, template = route
        if method == "OPTIONS":
            return {}
        headers = {"Authorization": f"Bearer {self.person.token}"}
        if template.startswith("/v1/uploads"):
            headers["Tus-Resumable"] = "1.0.0"
        patch = {"Upload-Offset": "0", "Content-Type": BYTES}
        match route:
            case ("POST", "/v1/auth/register"):
                return {"json": {"email": f"{secrets.token_hex(6)}@example.com", "password": PASSWORD}}
            case ("POST", "/v1/auth/login"):
                return {"json": {"email": self.email, "password": PASSWORD}}
            case ("POST", "/v1/auth/refresh"):
                return {"json": {"refresh_token": self.refresh_token}}
            case ("POST", "/v1/auth/logout"):
                return {"headers": {"Authorization": f"Bearer {self.leaving}"}}
            case ("POST", "/v1/conversions"):
                return {"headers": headers, "files": {"video": ("movie.mp4", video)}}
            case ("POST", "/v1/uploads"):
                return {"headers": headers | {"Upload-Length": "100"} | metadata({"filename": "a.mp4"})}
            case ("PATCH", "/v1/uploads/{upload_id}"):
                return {"headers": headers | patch, "content": video[:50]}
            case ("POST", "/v1/uploads/{upload_id}"):
                return {"headers": headers | patch | {"X-HTTP-Method-Override": "PATCH"}, "content": video[:50]}
            case ("GET" | "HEAD", "/v1/conversions/zip"):
                return {"headers": headers, "params": {"ids": self.completed}}
            case ("POST", "/v1/conversions/zip/link" | "/v1/conversions/{conversion_id}/link"):
                return {"headers": headers, "json": {"ids": [self.completed]} if "/zip/" in template else {}}
        return {"headers": headers}


def a_file_of_the_page(template: str) -> str:
    """Return the name of a file in the folder of a route; nothing if the route has none."""
    folder, parameter, _ = template.removeprefix("/").partition("{name}")
    names = [name.removeprefix(folder) for name in load_site(SITE) if name.startswith(folder)]
    return names[0] if parameter else ""


def prepare(service: Service, database: Database[Document]) -> Things:
    """Make what is asked for, while all is well."""
    url, email = service.parts.url, f"{secrets.token_hex(6)}@example.com"
    person = service.parts.new_person()
    httpx.post(f"{url}/v1/auth/register", json={"email": email, "password": PASSWORD}, timeout=60).raise_for_status()
    login = httpx.post(f"{url}/v1/auth/login", json={"email": email, "password": PASSWORD}, timeout=60).json()
    other = httpx.post(f"{url}/v1/auth/login", json={"email": email, "password": PASSWORD}, timeout=60).json()
    owner = Owner(person.id, "ann@example.com")
    completed = store_mp3(database, owner, [b"an MP3"])
    failed = conversion(uuid.uuid4().hex, owner=owner, state=State.FAILED)
    MongoConversions(database).add(failed, [])

    def link_to(path: str, **body: object) -> str:
        headers = {"Authorization": f"Bearer {person.token}"}
        made = httpx.post(f"{url}/v1/conversions/{path}/link", headers=headers, json=body, timeout=60)
        token: str = made.json()["url"].rpartition("/")[2]
        return token

    return Things(
        person,
        email,
        refresh_token=login["refresh_token"],
        leaving=other["access_token"],
        completed=completed,
        to_delete=store_mp3(database, owner, [b"an MP3"]),
        failed=failed.id,
        link=link_to(completed),
        zip_link=link_to("zip", ids=[completed]),
        uploads={method: upload_id(person.create(100)) for method in ("HEAD", "PATCH", "POST", "DELETE")},
    )


@pytest.fixture
def services(
    servers: ServerUrls, mongo: Database[Document], amqp_url: str, postgres_url: str, media: Media, tmp_path: Path
) -> Iterator[Callable[[str], Service]]:
    """Starts gateways with functions, by names of their own, on the same databases."""
    web.build(print)
    given = {POSTGRES: postgres_url, MONGODB: servers.mongodb, RABBITMQ: amqp_url}
    video = media.video("mp4 moov first", 1).read_bytes()
    with contextlib.ExitStack() as closing:

        def start(name: str) -> Service:
            ways = {server: closing.enter_context(proxied(url)) for server, url in given.items()}
            (tmp_path / name).mkdir()
            parts = Parts(mongo, ServerUrls(*(ways[server][1] for server in SERVERS)), tmp_path / name)
            closing.callback(parts.end)
            parts.gateway()
            limits = httpx.Limits(max_connections=len(ROUTES), max_keepalive_connections=0)
            client = closing.enter_context(httpx.Client(timeout=90, limits=limits))
            return Service(parts, {server: proxy for server, (proxy, _) in ways.items()}, video, client)

        yield start


@pytest.fixture
def service(services: Callable[[str], Service]) -> Service:
    return services("service")


def judge(answers: dict[Route, tuple[httpx.Response, float]], without: str | None) -> dict[Route, str]:
    """Return what is not as the table says, of the answers to all routes with this server down, or none."""
    wrong = {}
    for route, (answer, took_s) in answers.items():
        needs = ROUTES[route]
        expected = 503 if without in needs.servers else needs.status
        if (answer.status_code, took_s < LONGEST_S) != (expected, True):
            wrong[route] = f"{answer.status_code} after {took_s:.1f} s in place of {expected}: {answer.text}"
        elif expected == 503:
            if route[0] != "HEAD" and route[1] != "/readyz" and problem(answer) != (503, "unavailable"):
                wrong[route] = answer.text
            if not answer.headers.get("retry-after", "").isdecimal():
                wrong[route] = f"no Retry-After: {answer.headers}"
    return wrong


def test_the_table_has_every_route():
    """One that is added has to say what it does without each of the servers."""
    assert set(ROUTES) == {(route.method, route.path) for route in load_template().routes}


def test_the_documents_say_the_same():
    """Whoever reads them in an outage has no time to find out what is true."""
    text = (Path(__file__).parents[2] / "docs/resilience.md").read_text()
    [table] = re.findall(r"^\| routes \|.*?\n\n", text, re.MULTILINE | re.DOTALL)
    told: dict[Route, set[str]] = {}
    for row in table.strip().splitlines()[2:]:
        routes, *answers = (cell.strip() for cell in row.strip("|").split("|"))
        away = {server for server, said in zip(SERVERS, answers, strict=False) if said.startswith("503")}
        told |= dict.fromkeys(re.findall(r"`([A-Z]+) (/[^\s`]*)`", routes), away)
        if "`OPTIONS`" in routes:
            told |= {route: away for route in ROUTES if route[0] == "OPTIONS"}

    assert told == {route: set(needs.servers) for route, needs in ROUTES.items()}


@dataclass
class Seen:
    """What was seen while a server was away, and after it came back."""

    answers: dict[Route, tuple[httpx.Response, float]]
    checks: dict[str, str]
    owing: int
    afterwards: dict[Route, tuple[httpx.Response, float]]


def without(server: str, how: str, service: Service, database: Database[Document]) -> Seen:
    """Ask everything while a server is away, and again when it has come back."""
    proxy = service.proxies[server]
    leave, come_back = {
        "refuses connections": (proxy.go_down, proxy.come_up),
        "says nothing": (proxy.freeze, proxy.thaw),
    }[how]
    things = prepare(service, database)
    leave()
    answers = service.ask_all(things)
    mine = {"owner.id": things.person.id, "pending_events.0": {"$exists": True}}
    owing = database.conversions.count_documents(mine)
    come_back()
    until(service.is_well, within_s=60)
    checks = answers[("GET", "/readyz")][0].json()["checks"]
    return Seen(answers, checks, owing, service.ask_all(prepare(service, database)))


@pytest.mark.parametrize("how", ["refuses connections", "says nothing"])
def test_without_a_server_each_route_answers_what_can_be_answered(
    services: Callable[[str], Service], mongo: Database[Document], how: str
):
    """503 says come again. 500 says it is our fault, 401 logs people out, 404 tells them that their video is gone."""
    started = {server: services(server) for server in SERVERS}
    # Each has a service of its own, since that is mostly waiting.
    with ThreadPoolExecutor(len(SERVERS)) as people:
        seen = dict(
            zip(SERVERS, people.map(lambda each: without(each, how, started[each], mongo), SERVERS), strict=True)
        )

    assert {server: judge(each.answers, server) for server, each in seen.items()} == NOTHING_WRONG
    assert {server: judge(each.afterwards, None) for server, each in seen.items()} == NOTHING_WRONG
    down = {server: {name for name, said in each.checks.items() if said != "ok"} for server, each in seen.items()}
    # What MongoDB would know of the outbox is not known without it.
    assert down == {POSTGRES: {POSTGRES}, MONGODB: {MONGODB, "outbox"}, RABBITMQ: {RABBITMQ}}
    # The form and the new try.
    assert {server: each.owing for server, each in seen.items()} == {POSTGRES: 0, MONGODB: 0, RABBITMQ: 2}


@pytest.mark.row(21)
def test_without_accounts_nobody_is_logged_out_and_conversions_go_on(service: Service, observed: Observed):
    """To a client 401 means that its token is dead: it would throw the person out, for want of a database."""
    parts = service.parts
    person = parts.new_person()
    headers = {"Authorization": f"Bearer {person.token}"}
    accepted = httpx.post(
        f"{parts.url}/v1/conversions", files={"video": ("movie.mp4", service.video)}, headers=headers, timeout=60
    ).json()["id"]
    before = until(lambda: parts.database.conversions.find_one({"_id": accepted}))["state"]
    service.proxies[POSTGRES].go_down()
    parts.triggers()
    verdict = parts.checker.wait([accepted])
    [letter] = parts.letters()
    text = letter.get_body(("plain",))
    assert text is not None
    [link] = set(re.findall(r"http://[\w.:]+/v1/downloads/[\w.-]+", text.get_content()))
    linked = httpx.get(link, timeout=60)
    paths = ("/v1/auth/me", "/v1/conversions")
    with ThreadPoolExecutor(len(paths)) as people:
        guarded = list(people.map(lambda path: httpx.get(parts.url + path, headers=headers, timeout=60), paths))
    checks = service.checks()
    service.proxies[POSTGRES].come_up()
    until(service.is_well, within_s=60)
    again = httpx.get(f"{parts.url}/v1/auth/me", headers=headers, timeout=60)

    assert before == "queued"
    assert (verdict.ends["completed"], verdict.is_clean, verdict.untold) == (1, True, []), verdict.reasons
    assert [problem(answer) for answer in guarded] == [(503, "unavailable")] * 2
    assert checks == {"postgres": "down: does not answer", "mongodb": "ok", "rabbitmq": "ok", "outbox": "ok"}
    assert linked.status_code == 200
    assert again.status_code == 200
    observed(
        f"guarded routes {[answer.status_code for answer in guarded]}, /readyz: {checks['postgres']}; meanwhile "
        f"{dict(verdict.ends)}, a letter, its link {linked.status_code}; then the same token {again.status_code}"
    )


def test_without_mail_everything_but_the_letter_comes(service: Service, mongo: Database[Document]):
    """Nobody has to ask for it: the letter comes when the mail server does."""
    mail = MailServer(lost=0)
    parts = service.parts
    things = prepare(service, mongo)
    parts.triggers(environ=mail.environ)

    answers = service.ask_all(things)
    accepted = answers[("POST", "/v1/conversions")][0].json()["id"]
    completed = {"_id": accepted, "state": "completed", "untold": {"$exists": True}}
    until(lambda: mongo.conversions.find_one(completed), within_s=60)
    before = len(mail.received)
    with mail.running():
        told = {"_id": accepted, "notices.outcome": "sent", "untold": {"$exists": False}}
        until(lambda: mongo.conversions.find_one(told), within_s=60)

    assert judge(answers, None) == {}
    assert before == 0
    assert sum("movie.mp4" in letter["Subject"] for letter in mail.received) >= 1
