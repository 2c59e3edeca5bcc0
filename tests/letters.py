"""E-mails that a service has sent, read where they lie."""

import email
import email.policy
import re
from email.message import EmailMessage
from pathlib import Path
from typing import NamedTuple

import httpx

_LINK = re.compile(r"https?://\S+/v1/downloads/\S+")


class Letter(NamedTuple):
    """What a person reads."""

    subject: str
    text: str

    @property
    def link(self) -> str:
        """The link to the MP3."""
        found = _LINK.search(self.text)
        assert found, self.text
        return found[0]


def in_outbox(folder: Path, address: str) -> list[Letter]:
    """Return those to this address in a folder of .eml files."""
    read = (email.message_from_bytes(path.read_bytes(), policy=email.policy.default) for path in folder.glob("*.eml"))
    return [_letter(each) for each in read if isinstance(each, EmailMessage) and each["To"] == address]


def in_ministack(url: str, address: str) -> list[Letter]:
    """Return those to this address that ministack's SES took."""
    accounts = httpx.get(f"{url}/_ministack/ses/messages").raise_for_status().json()["messages"]
    sent = [message for messages in accounts.values() for message in messages]
    return [Letter(message["Subject"], message["BodyText"]) for message in sent if message["To"] == [address]]


def _letter(message: EmailMessage) -> Letter:
    body = message.get_body(preferencelist=("plain",))
    assert body is not None
    return Letter(str(message["Subject"]), str(body.get_content()))
