"""What people read: one letter for each conversion that was completed or has failed."""

import html
import re
from collections.abc import Mapping
from datetime import datetime, timedelta
from email.headerregistry import Address, Group
from email.message import EmailMessage
from email.policy import SMTP
from typing import NamedTuple

from functions.notify.subjects import Subject
from functions.notify.wording import (
    bit_rate,
    channels,
    duration,
    file_name,
    moment,
    plain,
    short,
    size,
    soundtrack,
    undecodable,
)
from functions.shared.clock import Clock
from functions.shared.conversions import Conversion, Failure, Method, Mp3, State
from functions.shared.events import Event, EventName
from functions.shared.links import Link, Links

LINK_TTL = timedelta(days=3)

# As the accounts have them. An address with other characters is put in quotes, which Python may lose when it folds the
# header (https://github.com/python/cpython/issues/80222), and an encoded word (RFC 2047) in it is decoded. Either can
# make it another address, or two.
_ATOM = "[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+"
_ADDRESS = re.compile(rf"{_ATOM}(\.{_ATOM})*@[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)*")
_ENCODED_WORD = "=?"
_NOBODY = Group("nobody")

_WHAT_CAN_BE_DONE = (
    "There is no MP3, and the conversion will not be tried again by itself. If you think that the video is fine, "
    "start the conversion again. Otherwise, upload another copy of the video."
)
_NOTES_BEGIN = "Please note:"
# Started again, it has the same options.
_OTHER_OPTIONS = "There is no MP3. Upload the video again with other options."


class Letters:
    """Writes letters from `sender`, with links that work for LINK_TTL or as long as the MP3 is kept."""

    def __init__(self, sender: Address, links: Links, clock: Clock) -> None:
        self._sender = sender
        self._links = links
        self._clock = clock

    def write(self, event: Event, conversion: Conversion) -> EmailMessage | None:
        """Return the letter that tells the owner of an event, or None if the conversion has moved on since.

        It is addressed to nobody if the owner's address cannot stand in a header: an account may be older than that
        rule. The same event gives the same Message-ID, by which mail servers and programs know a repeat.
        """
        content = self._content(event, conversion)
        if content is None:
            return None
        letter = EmailMessage(policy=SMTP)
        letter["From"] = self._sender
        letter["To"] = _to(conversion.owner.email)
        letter["Subject"] = Subject(undecodable(content.subject))
        letter["Date"] = self._clock()
        letter["Message-ID"] = f"<{_id_left(event.id)}@{self._sender.domain}>"
        # Keeps holiday notices and similar robots from answering: https://www.rfc-editor.org/rfc/rfc3834
        letter["Auto-Submitted"] = "auto-generated"
        # The link is longer than a line may be, and quoted-printable is the encoding that every server passes on.
        letter.set_content(_to_text(content), cte="quoted-printable")
        letter.add_alternative(_to_html(content), subtype="html", cte="quoted-printable")
        return letter

    def _content(self, event: Event, conversion: Conversion) -> "_Content | None":
        match event.event, conversion:
            case EventName.CONVERSION_COMPLETED, Conversion(state=State.COMPLETED, mp3=Mp3() as mp3):
                content = _completed(conversion, mp3, self._link(conversion))
            case EventName.CONVERSION_FAILED, Conversion(state=State.FAILED, error=Failure() as failure):
                content = _failed(file_name(conversion.filename), failure)
            case _:
                return None
        kept = {"Kept until": moment(conversion.expires_at)} if conversion.expires_at else {}
        return content._replace(facts={**content.facts, **kept})

    def _link(self, conversion: Conversion) -> Link:
        kept_for = conversion.expires_at - self._clock() if conversion.expires_at else LINK_TTL
        return self._links.make(conversion.id, min(LINK_TTL, kept_for))


class _Content(NamedTuple):
    """What a letter says, before it is text or HTML. Everything in it is `plain`."""

    subject: str
    paragraphs: tuple[str, ...]
    facts: Mapping[str, str]
    notes: tuple[str, ...] = ()
    link: Link | None = None


def _completed(conversion: Conversion, mp3: Mp3, link: Link) -> _Content:
    video = file_name(conversion.filename)
    facts = {
        "Title": short(conversion.options.title or "") or video.rpartition(".")[0] or video,
        "Length": duration(mp3.duration_s),
        "Size": size(mp3.bytes),
        "Bit rate": f"{bit_rate(mp3.bit_rate_bps)}, {channels(mp3.channels)}",
    }
    if mp3.method is Method.COPIED:
        facts["Sound"] = "copied as it was, not encoded again"
    # Nothing is known of the soundtrack of an MP3 that an earlier version made.
    if len(conversion.video.tracks) > 1 and mp3.source:
        facts["Soundtrack"] = soundtrack(mp3.track, conversion.video.tracks)
    return _Content(
        subject=f"Your MP3 is ready: {video}",
        paragraphs=("Your video has been converted. Here is the MP3.",),
        facts=facts,
        notes=tuple(plain(note.detail) for note in conversion.warnings),
        link=link,
    )


def _failed(video: str, failure: Failure) -> _Content:
    return _Content(
        subject=f"Your video could not be converted: {video}",
        paragraphs=(
            f"{plain(failure.title).rstrip('.')}. {plain(failure.detail)}",
            _OTHER_OPTIONS if failure.type == "invalid-option" else _WHAT_CAN_BE_DONE,
        ),
        facts={"Video": video, "Reason": plain(failure.type)},
    )


def _to_text(content: _Content) -> str:
    width = max(len(name) for name in content.facts) + 2
    parts = [*content.paragraphs, "\n".join(f"{name + ':':<{width}}{fact}" for name, fact in content.facts.items())]
    if content.notes:
        parts.append("\n".join([_NOTES_BEGIN, *(f"- {note}" for note in content.notes)]))
    if content.link:
        parts.append(f"Listen to it or download it here:\n\n{content.link.page_url}")
        parts.append(f"Or download it directly:\n\n{content.link.url}")
        parts.append(_until(content.link.expires_at))
    return "\n\n".join(parts) + "\n"


def _to_html(content: _Content) -> str:
    paragraphs = "".join(f"<p>{html.escape(paragraph)}</p>\n" for paragraph in content.paragraphs)
    rows = "".join(
        f'<tr><th align="left">{html.escape(name)}</th><td>{html.escape(fact)}</td></tr>\n'
        for name, fact in content.facts.items()
    )
    notes = "".join(f"<li>{html.escape(note)}</li>\n" for note in content.notes)
    if notes:
        notes = f"<p>{_NOTES_BEGIN}</p>\n<ul>\n{notes}</ul>\n"
    link = ""
    if content.link:
        page, file = html.escape(content.link.page_url), html.escape(content.link.url)
        link = (
            f'<p><a href="{page}">Listen to the MP3</a>, or <a href="{file}">download it</a>.</p>\n'
            f"<p>{html.escape(_until(content.link.expires_at))}</p>\n"
        )
    return (
        '<!doctype html>\n<html lang="en">\n'
        f'<head><meta charset="utf-8"><title>{html.escape(content.subject)}</title></head>\n'
        '<body style="font-family: sans-serif">\n'
        f'{paragraphs}<table cellpadding="4">\n{rows}</table>\n{notes}{link}</body>\n</html>\n'
    )


def _until(expires_at: datetime) -> str:
    return f"These links work without logging in until {moment(expires_at)}. Anyone who has one can download the MP3."


def _to(email: str) -> Address | Group:
    if not _ADDRESS.fullmatch(email) or _ENCODED_WORD in email:
        return _NOBODY
    user, _, domain = email.rpartition("@")
    return Address(username=user, domain=domain)


def _id_left(event_id: str) -> str:
    """Return the part of a Message-ID before the @, with nothing in it that ends a header or names a folder."""
    return re.sub(r"[^A-Za-z0-9-]", "-", event_id)
