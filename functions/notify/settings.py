"""What notify is told by its environment."""

from email.headerregistry import Address
from email.message import EmailMessage
from enum import StrEnum

import msgspec

from functions.notify.smtp_mail import InvalidSmtpUrl, SmtpServer
from functions.shared.settings import InvalidSettings


class Transport(StrEnum):
    """How e-mail leaves."""

    CONSOLE = "console"
    SMTP = "smtp"
    SES = "ses"


class Settings(msgspec.Struct, frozen=True):
    """See functions.shared.settings. The properties raise InvalidSettings when a value cannot be used."""

    mongodb_url: str
    link_keys: str
    public_url: str = "http://127.0.0.1:8080"
    mail_transport: Transport = Transport.CONSOLE
    mail_from: str | None = None
    smtp_url: str | None = None
    outbox_dir: str = ".local/outbox"

    @property
    def sender(self) -> Address:
        """MAIL_FROM, which only the console does without."""
        if self.mail_from is None and self.mail_transport is not Transport.CONSOLE:
            raise InvalidSettings(
                f"The environment variable MAIL_FROM is not set, and MAIL_TRANSPORT={self.mail_transport} needs it."
            )
        return _address(self.mail_from or "video2mp3 <video2mp3@localhost>")

    @property
    def smtp_server(self) -> SmtpServer:
        """SMTP_URL, which MAIL_TRANSPORT=smtp needs."""
        if self.smtp_url is None:
            raise InvalidSettings("The environment variable SMTP_URL is not set, and MAIL_TRANSPORT=smtp needs it.")
        try:
            return SmtpServer.from_url(self.smtp_url)
        except InvalidSmtpUrl as error:
            raise InvalidSettings(f"The environment variable SMTP_URL cannot be used: {error}.") from error


def _address(text: str) -> Address:
    letter = EmailMessage()
    try:
        letter["From"] = text
    except ValueError as error:
        raise _not_an_address(text) from error
    header = letter["From"]
    if header.defects or len(header.addresses) != 1 or not header.addresses[0].domain:
        raise _not_an_address(text)
    address: Address = header.addresses[0]
    return address


def _not_an_address(text: str) -> InvalidSettings:
    return InvalidSettings(
        f"The environment variable MAIL_FROM cannot be used: {text!r} is not like Name <name@example.org>."
    )
