"""The rule: who is told of what, and what happens when the e-mail does not leave."""

from dataclasses import dataclass

from aws_lambda_powertools import Logger

from functions.notify.letters import Letters
from functions.notify.mailers import Mailers, MailNotSent, Undeliverable
from functions.notify.notices import NoticeHeld, Notices, Outcome
from functions.shared.conversions import ConversionMissing, Conversions
from functions.shared.events import Event
from functions.shared.metrics import EMAILS, NO_METRICS, Metrics


@dataclass(frozen=True)
class Deps:
    """What notify works with."""

    conversions: Conversions
    notices: Notices
    letters: Letters
    mailers: Mailers
    logger: Logger
    metrics: Metrics = NO_METRICS


def notify(event: Event, deps: Deps) -> None:
    """Tell the owner of a conversion that it was completed or has failed, once for each event.

    Nobody is told of a conversion that was deleted or has moved on, or of an event told already. An e-mail that
    will never be delivered counts as told.

    Nor does anything happen while another tells of it. If that one has died, sweep brings the event again: a message
    that came back until then would keep those behind it waiting.

    Raises:
        MailNotSent, Unavailable: try again later. Between sending and noting it there is a moment in which dying means
            that it is sent again, with the same Message-ID.
    """
    about = {"conversion_id": event.conversion_id, "event_id": event.id, "event": event.event}
    try:
        letter = deps.letters.write(event, deps.conversions.get(event.conversion_id))
        if letter is None:
            deps.logger.info("nobody told: the conversion has moved on", extra=about)
            return
        claim = deps.notices.claim(event)
    except ConversionMissing:
        deps.logger.info("nobody told: the conversion was deleted", extra=about)
        return
    except NoticeHeld:
        deps.logger.info("nobody told: another is about it, or died over it a moment ago", extra=about)
        return
    if claim is None:
        deps.logger.info("nobody told: it was told before", extra=about)
        return
    try:
        deps.mailers.send(letter)
    except Undeliverable as error:
        deps.metrics.count(EMAILS, outcome="undeliverable")
        deps.notices.settle(event, Outcome.UNDELIVERABLE)
        deps.logger.warning("undeliverable", extra={**about, "reason": str(error)})
    except MailNotSent:
        deps.metrics.count(EMAILS, outcome="not sent")
        deps.notices.release(event, claim)
        raise
    else:
        deps.metrics.count(EMAILS, outcome="sent")
        deps.notices.settle(event, Outcome.SENT)
        deps.logger.info("told", extra={**about, "message_id": letter["Message-ID"]})
