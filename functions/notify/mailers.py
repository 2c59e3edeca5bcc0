"""The port through which e-mail leaves."""

from email.message import EmailMessage
from typing import Protocol


class MailNotSent(Exception):
    """Raised when an e-mail was not taken now. The same e-mail may be taken later."""


class Undeliverable(Exception):
    """Raised when this e-mail will never be taken, as when the address does not exist."""


def recipient(letter: EmailMessage) -> str:
    """Return the one address of a letter, for its envelope: no other header may add a recipient.

    Raises:
        Undeliverable: the letter is to no address, or to several.
    """
    addresses = letter["To"].addresses
    if len(addresses) != 1:
        raise Undeliverable(f"A letter goes to one address, and this one has {len(addresses)}.")
    address: str = addresses[0].addr_spec
    return address


class Mailers(Protocol):
    """Ways to send e-mail."""

    def send(self, letter: EmailMessage) -> None:
        """Send a letter to the one address in its To header, and to nobody else.

        Returns when somebody else answers for it. If the answer is lost on its way, a letter may be sent though
        MailNotSent is raised; its Message-ID tells that it is the same.

        Raises:
            MailNotSent: it may work later.
            Undeliverable: it never will.
        """
