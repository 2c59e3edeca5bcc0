"""How every refusal looks."""

from typing import Any

import httpx


def problem(answer: httpx.Response) -> tuple[int, str]:
    """Return the status and the code of a problem, after a look at the rest of it (RFC 9457)."""
    assert answer.headers["content-type"] == "application/problem+json", answer.text
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["cache-control"] == "no-store"
    assert answer.headers["x-request-id"]
    assert "Traceback" not in answer.text
    body: dict[str, Any] = answer.json()
    assert body["status"] == answer.status_code
    assert body["title"]
    assert body["detail"]
    return answer.status_code, body["type"].removeprefix("/problems/")
