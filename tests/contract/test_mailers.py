"""Mailers: the same letter through the fake, the console's folder, a real SMTP server, and SES as moto plays it."""

import email
import ipaddress
import socket
import ssl
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.message import EmailMessage
from email.policy import SMTP
from pathlib import Path
from typing import Any
from urllib.parse import quote

import moto
import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import AuthResult, LoginPassword
from botocore.stub import ANY, Stubber
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from moto.core.models import DEFAULT_ACCOUNT_ID
from moto.ses.models import ses_backends

from functions.notify.console_mail import ConsoleMail
from functions.notify.mailers import Mailers, MailNotSent, Undeliverable
from functions.notify.ses_mail import SesMail, connect_ses
from functions.notify.smtp_mail import SmtpMail, SmtpServer
from functions.shared.logs import get_logger
from tests.fakes.notify import FakeMailers
from tests.fakes.shared import FakeClock

REGION = "eu-central-1"
LINK = "http://127.0.0.1:8080/v1/downloads/" + "a-token_that.is-far-longer_than-a-line.may-be" * 4


@dataclass
class PostOffice:
    """A way to send, and what came out at the other end."""

    mailers: Mailers
    received: Callable[[], list[EmailMessage]]


@pytest.fixture(params=["fake", "console", "smtp", "ses"])
def post_office(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[PostOffice]:
    if request.param == "fake":
        fake = FakeMailers()
        yield PostOffice(fake, lambda: fake.sent)
    elif request.param == "console":
        console = ConsoleMail(tmp_path / "outbox", FakeClock(), get_logger("test"))
        yield PostOffice(console, lambda: [parse(path.read_bytes()) for path in (tmp_path / "outbox").glob("*.eml")])
    elif request.param == "smtp":
        with smtp_server() as server:
            yield PostOffice(mail_to(server.url), lambda: server.received)
    else:
        aws_environment(monkeypatch)
        with moto.mock_aws():
            ses = connect_ses()
            ses.verify_email_identity(EmailAddress="video2mp3@example.org")
            backend: Any = ses_backends[DEFAULT_ACCOUNT_ID][REGION]
            yield PostOffice(SesMail(ses), lambda: [parse(sent.raw_data) for sent in backend.sent_messages])


def test_a_letter_arrives_as_it_was_written(post_office):
    """Names outside ASCII and links longer than a line must survive every way."""
    post_office.mailers.send(letter())

    [received] = post_office.received()
    assert received["Subject"] == "Your MP3 is ready: Żółć 🎬.mp4"
    assert received["From"] == "video2mp3 <video2mp3@example.org>"
    assert received["To"] == "ann@example.com"
    assert received["Message-ID"] == "<e1@example.org>"
    assert LINK in part(received, "plain")
    assert f'<a href="{LINK}">Żółć</a>' in part(received, "html")


def test_letters_arrive_one_by_one(post_office):
    """A connection, or a folder, serves more than one letter."""
    post_office.mailers.send(letter("e1"))
    post_office.mailers.send(letter("e2"))

    assert sorted(received["Message-ID"] for received in post_office.received()) == [
        "<e1@example.org>",
        "<e2@example.org>",
    ]


@pytest.mark.parametrize("to", ["ann@example.com, eve@example.com", "nobody:;"])
def test_a_letter_that_is_not_to_one_address_is_undeliverable(post_office, to):
    """It is nobody's, and trying again does not change that."""
    message = letter()
    message.replace_header("To", to)

    with pytest.raises(Undeliverable, match="one address"):
        post_office.mailers.send(message)

    assert post_office.received() == []


# What only the console does.


def test_a_letter_in_the_folder_is_whole_private_and_sorted_by_time(tmp_path):
    """Others read the folder while it is written to, and a letter holds a link that needs no login."""
    clock = FakeClock(datetime(2026, 1, 2, 3, 4, 5, 678_000, tzinfo=UTC))

    ConsoleMail(tmp_path, clock, get_logger("test")).send(letter())

    [path] = tmp_path.iterdir()
    assert path.name == "20260102T030405.678000Z-e1@example.org.eml"
    assert path.stat().st_mode & 0o077 == 0


def test_a_message_id_cannot_lead_out_of_the_folder(tmp_path):
    """It is made from a message's id, and that came from outside."""
    outbox = tmp_path / "outbox"

    ConsoleMail(outbox, FakeClock(), get_logger("test")).send(letter("../../etc/x"))

    assert [path.parent for path in tmp_path.rglob("*.eml")] == [outbox]


def test_a_folder_that_cannot_be_written_to_is_an_error_that_may_go_away(tmp_path):
    """A full disk must bring the message back, and leave no half letter."""
    (tmp_path / "outbox").write_text("a file, where a folder should be")

    with pytest.raises(MailNotSent, match="outbox"):
        ConsoleMail(tmp_path / "outbox", FakeClock(), get_logger("test")).send(letter())


def test_the_log_does_not_hold_the_link(tmp_path, capsys):
    """Logs are read by more people than the one the link is for."""
    ConsoleMail(tmp_path, FakeClock(), get_logger("test-console")).send(letter())

    log = capsys.readouterr().out
    assert "ann@example.com" in log
    assert "/v1/downloads/" not in log


def test_the_log_stays_one_line_whatever_the_subject(tmp_path, capsys, monkeypatch):
    """Python decodes encoded words in a header; a line break among them would forge a line of the log."""
    monkeypatch.setenv("LOG_FORMAT", "text")
    message = letter()
    del message["Subject"]
    message["Subject"] = "x =?utf-8?q?y=0D=0A12:30:01_INFO_auth:_forged=1B[31m?="

    ConsoleMail(tmp_path, FakeClock(), get_logger("test-console-text")).send(message)

    [line] = capsys.readouterr().out.splitlines()
    assert r"subject=x y\r\n12:30:01 INFO auth: forged\x1b[31m" in line


# What SMTP and SES do: the envelope, not the headers, says where a letter goes.


def test_smtp_takes_a_letter_to_its_one_address_only():
    """Whatever else got into the headers, nobody but the owner gets the link."""
    with smtp_server() as server:
        mail_to(server.url).send(letter_with_more_recipients())

        assert server.recipients == ["ann@example.com"]


def test_ses_takes_a_letter_to_its_one_address_only(monkeypatch):
    """Without Destinations SES would read To, Cc and Bcc."""
    aws_environment(monkeypatch)
    client = connect_ses()
    with Stubber(client) as ses:
        ses.add_response(
            "send_raw_email", {"MessageId": "1"}, {"RawMessage": {"Data": ANY}, "Destinations": ["ann@example.com"]}
        )

        SesMail(client).send(letter_with_more_recipients())

        ses.assert_no_pending_responses()


# What only SMTP does.


@pytest.mark.parametrize("answer", ["550 5.1.1 No such mailbox", "554 5.7.1 Not wanted"])
def test_smtp_refusing_for_good_is_undeliverable(answer):
    """An address that does not exist will not exist in a minute either."""
    with smtp_server(on_recipient=answer) as server, pytest.raises(Undeliverable, match=answer[:3]):
        mail_to(server.url).send(letter())
    with smtp_server(on_data=answer) as server, pytest.raises(Undeliverable, match=answer[:3]):
        mail_to(server.url).send(letter())


@pytest.mark.parametrize("answer", ["450 4.2.1 Greylisted, come back", "452 4.3.1 Disk full"])
def test_smtp_refusing_for_now_may_work_later(answer):
    """Greylisting turns away every first try."""
    with smtp_server(on_recipient=answer) as server, pytest.raises(MailNotSent, match=answer[:3]):
        mail_to(server.url).send(letter())
    with smtp_server(on_data=answer) as server, pytest.raises(MailNotSent, match=answer[:3]):
        mail_to(server.url).send(letter())


def test_a_letter_that_was_taken_is_sent_however_the_server_says_goodbye():
    """To send it again because of that would be a second e-mail."""
    with smtp_server(on_quit="421 4.3.2 Going down") as server:
        mail_to(server.url).send(letter())

        assert len(server.received) == 1


def test_smtp_that_is_not_there_may_be_there_later():
    """The mail server is being restarted."""
    with pytest.raises(MailNotSent):
        mail_to(f"smtp://127.0.0.1:{closed_port()}").send(letter())


@pytest.mark.timeout(20)
def test_smtp_that_never_answers_is_given_up():
    """A function has to end before its own time is up."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        mail = mail_to(f"smtp://127.0.0.1:{silent.getsockname()[1]}", timeout_s=0.3)

        with pytest.raises(MailNotSent):
            mail.send(letter())


@pytest.mark.parametrize("scheme", ["smtps://{}", "smtp://{}?starttls=1"])
def test_smtp_with_tls_and_a_password(scheme, tls_files):
    """Most mail servers want both. A password may hold any character."""
    password = "p@ss:w/rd%"
    with smtp_server(tls=tls_files, implicit=scheme.startswith("smtps"), password=password) as server:
        url = scheme.format(f"ann%40example.org:{quote(password, safe='')}@{server.address}")

        mail_to(url, trusted=tls_files.certificate).send(letter())

        assert [received["Message-ID"] for received in server.received] == ["<e1@example.org>"]


def test_a_wrong_password_may_be_put_right(tls_files):
    """The letter is fine; whoever runs this service has to correct the setting, and then it leaves."""
    with smtp_server(tls=tls_files, password="right") as server:
        mail = mail_to(f"smtp://ann%40example.org:wrong@{server.address}?starttls=1", trusted=tls_files.certificate)

        with pytest.raises(MailNotSent, match="535"):
            mail.send(letter())


@pytest.mark.parametrize("scheme", ["smtps://{}", "smtp://{}?starttls=1"])
def test_a_certificate_that_nobody_vouches_for_is_refused(scheme, tls_files):
    """Otherwise anyone on the way could read the password and the links."""
    with smtp_server(tls=tls_files, implicit=scheme.startswith("smtps")) as server, pytest.raises(MailNotSent):
        mail_to(scheme.format(server.address)).send(letter())
    assert server.received == []


def test_starttls_that_was_asked_for_is_never_left_out():
    """A server, or somebody on the way, that hides STARTTLS must not get the letter in the clear."""
    with smtp_server() as server, pytest.raises(MailNotSent):
        mail_to(f"{server.url}?starttls=1").send(letter())
    assert server.received == []


# What only SES does.


def test_ses_rejecting_a_letter_is_undeliverable(monkeypatch):
    """A sender that was never verified is rejected, by moto as by SES."""
    aws_environment(monkeypatch)
    with moto.mock_aws(), pytest.raises(Undeliverable, match="MessageRejected"):
        SesMail(connect_ses()).send(letter())


def test_ses_that_is_not_there_may_be_there_later(monkeypatch):
    """AWS_ENDPOINT_URL, which an emulator sets, is where it looks."""
    aws_environment(monkeypatch)
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{closed_port()}")

    with pytest.raises(MailNotSent, match=r"127\.0\.0\.1"):
        SesMail(connect_ses()).send(letter())


def letter(event_id: str = "e1") -> EmailMessage:
    message = EmailMessage(policy=SMTP)
    message["From"] = "video2mp3 <video2mp3@example.org>"
    message["To"] = "ann@example.com"
    message["Subject"] = "Your MP3 is ready: Żółć 🎬.mp4"
    message["Message-ID"] = f"<{event_id}@example.org>"
    message.set_content(f"Żółć\n\n{LINK}\n", cte="quoted-printable")
    message.add_alternative(f'<p><a href="{LINK}">Żółć</a></p>\n', subtype="html", cte="quoted-printable")
    return message


def letter_with_more_recipients() -> EmailMessage:
    message = letter()
    message["Cc"] = "eve@example.com"
    message["Bcc"] = "eve@example.com"
    return message


def parse(content: bytes | str) -> EmailMessage:
    raw = content if isinstance(content, bytes) else content.encode()
    message = email.message_from_bytes(raw, policy=SMTP)
    assert isinstance(message, EmailMessage)
    return message


def part(message: EmailMessage, subtype: str) -> str:
    body = message.get_body((subtype,))
    assert body is not None
    content: str = body.get_content()
    return content


def mail_to(url: str, *, trusted: Path | None = None, timeout_s: float = 5) -> SmtpMail:
    return SmtpMail(SmtpServer.from_url(url), ssl.create_default_context(cafile=trusted), timeout_s=timeout_s)


def aws_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_DEFAULT_REGION", REGION)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "testing")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "testing")
    monkeypatch.delenv("AWS_PROFILE", raising=False)
    monkeypatch.delenv("AWS_ENDPOINT_URL", raising=False)


def closed_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port: int = server.getsockname()[1]
        return port


@dataclass
class TlsFiles:
    certificate: Path
    key: Path

    def context(self) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.certificate, self.key)
        return context


@pytest.fixture(scope="module")
def tls_files(tmp_path_factory: pytest.TempPathFactory) -> TlsFiles:
    """A certificate for 127.0.0.1 that vouches for itself."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "127.0.0.1")])
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(datetime.now(UTC) - timedelta(days=1))
        .not_valid_after(datetime.now(UTC) + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False)
        .sign(key, hashes.SHA256())
    )
    folder = tmp_path_factory.mktemp("tls")
    files = TlsFiles(folder / "certificate.pem", folder / "key.pem")
    files.certificate.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    files.key.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return files


class Inbox:
    """An SMTP server's inner side: what it received, and how it answers instead of taking it."""

    def __init__(self, on_recipient: str | None, on_data: str | None, on_quit: str | None) -> None:
        self.received: list[EmailMessage] = []
        self.recipients: list[str] = []
        self.address = ""
        self._on_recipient = on_recipient
        self._on_data = on_data
        self._on_quit = on_quit

    @property
    def url(self) -> str:
        return f"smtp://{self.address}"

    async def handle_RCPT(self, server, session, envelope, address, options):  # noqa: N802
        if self._on_recipient:
            return self._on_recipient
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server, session, envelope):  # noqa: N802
        if self._on_data:
            return self._on_data
        self.received.append(parse(envelope.content))
        self.recipients += envelope.rcpt_tos
        return "250 OK"

    async def handle_QUIT(self, server, session, envelope):  # noqa: N802
        return self._on_quit or "221 Bye"


@contextmanager
def smtp_server(
    *,
    on_recipient: str | None = None,
    on_data: str | None = None,
    on_quit: str | None = None,
    tls: TlsFiles | None = None,
    implicit: bool = False,
    password: str | None = None,
) -> Iterator[Inbox]:
    """Run an SMTP server on a free port; with `password` it takes letters only of ann@example.org."""

    def authenticate(server, session, envelope, mechanism, auth_data):
        right = LoginPassword(b"ann@example.org", (password or "").encode())
        return AuthResult(success=auth_data == right, handled=False)

    inbox = Inbox(on_recipient, on_data, on_quit)
    port = closed_port()
    controller = Controller(
        inbox,
        hostname="127.0.0.1",
        port=port,
        ssl_context=tls.context() if tls and implicit else None,
        tls_context=tls.context() if tls and not implicit else None,
        require_starttls=bool(tls and not implicit),
        authenticator=authenticate if password else None,
        auth_required=password is not None and not implicit,
        # It takes only STARTTLS for TLS.
        auth_require_tls=not implicit,
    )
    inbox.address = f"127.0.0.1:{port}"
    controller.start()
    try:
        yield inbox
    finally:
        controller.stop()
