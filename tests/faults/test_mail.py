"""A letter of which nobody knows whether it left."""

import contextlib
import email
import email.policy
from collections.abc import Iterator
from dataclasses import dataclass, field
from email.message import EmailMessage
from typing import Any

import pytest
from aiosmtpd.controller import Controller

from functions.shared.conversions import Video
from functions.shared.files import GridFSFiles
from functions.shared.mongo_conversions import MongoConversions
from infra.local.processes import free_port
from tests.conversions import conversion, event
from tests.faults.conftest import Observed
from tests.faults.parts import Parts
from tests.media import Media
from tests.tus import until


@dataclass
class MailServer:
    """Takes letters, and is lost after each of the first `lost` of them, before it could say that it has them."""

    lost: int
    port: int = field(default_factory=free_port)
    received: list[EmailMessage] = field(default_factory=list)

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:  # noqa: N802
        """Called by aiosmtpd when all of a letter has come."""
        message = email.message_from_bytes(envelope.content, policy=email.policy.default)
        assert isinstance(message, EmailMessage)
        self.received.append(message)
        if len(self.received) <= self.lost:
            server.transport.abort()
        return "250 OK"

    @contextlib.contextmanager
    def running(self) -> Iterator[None]:
        """Serve inside the block."""
        controller = Controller(self, hostname="127.0.0.1", port=self.port)
        controller.start()
        try:
            yield
        finally:
            controller.stop()

    @property
    def environ(self) -> dict[str, str]:
        """What notify is told."""
        return {
            "MAIL_TRANSPORT": "smtp",
            "MAIL_FROM": "video2mp3 <video2mp3@example.org>",
            "SMTP_URL": f"smtp://127.0.0.1:{self.port}",
        }


@pytest.mark.row(23)
def test_a_letter_whose_receipt_was_lost_is_sent_once_more(parts: Parts, media: Media, observed: Observed) -> None:
    """It may have left or not. Programs that read e-mail know the second by its Message-ID, and can hide it."""
    stored = GridFSFiles(parts.database, "videos").put("c1", [media.video("mkv", 1).read_bytes()])
    new = conversion("c1", video=Video(stored.bytes, stored.sha256))
    MongoConversions(parts.database).add(new, [event(conversion_id="c1")])
    server = MailServer(lost=1)

    with server.running():
        parts.triggers("convert")
        notify = parts.triggers("notify", environ=server.environ)
        parts.sweep()
        told = {"_id": "c1", "notices.outcome": "sent", "untold": {"$exists": False}}
        document = until(lambda: parts.database.conversions.find_one(told), within_s=60)
        # What is told may be announced again at any time, and then nobody is told.
        parts.database.conversions.update_one(
            {"_id": "c1"}, {"$push": {"pending_events": _outcome(document, new.updated_at)}}
        )
        parts.sweep()
        until(lambda: notify.said("it was told before"))

    ids = [message["Message-ID"] for message in server.received]
    assert (len(ids), len(set(ids))) == (2, 1)
    assert (document["state"], document["attempts"]) == ("completed", 1)
    assert len(document["notices"]) == 1
    assert notify.said("message failed, comes again") == 1
    observed(f"{len(ids)} letters with {len(set(ids))} Message-ID, {document['state']}, told again: no more")


def _outcome(document: dict[str, Any], occurred_at: object) -> dict[str, Any]:
    [notice] = document["notices"]
    name = "conversion.completed"
    return {"id": notice["event_id"], "event": name, "conversion_id": "c1", "occurred_at": occurred_at}
