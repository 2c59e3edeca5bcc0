"""E-mail for a laptop: it is put into a folder, and a line in the log says where."""

import os
import re
import tempfile
from email.message import EmailMessage
from pathlib import Path

from aws_lambda_powertools import Logger

from functions.notify.mailers import MailNotSent, recipient
from functions.shared.clock import Clock


class ConsoleMail:
    """Writes each letter to `<outbox>/<time>-<message id>.eml`. Implements Mailers.

    A file is there whole or not at all, and only its owner may read it: it holds a link that needs no login.
    The log names the file and does not show the link.
    """

    def __init__(self, outbox: Path, clock: Clock, logger: Logger) -> None:
        self._outbox = outbox
        self._clock = clock
        self._logger = logger

    def send(self, letter: EmailMessage) -> None:
        """See Mailers."""
        to = recipient(letter)
        path = self._outbox / f"{self._clock():%Y%m%dT%H%M%S.%fZ}-{_file_name(letter['Message-ID'])}.eml"
        try:
            self._outbox.mkdir(parents=True, exist_ok=True)
            _write_whole(path, letter.as_bytes())
        except OSError as error:
            raise MailNotSent(f"The letter cannot be written to {path}: {error.strerror}") from error
        self._logger.info("mail", extra={"to": to, "subject": str(letter["Subject"]), "file": str(path)})


def _file_name(message_id: str) -> str:
    return re.sub(r"[^A-Za-z0-9@.-]", "", message_id)


def _write_whole(path: Path, content: bytes) -> None:
    # The leading dot and the other ending keep it from those who look for *.eml.
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=".", suffix=".part")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
