"""E-mail through an SMTP server."""

import contextlib
import smtplib
import ssl
from dataclasses import dataclass
from email.message import EmailMessage
from urllib.parse import parse_qsl, unquote, urlsplit

from functions.notify.mailers import MailNotSent, Undeliverable, recipient


class InvalidSmtpUrl(ValueError):
    """Raised when a URL does not name an SMTP server. The message does not repeat it: it may hold a password."""


@dataclass(frozen=True)
class SmtpServer:
    """Where a server is, and how to talk to it. `tls` from the first byte, `starttls` after the greeting."""

    host: str
    port: int
    user: str | None
    password: str
    tls: bool
    starttls: bool

    @classmethod
    def from_url(cls, url: str) -> "SmtpServer":
        """Read `smtp://user:password@host:port?starttls=1`, or `smtps://…` for TLS; only the host is needed.

        User and password are percent-encoded where they hold `:/@`. Raises InvalidSmtpUrl.
        """
        try:
            parts = urlsplit(url)
            port = parts.port
        except ValueError:
            # Its own words may repeat the password.
            raise InvalidSmtpUrl("host and port cannot be read") from None
        options = parse_qsl(parts.query, keep_blank_values=True)
        if parts.scheme not in {"smtp", "smtps"}:
            raise InvalidSmtpUrl("it must begin with smtp:// or smtps://")
        if parts.path not in {"", "/"} or parts.fragment or any(option != ("starttls", "1") for option in options):
            raise InvalidSmtpUrl("after the port there can only be ?starttls=1")
        tls = parts.scheme == "smtps"
        if tls and options:
            raise InvalidSmtpUrl("smtps:// is TLS already, so ?starttls=1 has no place in it")
        if not parts.hostname:
            raise InvalidSmtpUrl("it names no host")
        default_port = 465 if tls else 587 if options else 25
        return cls(
            host=parts.hostname,
            port=port or default_port,
            user=unquote(parts.username) if parts.username else None,
            password=unquote(parts.password or ""),
            tls=tls,
            starttls=bool(options),
        )


class SmtpMail:
    """One connection for each letter. Implements Mailers. No answer of the server is awaited beyond `timeout_s`."""

    def __init__(self, server: SmtpServer, tls: ssl.SSLContext, *, timeout_s: float = 10) -> None:
        self._server = server
        self._tls = tls
        self._timeout_s = timeout_s

    def send(self, letter: EmailMessage) -> None:
        """See Mailers."""
        to = recipient(letter)
        try:
            with contextlib.closing(self._connect()) as connection:
                self._greet(connection)
                connection.send_message(letter, to_addrs=[to])
                # The server answers for the letter by now. How it says goodbye must not send it again.
                with contextlib.suppress(smtplib.SMTPException, OSError):
                    connection.quit()
        except smtplib.SMTPRecipientsRefused as error:
            raise _refusal(max(code for code, _ in error.recipients.values()), error) from error
        except smtplib.SMTPDataError as error:
            raise _refusal(error.smtp_code, error) from error
        except (smtplib.SMTPException, OSError) as error:
            raise MailNotSent(f"The SMTP server did not take it: {error!r}") from error

    def _connect(self) -> smtplib.SMTP:
        server = self._server
        if server.tls:
            return smtplib.SMTP_SSL(server.host, server.port, timeout=self._timeout_s, context=self._tls)
        return smtplib.SMTP(server.host, server.port, timeout=self._timeout_s)

    def _greet(self, connection: smtplib.SMTP) -> None:
        if self._server.starttls:
            connection.starttls(context=self._tls)
        if self._server.user is not None:
            connection.login(self._server.user, self._server.password)


def _refusal(code: int, error: Exception) -> MailNotSent | Undeliverable:
    # 4xx: later perhaps; 5xx: never. https://www.rfc-editor.org/rfc/rfc5321#section-4.2.1
    return Undeliverable(repr(error)) if code >= 500 else MailNotSent(repr(error))
