"""notify, called as Lambda calls it: with a message of conversion_notification_queue."""

import io
import itertools
import json
import uuid
from dataclasses import dataclass
from datetime import timedelta
from types import SimpleNamespace
from typing import Any

import pytest
from aws_lambda_powertools import Logger

from functions.notify import app
from functions.notify.letters import Letters
from functions.notify.mailers import MailNotSent, Undeliverable
from functions.notify.notify import Deps
from functions.notify.ses_mail import connect_ses
from functions.notify.settings import Settings
from functions.shared.conversions import Conversion, Owner, State
from functions.shared.events import Event, EventName
from functions.shared.links import Links
from functions.shared.rmq import MalformedMessage
from functions.shared.settings import InvalidSettings
from infra.template import load_template
from tests.conversions import NOW, conversion
from tests.ended_conversions import COMPLETED, FAILED
from tests.fakes.notify import FakeMailers, FakeNotices
from tests.fakes.shared import FakeClock, FakeConversions, FakeDatabase
from tests.rmq_events import rmq_event

QUEUE = "conversion_notification_queue"
CONTEXT = SimpleNamespace(aws_request_id="request-1")


@dataclass
class World:
    """What notify works with, in memory."""

    database: FakeDatabase
    clock: FakeClock
    mailers: FakeMailers
    notices: FakeNotices
    deps: Deps
    log: io.StringIO

    def holds(self, conversion: Conversion) -> None:
        self.deps.conversions.add(conversion, [])

    def handler(self, event: dict[str, Any]) -> None:
        app.create_handler(lambda: self.deps)(event, CONTEXT)

    def logged(self, message: str) -> dict[str, Any]:
        lines = [json.loads(line) for line in self.log.getvalue().splitlines()]
        [line] = [line for line in lines if line["message"] == message]
        found: dict[str, Any] = line
        return found


@pytest.fixture
def world() -> World:
    database, clock, mailers = FakeDatabase(), FakeClock(NOW), FakeMailers()
    ids = itertools.count()
    notices = FakeNotices(database, app.NOTICE_LEASE, clock, lambda: f"claim-{next(ids)}")
    letters = Letters(
        Settings(mongodb_url="-", link_keys="-", mail_from="video2mp3 <mail@example.org>").sender,
        Links(("secret",), "http://127.0.0.1:8080", clock),
        clock,
    )
    log = io.StringIO()
    # Loggers of the same name share where they write to.
    logger = Logger(service=f"notify-{uuid.uuid4()}", stream=log)
    deps = Deps(FakeConversions(database), notices, letters, mailers, logger)
    return World(database, clock, mailers, notices, deps, log)


def test_a_completed_conversion_sends_its_owner_a_link(world):
    """This is how a person learns that the MP3 is there."""
    world.holds(COMPLETED)

    world.handler(rmq_event(QUEUE, completed()))

    [letter] = world.mailers.sent
    assert letter["To"] == "ann@example.com"
    assert letter["Subject"] == "Your MP3 is ready: holiday.mp4"
    assert "http://127.0.0.1:8080/v1/downloads/" in text_of(letter)


def test_a_failed_conversion_sends_its_owner_the_reason(world):
    """Nobody should have to ask why there is no MP3."""
    world.holds(FAILED)

    world.handler(rmq_event(QUEUE, failed()))

    [letter] = world.mailers.sent
    assert letter["Subject"] == "Your video could not be converted: holiday.mp4"
    assert "no soundtrack" in text_of(letter)


def test_told_twice_it_sends_once(world):
    """RabbitMQ delivers at least once, and nobody wants the same e-mail twice."""
    world.holds(COMPLETED)

    world.handler(rmq_event(QUEUE, completed()))
    world.handler(rmq_event(QUEUE, completed(), redelivered=True))

    assert len(world.mailers.sent) == 1


def test_several_messages_in_one_event_are_several_letters(world):
    """Lambda may hand over a batch."""
    world.holds(COMPLETED)
    world.holds(conversion("c2", state=State.FAILED, error=FAILED.error))

    world.handler(rmq_event(QUEUE, completed(), failed("e2", "c2")))

    assert [letter["Message-ID"] for letter in world.mailers.sent] == ["<e1@example.org>", "<e2@example.org>"]


def test_a_letter_that_did_not_leave_is_tried_again(world):
    """The message comes back when the handler raises, and then the letter must not be held back."""
    world.holds(COMPLETED)
    world.mailers.error = MailNotSent("The mail server is down.")
    with pytest.raises(MailNotSent):
        world.handler(rmq_event(QUEUE, completed()))

    world.mailers.error = None
    world.handler(rmq_event(QUEUE, completed(), redelivered=True))

    assert len(world.mailers.sent) == 1


def test_a_batch_whose_second_letter_fails_does_not_repeat_the_first(world):
    """All messages of an event come back together."""
    world.holds(COMPLETED)
    world.holds(conversion("c2", state=State.COMPLETED, mp3=COMPLETED.mp3))
    world.handler(rmq_event(QUEUE, completed("e1", "c1")))
    world.mailers.error = MailNotSent("The mail server is down.")
    with pytest.raises(MailNotSent):
        world.handler(rmq_event(QUEUE, completed("e1", "c1"), completed("e2", "c2")))

    world.mailers.error = None
    world.handler(rmq_event(QUEUE, completed("e1", "c1"), completed("e2", "c2"), redelivered=True))

    assert [letter["Message-ID"] for letter in world.mailers.sent] == ["<e1@example.org>", "<e2@example.org>"]


def test_a_letter_to_nobody_is_logged_and_not_tried_for_ever(world):
    """An address that does not exist must not block the queue."""
    world.holds(COMPLETED)
    world.mailers.error = Undeliverable("550 No such mailbox")

    world.handler(rmq_event(QUEUE, completed()))
    world.mailers.error = None
    world.handler(rmq_event(QUEUE, completed(), redelivered=True))

    assert world.mailers.sent == []
    assert world.logged("undeliverable")["reason"] == "550 No such mailbox"


def test_a_letter_to_an_address_that_could_be_read_as_another_is_sent_to_nobody(world):
    """The account is older than the rule for addresses. Its message must not come back for ever, either."""
    world.holds(
        conversion(owner=Owner("u1", "=?utf-8?q?v=40victim.com=2C?=@b.de"), state=State.FAILED, error=FAILED.error)
    )

    world.handler(rmq_event(QUEUE, failed()))
    world.handler(rmq_event(QUEUE, failed(), redelivered=True))

    assert world.mailers.sent == []
    assert "one address" in world.logged("undeliverable")["reason"]
    assert world.logged("nobody told: it was told before")


def test_what_another_is_sending_is_left_to_him(world):
    """If he has died, sweep brings it again. A message that came back until then would hold up those behind it."""
    world.holds(COMPLETED)
    world.notices.claim(completed())

    world.handler(rmq_event(QUEUE, completed(), redelivered=True))

    assert world.mailers.sent == []
    assert world.logged("nobody told: another is about it, or died over it a moment ago")


def test_what_another_died_over_is_sent_after_its_lease(world):
    """A worker that was killed between claiming and sending must not cost a person the e-mail."""
    world.holds(COMPLETED)
    world.notices.claim(completed())
    world.clock.advance(seconds=app.NOTICE_LEASE.total_seconds() + 1)

    world.handler(rmq_event(QUEUE, completed(), redelivered=True))

    assert len(world.mailers.sent) == 1


def test_a_claim_outlasts_whoever_may_still_be_sending(monkeypatch):
    """Lambda ends a call at its Timeout and SES is given up; only after that may another send the letter."""
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-central-1")
    ses: Any = connect_ses().meta.config
    longest_by_ses_s = ses.retries["total_max_attempts"] * (ses.connect_timeout + ses.read_timeout)

    assert timedelta(seconds=load_template().functions["NotifyFunction"].timeout_s) < app.NOTICE_LEASE
    assert timedelta(seconds=longest_by_ses_s) < app.NOTICE_LEASE


@pytest.mark.parametrize(
    "now", [State.QUEUED, State.CONVERTING, State.CANCELLED, State.COMPLETED], ids=lambda state: state.value
)
def test_a_failure_that_is_overtaken_tells_nobody(world, now):
    """Between failure and message the owner may have tried again; the letter would be wrong by now."""
    world.holds(conversion(state=now, mp3=COMPLETED.mp3, error=FAILED.error))

    world.handler(rmq_event(QUEUE, failed()))

    assert world.mailers.sent == []
    assert world.logged("nobody told: the conversion has moved on")["conversion_id"] == "c1"


@pytest.mark.parametrize("deleted", [True, False])
def test_a_conversion_that_is_gone_tells_nobody(world, deleted):
    """Whoever deletes a conversion does not want to hear of it, and a link to it would lead nowhere."""
    if deleted:
        world.holds(COMPLETED)
        world.database.records["c1"].deleted = True

    world.handler(rmq_event(QUEUE, completed()))

    assert world.mailers.sent == []
    assert world.logged("nobody told: the conversion was deleted")["conversion_id"] == "c1"


def test_an_event_that_is_none_of_ours_tells_nobody(world):
    """A wrong binding must not send wrong letters."""
    world.holds(COMPLETED)

    with pytest.raises(MalformedMessage):
        world.handler(rmq_event(QUEUE, Event("e1", EventName.VIDEO_UPLOADED, "c1", NOW)))

    assert world.mailers.sent == []


def test_a_message_that_cannot_be_read_is_refused(world):
    """It belongs among the dead letters, where somebody looks at it."""
    event = rmq_event(QUEUE, completed())
    event["rmqMessagesByQueue"][f"{QUEUE}::/"][0]["data"] = "bm90IEpTT04="

    with pytest.raises(MalformedMessage):
        world.handler(event)


def test_the_log_tells_what_was_sent_but_not_the_link(world):
    """One line connects request, conversion, event and e-mail; whoever reads it must not get the MP3."""
    world.holds(COMPLETED)

    world.handler(rmq_event(QUEUE, completed()))

    line = world.logged("told")
    assert (line["request_id"], line["conversion_id"], line["event_id"]) == ("request-1", "c1", "e1")
    assert line["message_id"] == "<e1@example.org>"
    assert "/v1/downloads/" not in world.log.getvalue()


def test_without_settings_the_first_call_says_which_is_missing(monkeypatch):
    """Importing the function must not fail; calling it must say what to do."""
    for name in ("MONGODB_URL", "LINK_KEYS", "MAIL_TRANSPORT", "MAIL_FROM", "SMTP_URL"):
        monkeypatch.delenv(name, raising=False)

    with pytest.raises(InvalidSettings, match="MONGODB_URL is not set"):
        app.handler(rmq_event(QUEUE, completed()), CONTEXT)


@pytest.mark.parametrize(
    ("environment", "complaint"),
    [
        ({"LINK_KEYS": " , "}, "LINK_KEYS cannot be used: it holds no secret"),
        ({"MAIL_TRANSPORT": "pigeon"}, "MAIL_TRANSPORT cannot be used"),
        ({"MAIL_TRANSPORT": "smtp"}, "MAIL_FROM is not set, and MAIL_TRANSPORT=smtp needs it"),
        ({"MAIL_TRANSPORT": "ses"}, "MAIL_FROM is not set, and MAIL_TRANSPORT=ses needs it"),
        ({"MAIL_TRANSPORT": "smtp", "MAIL_FROM": "a@example.org"}, "SMTP_URL is not set"),
        (
            {"MAIL_TRANSPORT": "smtp", "MAIL_FROM": "a@example.org", "SMTP_URL": "http://host"},
            "SMTP_URL cannot be used: it must begin with smtp:// or smtps://",
        ),
        ({"MAIL_FROM": "nobody"}, "MAIL_FROM cannot be used"),
        ({"MAIL_FROM": "a@example.org, b@example.org"}, "MAIL_FROM cannot be used"),
        ({"MAIL_FROM": "a@example.org\nBcc: all@example.org"}, "MAIL_FROM cannot be used"),
    ],
)
def test_a_wrong_setting_is_named_at_the_first_call(monkeypatch, environment, complaint):
    """Whoever runs this reads one line and knows which variable to correct."""
    for name in ("MAIL_TRANSPORT", "MAIL_FROM", "SMTP_URL"):
        monkeypatch.delenv(name, raising=False)
    for name, value in {"MONGODB_URL": "mongodb://127.0.0.1:1", "LINK_KEYS": "secret", **environment}.items():
        monkeypatch.setenv(name, value)

    with pytest.raises(InvalidSettings, match=complaint):
        app.connect()


def completed(event_id: str = "e1", conversion_id: str = "c1") -> Event:
    return Event(event_id, EventName.CONVERSION_COMPLETED, conversion_id, NOW)


def failed(event_id: str = "e1", conversion_id: str = "c1") -> Event:
    return Event(event_id, EventName.CONVERSION_FAILED, conversion_id, NOW)


def text_of(letter) -> str:
    content: str = letter.get_body(("plain",)).get_content()
    return content
