"""Signed download links: anyone who has one may fetch an MP3, or a ZIP of several, until it expires, with no login."""

import hashlib
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any, NamedTuple
from urllib.parse import urljoin

from itsdangerous import BadData, URLSafeSerializer
from itsdangerous.encoding import base64_decode, base64_encode

from functions.shared.clock import Clock
from functions.shared.problems import Problem
from functions.shared.settings import InvalidSettings


class InvalidLink(Problem):
    """Raised when a link was altered, has expired, or was never ours."""

    code = "invalid-link"

    def __init__(self) -> None:
        super().__init__("The link was changed or has expired. Log in, or ask for a new one.")


class Link(NamedTuple):
    """A link and the moment it stops working. `page_url` leads to the same on the page: a player, and a button."""

    url: str
    expires_at: datetime
    page_url: str = ""


def link_keys(text: str) -> tuple[str, ...]:
    """Return the secrets in LINK_KEYS, `secret1,secret2`, the one that signs first. Raises InvalidSettings."""
    keys = tuple(key for part in text.split(",") if (key := part.strip()))
    if not keys:
        # An empty secret would let anybody sign.
        raise InvalidSettings("The environment variable LINK_KEYS cannot be used: it holds no secret.")
    return keys


class Links:
    """Makes and reads links, which are signed with HMAC-SHA-256 and kept nowhere.

    `keys` are the secrets, the one that signs first; a link signed with any of them is read, so a key can
    be rotated. `public_url` is where people reach this service.
    """

    def __init__(self, keys: tuple[str, ...], public_url: str, clock: Clock) -> None:
        self._one = _serializer(keys, "video2mp3.download")
        # With a salt of its own, so that neither token is taken for the other.
        self._several = _serializer(keys, "video2mp3.download.zip")
        self._public_url = public_url.rstrip("/") + "/"
        self._clock = clock

    def make(self, conversion_id: str, ttl: timedelta) -> Link:
        """Return a link to the MP3 of a conversion that works for `ttl`, cut to whole seconds."""
        link = self._make(self._one, "v1/downloads", conversion_id, ttl)
        return link._replace(page_url=urljoin(self._public_url, f"#/link/{link.url.rpartition('/')[2]}"))

    def make_zip(self, conversion_ids: Sequence[str], ttl: timedelta) -> Link:
        """Return a link to a ZIP of the MP3s of conversions that works for `ttl`, cut to whole seconds."""
        return self._make(self._several, "v1/downloads/zip", [*conversion_ids], ttl)

    def read(self, token: str) -> str:
        """Return the conversion's id that a link's token names. Raises InvalidLink."""
        return str(self._read(self._one, token))

    def read_zip(self, token: str) -> list[str]:
        """Return the ids of the conversions whose MP3s a link's ZIP holds. Raises InvalidLink."""
        return [str(conversion_id) for conversion_id in self._read(self._several, token)]

    def _make(self, serializer: URLSafeSerializer, path: str, what: object, ttl: timedelta) -> Link:
        expires_at = (self._clock() + ttl).replace(microsecond=0)
        token = serializer.dumps([what, int(expires_at.timestamp())])
        return Link(urljoin(self._public_url, f"{path}/{token}"), expires_at)

    def _read(self, serializer: URLSafeSerializer, token: str) -> Any:
        try:
            what, expires = serializer.loads(token)
        except (BadData, UnicodeEncodeError) as error:
            raise InvalidLink from error
        if not _is_canonical(token) or self._clock().timestamp() >= expires:
            raise InvalidLink
        return what


def _serializer(keys: Sequence[str], salt: str) -> URLSafeSerializer:
    # itsdangerous wants the newest key last.
    return URLSafeSerializer(list(reversed(keys)), salt=salt, signer_kwargs={"digest_method": hashlib.sha256})


def _is_canonical(token: str) -> bool:
    # A signature with `=` appended, or other padding bits in its last character, decodes to the same bytes.
    signature = token.rpartition(".")[2].encode()
    return base64_encode(base64_decode(signature)) == signature
