"""SMTP_URL: one variable that says all about the mail server."""

import pytest

from functions.notify.smtp_mail import InvalidSmtpUrl, SmtpServer


@pytest.mark.parametrize(
    ("url", "server"),
    [
        ("smtp://127.0.0.1:1025", SmtpServer("127.0.0.1", 1025, None, "", tls=False, starttls=False)),
        ("smtp://mail.example.org", SmtpServer("mail.example.org", 25, None, "", tls=False, starttls=False)),
        ("smtp://h?starttls=1", SmtpServer("h", 587, None, "", tls=False, starttls=True)),
        ("smtp://h:25/?starttls=1", SmtpServer("h", 25, None, "", tls=False, starttls=True)),
        ("smtps://h", SmtpServer("h", 465, None, "", tls=True, starttls=False)),
        ("smtp://[::1]:1025", SmtpServer("::1", 1025, None, "", tls=False, starttls=False)),
        (
            "smtps://ann%40example.org:p%40ss%3Aw%2Frd%25@h:465",
            SmtpServer("h", 465, "ann@example.org", "p@ss:w/rd%", tls=True, starttls=False),
        ),
    ],
)
def test_a_url_says_host_port_login_and_tls(url, server):
    """The ports are the usual ones where none is given: 25, 587 for STARTTLS, 465 for TLS."""
    assert SmtpServer.from_url(url) == server


@pytest.mark.parametrize(
    "url",
    [
        "mail.example.org",
        "http://h",
        "smtp://",
        "smtp://u:secret@",
        "smtp://u:secret@h:port",
        "smtp://u:secret@h:99999",
        "smtp://u:secret@[::1",
        "smtp://u:sec#ret@h",
        "smtp://u:secret@h/path",
        "smtp://u:secret@h?starttls=0",
        "smtp://u:secret@h?tls=1",
        "smtps://u:secret@h?starttls=1",
    ],
)
def test_a_url_that_says_something_else_is_refused_without_repeating_it(url):
    """It may hold a password, and the complaint ends up in a log."""
    with pytest.raises(InvalidSmtpUrl) as refused:
        SmtpServer.from_url(url)

    assert "sec" not in str(refused.value)
