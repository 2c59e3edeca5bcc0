"""What the rules of upload work with."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta

from aws_lambda_powertools import Logger

from functions.shared.clock import Clock
from functions.shared.conversions import Conversions
from functions.shared.events import Events, Outbox
from functions.shared.files import Files
from functions.shared.metrics import NO_METRICS, Metrics
from functions.upload.keys import IdempotencyKeys
from functions.upload.uploads import Slices, Uploads, Usage


@dataclass(frozen=True)
class Limits:
    """How large one video may be, how much one person may store, and for how long.

    An upload may wait for its next bytes for `upload_idle`. A conversion is kept for `retention_days` after its end.
    """

    max_upload_bytes: int
    quota_bytes: int
    upload_idle: timedelta
    retention_days: int = 30


@dataclass(frozen=True)
class Deps:
    """What upload needs."""

    conversions: Conversions
    videos: Files
    uploads: Uploads
    slices: Slices
    usage: Usage
    keys: IdempotencyKeys
    events: Events
    outbox: Outbox
    limits: Limits
    clock: Clock
    new_id: Callable[[], str]
    logger: Logger
    metrics: Metrics = NO_METRICS
