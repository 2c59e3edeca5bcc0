"""What a browser lets the page do, and lets others do with the page."""

from collections.abc import Mapping

_UNUSED = ("camera", "display-capture", "geolocation", "microphone", "midi", "payment", "serial", "usb")


def policies(media_origin: str = "") -> Mapping[str, str]:
    """Return the headers that say so. `media_origin` is where MP3s may come from besides the page's own origin.

    Browsers check redirects against the policy, too. So an origin to which players are redirected has to be named.
    """
    return {
        "Content-Security-Policy": "; ".join(
            (
                "default-src 'none'",
                "script-src 'self'",
                "style-src 'self'",
                "img-src 'self' data: blob:",
                f"media-src 'self' blob: {media_origin}".rstrip(),
                "connect-src 'self'",
                "font-src 'self'",
                "manifest-src 'self'",
                "worker-src 'self'",
                "base-uri 'none'",
                "form-action 'self'",
                "frame-ancestors 'none'",
            )
        ),
        "Cross-Origin-Opener-Policy": "same-origin",
        "Permissions-Policy": ", ".join(f"{feature}=()" for feature in _UNUSED),
        # The address of the page may contain the token of a download link.
        "Referrer-Policy": "no-referrer",
    }
