"""The keys that sign tokens and links, rotated as docs/operating.md says, while people use the service."""

import itertools
import threading
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import timedelta

import httpx
import jwt
import pytest

from functions.shared.clock import utc_now
from functions.shared.links import Links
from infra.local.processes import free_port
from tests.faults.conftest import Observed
from tests.faults.parts import Part, Parts
from tests.tus import until

OLD, NEW = "old", "new"
JWT = {name: f"{name}={name * 16}" for name in (OLD, NEW)}
LINK = {name: name * 16 for name in (OLD, NEW)}
# JWT_KEYS and LINK_KEYS at the beginning, and after each step.
STEPS = [
    (JWT[OLD], LINK[OLD]),
    (f"{JWT[OLD]},{JWT[NEW]}", f"{LINK[OLD]},{LINK[NEW]}"),
    (f"{JWT[NEW]},{JWT[OLD]}", f"{LINK[NEW]},{LINK[OLD]}"),
    (JWT[NEW], f"{LINK[NEW]},{LINK[OLD]}"),
]
CLIENTS = 3
PACE_S = 0.02
LOGIN = {"email": "ann@example.com", "password": "correct horse battery"}


@dataclass
class Gateways:
    """Two gateways, each a process with all functions, as behind a load balancer."""

    parts: Parts
    running: dict[str, Part] = field(default_factory=dict)
    step: int = 0

    def begin(self) -> None:
        """Start both."""
        for url in (self.parts.url, f"http://127.0.0.1:{free_port()}"):
            self._start(url)

    def rotate(self) -> Iterator[str]:
        """Take the next step: start one after the other anew, and yield after each."""
        self.step += 1
        for url, part in list(self.running.items()):
            part.process.terminate()
            part.process.join(30)
            self._start(url)
            yield url

    def _start(self, url: str) -> None:
        jwt_keys, link_keys = STEPS[self.step]
        self.running[url] = self.parts.gateway(environ={"JWT_KEYS": jwt_keys, "LINK_KEYS": link_keys}, url=url)


@dataclass
class Crowd:
    """Clients that ask both gateways in turn, with all tokens and links that anybody got."""

    urls: list[str]
    tokens: dict[str, str] = field(default_factory=dict)
    links: dict[str, str] = field(default_factory=dict)
    asked: Counter[tuple[str, str, int]] = field(default_factory=Counter)
    lost: int = 0
    stopping: threading.Event = field(default_factory=threading.Event)

    def go(self) -> None:
        """Ask until it is time to stop. Connections that break are what a restart looks like: one asks again."""
        with httpx.Client(timeout=30) as http:
            for url in itertools.cycle(self.urls):
                if self.stopping.wait(PACE_S):
                    return
                try:
                    self._ask(http, url)
                except httpx.TransportError:
                    self.lost += 1

    def log_in(self, url: str) -> None:
        """Get a token from a gateway, beside those of other keys."""
        answer = httpx.post(f"{url}/v1/auth/login", json=LOGIN, timeout=30).raise_for_status()
        token = answer.json()["access_token"]
        self.tokens[jwt.get_unverified_header(token)["kid"]] = token

    def wait(self) -> None:
        """Let each gateway be asked some more with each token and link."""
        before = self.asked.copy()
        kinds = [f"token {kid}" for kid in self.tokens] + [f"link {name}" for name in self.links]

        def all_asked() -> bool:
            new = self.asked.copy() - before
            return all(
                any(new[url, kind, status] for status in (200, 404, 401, 403)) for url in self.urls for kind in kinds
            )

        until(all_asked)

    def _ask(self, http: httpx.Client, url: str) -> None:
        for kid, token in list(self.tokens.items()):
            answer = http.get(f"{url}/v1/auth/me", headers={"Authorization": f"Bearer {token}"})
            self.asked[url, f"token {kid}", answer.status_code] += 1
        for name, path in list(self.links.items()):
            self.asked[url, f"link {name}", http.get(url + path).status_code] += 1


@pytest.mark.row(27)
def test_keys_are_rotated_and_nobody_is_refused(parts: Parts, observed: Observed) -> None:
    """A false 401 logs people out, a false 403 breaks the link in their e-mail."""
    gateways = Gateways(parts)
    gateways.begin()
    crowd = Crowd(list(gateways.running))
    httpx.post(f"{parts.url}/v1/auth/register", json=LOGIN, timeout=30).raise_for_status()
    crowd.log_in(parts.url)
    # To a conversion that does not exist: it is not found, if the link is right.
    crowd.links[OLD] = link(LINK[OLD])
    with ThreadPoolExecutor(CLIENTS) as threads:
        clients = [threads.submit(crowd.go) for _ in range(CLIENTS)]
        try:
            crowd.wait()
            for _ in STEPS[1:]:
                if gateways.step == len(STEPS) - 2:
                    # The life of an access token later.
                    del crowd.tokens[OLD]
                for url in gateways.rotate():
                    crowd.log_in(url)
                    if gateways.step > 1:
                        crowd.links[NEW] = link(LINK[NEW])
                    crowd.wait()
        finally:
            crowd.stopping.set()
        for client in clients:
            client.result(60)

    statuses = Counter[int]()
    for (_, _, status), count in crowd.asked.items():
        statuses[status] += count
    refused = {key: count for key, count in crowd.asked.items() if key[2] in {401, 403}}
    assert not refused
    assert set(statuses) <= {200, 404, 503}
    kinds = {(url, kind) for url, kind, status in crowd.asked if status != 503}
    assert len(kinds) == 8
    observed(
        f"{statuses[200]} requests with tokens and {statuses[404]} with links of both keys at both gateways, in "
        f"{gateways.step} steps: {sum(refused.values())} refused; {statuses[503] + crowd.lost} tried again"
    )


def link(key: str) -> str:
    """Return the path of a link that this key has signed."""
    return Links((key,), "http://x", utc_now).make("c1", timedelta(hours=1)).url.removeprefix("http://x")
