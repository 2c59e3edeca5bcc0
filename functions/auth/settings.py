"""Settings of auth and of the authorizer."""

import os

import msgspec

from functions.shared.http import HttpSettings
from functions.shared.settings import Positive


def _cores() -> int:
    return os.cpu_count() or 1


class Settings(HttpSettings, frozen=True, kw_only=True):
    """What the environment says.

    `jwt_keys` is `kid1=secret1,kid2=secret2`: the first signs, all verify. `hashes_at_once` is how many
    passwords one process hashes at the same time; each takes one core and 19 MiB.
    """

    postgres_url: str
    jwt_keys: str
    access_ttl_s: Positive = 15 * 60
    refresh_ttl_s: Positive = 30 * 24 * 60 * 60
    hashes_at_once: Positive = msgspec.field(default_factory=_cores)
