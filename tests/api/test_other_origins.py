"""A page of another origin, whose scripts may use the API like any program: with a token, and with nothing else."""

import httpx
import pytest

from tests.api.services import ORIGIN, Service


def asks(service: Service, method: str, path: str, **headers: str) -> httpx.Response:
    named = {name.replace("_", "-"): headers[name] for name in headers}
    return httpx.request(method, f"{service.url}{path}", headers={"Origin": ORIGIN, **named}, timeout=60)


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/v1/auth/login"),
        ("GET", "/v1/auth/me"),
        ("POST", "/v1/conversions"),
        ("DELETE", f"/v1/conversions/{'0' * 32}"),
        ("POST", "/v1/uploads"),
        ("PATCH", f"/v1/uploads/{'0' * 32}"),
        ("GET", "/v1/downloads/x"),
    ],
)
def test_a_browser_that_asks_first_may_send_the_request(service: Service, method: str, path: str) -> None:
    """It asks without a token, for every request that a plain form could not make."""
    answer = asks(
        service,
        "OPTIONS",
        path,
        Access_Control_Request_Method=method,
        Access_Control_Request_Headers="authorization,content-type,tus-resumable,upload-offset",
    )

    assert answer.status_code == 204
    assert answer.headers["access-control-allow-origin"] == ORIGIN
    assert method in answer.headers["access-control-allow-methods"].split(", ")
    # The star does not stand for this one.
    assert "Authorization" in answer.headers["access-control-allow-headers"].split(", ")


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/v1/conversions", 401),
        ("POST", "/v1/auth/login", 400),
        ("GET", "/v1/downloads/x", 403),
        ("GET", "/nowhere", 404),
    ],
)
def test_a_page_can_read_every_answer_and_brings_no_cookies(
    service: Service, method: str, path: str, status: int
) -> None:
    """Refusals too, or a script could not tell what is wrong. What a browser knows of a person it does not send."""
    answer = asks(service, method, path)

    assert answer.status_code == status
    assert answer.headers.get_list("access-control-allow-origin") == [ORIGIN]
    assert answer.headers["access-control-expose-headers"] == "*"
    assert "access-control-allow-credentials" not in answer.headers
    assert "set-cookie" not in answer.headers
