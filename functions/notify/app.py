"""notify, as Lambda calls it with messages of conversion_notification_queue."""

import ssl
import uuid
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

from aws_lambda_powertools import Logger

from functions.notify.console_mail import ConsoleMail
from functions.notify.letters import Letters
from functions.notify.mailers import Mailers
from functions.notify.mongo_notices import MongoNotices
from functions.notify.notify import Deps, notify
from functions.notify.ses_mail import SesMail, connect_ses
from functions.notify.settings import Settings, Transport
from functions.notify.smtp_mail import SmtpMail
from functions.shared.clock import utc_now
from functions.shared.environment import environment
from functions.shared.events import EventName
from functions.shared.links import Links, link_keys
from functions.shared.logs import get_logger, log_keys
from functions.shared.metrics import connect_metrics, flushing
from functions.shared.mongo import connect_mongo
from functions.shared.mongo_conversions import MongoConversions
from functions.shared.once import once
from functions.shared.rmq import events_in
from functions.shared.settings import from_env

# For so long nobody else sends a letter whose sender has died. It is longer than a letter takes to leave: Lambda ends a
# call after 60 s (template.yaml), and SES is given up after 50 s. Outside Lambda an SMTP server can outlast it that
# takes almost 10 s for each of its dozen answers; then the letter may leave twice, with the same Message-ID.
NOTICE_LEASE = timedelta(minutes=2)


def create_handler(deps: Callable[[], Deps]) -> Callable[[dict[str, Any], Any], None]:
    """Return the handler. If it raises, all messages of its event must come back; what was told is not told again."""

    def handler(event: dict[str, Any], context: Any) -> None:
        for happened in events_in(event, EventName.CONVERSION_COMPLETED, EventName.CONVERSION_FAILED):
            keys = {"request_id": context.aws_request_id, "conversion_id": happened.conversion_id}
            with log_keys(deps().logger, **keys):
                notify(happened, deps())

    return flushing(handler)


def connect() -> Deps:
    """Make the clients that the environment asks for. Raises InvalidSettings."""
    logger = get_logger("notify")
    settings = from_env(Settings, environment())
    letters = Letters(settings.sender, Links(link_keys(settings.link_keys), settings.public_url, utc_now), utc_now)
    mailers = _connect_mailers(settings, logger)
    database = connect_mongo(settings.mongodb_url)
    return Deps(
        conversions=MongoConversions(database),
        notices=MongoNotices(database, NOTICE_LEASE, lambda: str(uuid.uuid4())),
        letters=letters,
        mailers=mailers,
        logger=logger,
        metrics=connect_metrics("notify"),
    )


def _connect_mailers(settings: Settings, logger: Logger) -> Mailers:
    match settings.mail_transport:
        case Transport.CONSOLE:
            return ConsoleMail(Path(settings.outbox_dir), utc_now, logger)
        case Transport.SMTP:
            return SmtpMail(settings.smtp_server, ssl.create_default_context())
        case Transport.SES:
            return SesMail(connect_ses())


handler = create_handler(once(connect))
