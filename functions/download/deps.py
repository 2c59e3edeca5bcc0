"""What the rules of download work with."""

from collections.abc import Callable
from dataclasses import dataclass

from aws_lambda_powertools import Logger

from functions.download.copies import Copies
from functions.download.library import Library
from functions.shared.clock import Clock
from functions.shared.events import Events, Outbox
from functions.shared.files import Files
from functions.shared.links import Links


@dataclass(frozen=True)
class Deps:
    """What download needs. Without `copies`, the caller of the function sends large MP3s and ZIPs in its place."""

    library: Library
    videos: Files
    mp3s: Files
    copies: Copies | None
    events: Events
    outbox: Outbox
    links: Links
    clock: Clock
    new_id: Callable[[], str]
    logger: Logger
