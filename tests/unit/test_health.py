"""The function health: /healthz and /readyz."""

import threading
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from functions.health.app import create_app
from functions.health.health import Check, Down, Health
from functions.shared.logs import get_logger
from tests.events import http_event, json_of

OK = {"status": "ok"}


def make_health(checks: Mapping[str, Check], timeout_s: float = 2) -> Health:
    return Health(checks, get_logger("tests"), timeout_s)


def ask(path: str, checks: Mapping[str, Check], method: str = "GET", timeout_s: float = 2) -> dict[str, Any]:
    health = make_health(checks, timeout_s)
    answer: dict[str, Any] = create_app(lambda: health)(http_event(method, path), None)
    return answer


def down() -> None:
    raise ConnectionRefusedError("10.0.0.7:5432")


@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_healthz_is_well_while_every_server_is_down(method: str):
    """It says that the function can be called; starting it again would not bring a server back."""
    answer = ask("/healthz", {"postgres": down}, method)

    assert (answer["statusCode"], json_of(answer)) == (200, OK)


@pytest.mark.parametrize(("check", "status"), [(lambda: None, 200), (down, 503)])
@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_readyz_tells_by_its_status_whether_all_is_well(method: str, check: Check, status: int):
    """Load balancers look at nothing else. And no cache may answer in our place."""
    answer = ask("/readyz", {"postgres": check}, method)

    assert answer["statusCode"] == status
    assert answer["headers"]["Cache-Control"] == "no-store"
    assert ("Retry-After" in answer["headers"]) is (status == 503)


def test_readyz_says_plainly_what_is_down():
    """Each server by name, with the driver's own words kept for the log."""

    def queue() -> None:
        raise Down("the queue video_conversion_queue is missing")

    stop = threading.Event()
    checks = {"postgres": down, "mongodb": lambda: None, "rabbitmq": queue, "slow": lambda: stop.wait(5)}
    try:
        answer = ask("/readyz", checks, timeout_s=0.1)
    finally:
        stop.set()

    assert answer["statusCode"] == 503
    assert json_of(answer) == {
        "status": "unavailable",
        "checks": {
            "postgres": "down: does not answer",
            "mongodb": "ok",
            "rabbitmq": "down: the queue video_conversion_queue is missing",
            "slow": "down: no answer within 0.1 s",
        },
    }


def test_readyz_asks_all_servers_at_the_same_time():
    """Three servers that hang must not take three times as long."""
    together = threading.Barrier(3, timeout=2)

    answer = ask("/readyz", dict.fromkeys(("postgres", "mongodb", "rabbitmq"), together.wait))

    assert json_of(answer)["status"] == "ok"


def test_a_server_that_hangs_takes_no_time_from_the_others():
    """An operator has to see in the answer which server to repair."""
    stop = threading.Event()
    checks = {"postgres": lambda: stop.wait(5), "rabbitmq": lambda: time.sleep(0.4)}
    try:
        looks = [json_of(ask("/readyz", checks, timeout_s=0.5))["checks"] for _ in range(2)]
    finally:
        stop.set()

    assert looks == [{"postgres": "down: no answer within 0.5 s", "rabbitmq": "ok"}] * 2


def test_many_who_ask_at_once_share_one_look():
    """Anybody may ask for /readyz; a connection to each server for each who asks would use them up."""
    looks: list[int] = []
    all_have_asked = threading.Event()

    def check() -> None:
        looks.append(1)
        all_have_asked.wait(5)

    health = make_health({"postgres": check})

    with ThreadPoolExecutor(20) as people:
        asked = [people.submit(health.look) for _ in range(20)]
        while people._work_queue.qsize():
            time.sleep(0.01)
        all_have_asked.set()
        found = [each.result() for each in asked]

    assert found == [{"postgres": "ok"}] * 20
    assert len(looks) == 1


def test_a_check_that_hangs_is_not_begun_again_until_it_has_ended():
    """In an outage of hours each look would leave a thread behind; and nobody waits for it a second time."""
    looks: list[int] = []
    stop, ended = threading.Event(), threading.Event()

    def hang() -> None:
        looks.append(1)
        stop.wait(5)
        ended.set()

    health = make_health({"mongodb": hang}, timeout_s=0.1)
    first = health.look()
    started = time.monotonic()
    others = [health.look() for _ in range(5)]
    waited_s = time.monotonic() - started
    stop.set()
    assert ended.wait(5)
    deadline = time.monotonic() + 5
    while health.look() != {"mongodb": "ok"}:
        assert time.monotonic() < deadline, "it is down for ever"

    assert [first, *others] == [{"mongodb": "down: no answer within 0.1 s"}] * 6
    assert waited_s < 0.1
    assert len(looks) >= 2
