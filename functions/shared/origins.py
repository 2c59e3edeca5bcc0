"""What lets scripts in pages of another origin call the API.

https://fetch.spec.whatwg.org/#http-cors-protocol
"""

from typing import Annotated

import msgspec

# Like https://page.example.org. A star means every page, and nothing means none but those of the API's own origin.
Origin = Annotated[str, msgspec.Meta(pattern=r"^(\*|https?://[^/\s']+)?$")]


def origin_headers(origin: str, *, preflight: bool = False) -> dict[str, str]:
    """Return what an answer says for pages of `origin`; `preflight` is whether it is one to OPTIONS.

    Nothing in it depends on the page that asks: a browser compares by itself.
    """
    if not origin:
        return {}
    headers = {"Access-Control-Allow-Origin": origin, "Access-Control-Expose-Headers": "*"}
    if preflight:
        headers |= {
            "Access-Control-Allow-Methods": "DELETE, GET, HEAD, PATCH, POST",
            # The star does not stand for Authorization.
            "Access-Control-Allow-Headers": "Authorization, *",
            "Access-Control-Max-Age": "7200",
        }
    return headers
