"""/healthz and /readyz."""

import asyncio
import threading
import time

from functions.shared.logs import get_logger
from infra.gateway.health import Down, Health
from tests.fakes.gateway import FakeFunctions, make_gateway, send


def test_healthz_is_well_while_every_server_is_down():
    """It says that this process lives; restarting it would not bring a server back."""

    def down() -> None:
        raise OSError

    answer = send(make_gateway(FakeFunctions(), checks={"postgres": down}), "GET", "/healthz")

    assert (answer.status_code, answer.json()) == (200, {"status": "ok"})


def test_readyz_says_plainly_what_is_down():
    """Each server by name, with the driver's own words kept for the log."""

    def refused() -> None:
        raise ConnectionRefusedError("10.0.0.7:5432")

    def queue() -> None:
        raise Down("the queue video_conversion_queue is missing")

    stop = threading.Event()
    checks = {"postgres": refused, "mongodb": lambda: None, "rabbitmq": queue, "slow": lambda: stop.wait(5)}
    try:
        answer = send(make_gateway(FakeFunctions(), checks=checks, check_timeout_s=0.1), "GET", "/readyz")
    finally:
        stop.set()

    assert answer.status_code == 503
    assert answer.json() == {
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

    def meet() -> None:
        together.wait()

    checks = dict.fromkeys(("postgres", "mongodb", "rabbitmq"), meet)

    answer = send(make_gateway(FakeFunctions(), checks=checks), "GET", "/readyz")

    assert (answer.status_code, answer.json()["status"]) == (200, "ok")


def test_many_who_ask_at_once_share_one_look():
    """Anybody may ask for /readyz; a connection to each server for each who asks would use them up."""
    looks = []

    def check() -> None:
        looks.append(1)
        time.sleep(0.2)

    health = Health({"postgres": check}, get_logger("tests"))

    async def ask() -> list[dict[str, str]]:
        return list(await asyncio.gather(*(health.look() for _ in range(20))))

    assert asyncio.run(ask()) == [{"postgres": "ok"}] * 20
    assert len(looks) == 1
