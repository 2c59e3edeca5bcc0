"""A multipart/form-data body, taken apart as it arrives (RFC 7578).

python-multipart finds the parts. The limits and the reading of a part's headers are ours, so that a form which is
too large is told from one that is broken, and a file's name comes through whole.
"""

import logging
import re
import sys
from collections.abc import Iterable
from typing import NamedTuple
from urllib.parse import unquote_to_bytes

from python_multipart import MultipartParser
from python_multipart.exceptions import FormParserError

from functions.shared.problems import FieldError, InvalidInput, Problem, TooLarge

MAX_PARTS = 24
MAX_HEADER_BYTES = 8 * 1024
# The longest option is a comment of 1,000 characters, each of which may be 4 bytes of UTF-8.
MAX_FIELD_BYTES = 4096
VIDEO = "video"

# It warns of every broken form; the answer says it too.
logging.getLogger("python_multipart").setLevel(logging.ERROR)

_PARAMETER = re.compile(r';\s*([^\s=;"]+)\s*=\s*("(?:[^"\\]|\\.)*"|[^;]*)', re.DOTALL)
_NO_VIDEO = FieldError(VIDEO, "Send the video in it, as a file with a name.")
_EXTENDED_VALUE = re.compile(r"(utf-8|iso-8859-1)'[^']*'(.*)", re.IGNORECASE)


class BadMultipart(Problem):
    """Raised when a body is no form, breaks off, or holds two files."""

    code = "bad-multipart"


class PartHeader(NamedTuple):
    """How a part introduces itself. `filename` is as it was sent, and None if the part is no file."""

    name: str
    filename: str | None


class SentFile(NamedTuple):
    """The file in a form: its name as it was sent, and its bytes."""

    filename: str
    parts: list[bytes]


class Form(NamedTuple):
    """A form with its one file, and the text of its other fields by name."""

    video: SentFile
    fields: dict[str, str]


def read_form(content_type: str, slices: Iterable[bytes]) -> Form:
    """Return the form that the slices of a body make up. Raises as FormReader does."""
    form = FormReader(content_type)
    parts = [part for data in slices for part in form.feed(data)]
    filename, fields = form.end()
    return Form(SentFile(filename, parts), fields)


class FormReader:
    """Reads a form with one file, `video`, as it arrives, and holds nothing of the file.

    `filename` is the file's name as it was sent, and None until its part begins.
    """

    def __init__(self, content_type: str) -> None:
        """Begin. Raises BadMultipart: this is not the type of a form."""
        self.filename: str | None = None
        self._parser = FormParser(content_type)
        self._fields: dict[str, bytes] = {}
        self._field: str | None = None  # None while the video comes

    def feed(self, data: bytes) -> list[bytes]:
        """Take the next bytes of the body, and return those of the video among them.

        Raises:
            BadMultipart: the form is broken, or has two files.
            TooLarge: it has too many parts, or a part's headers or a field are too long.
            InvalidInput: its file is not called `video`, or a field is sent twice.
        """
        video = []
        for item in self._parser.feed(data):
            if isinstance(item, PartHeader):
                self._begin(item)
            elif self._field is None:
                video.append(item)
            else:
                self._add(self._field, item)
        return video

    def end(self) -> tuple[str, dict[str, str]]:
        """Return the video's filename and the text of the other fields, when the body has ended.

        Raises:
            BadMultipart: the form breaks off.
            InvalidInput: there was no video in it.
        """
        if not self._parser.ended:
            raise BadMultipart("The form breaks off before its last boundary.")
        if self.filename is None:
            raise InvalidInput(_NO_VIDEO)
        return self.filename, {name: value.decode(errors="replace") for name, value in self._fields.items()}

    def _begin(self, part: PartHeader) -> None:
        if part.filename is not None and self.filename is not None:
            raise BadMultipart(f"Send one file only, as the part `{VIDEO}`.")
        if part.name in self._fields or (part.name == VIDEO and self.filename is not None):
            raise InvalidInput(FieldError(part.name, "It is sent twice."))
        if part.filename is None:
            self._field, self._fields[part.name] = part.name, b""
        elif part.name == VIDEO:
            self._field, self.filename = None, part.filename
        else:
            # At once, and not when all of it has come.
            raise InvalidInput(_NO_VIDEO, FieldError(part.name, "There is no such file field."))

    def _add(self, field: str, data: bytes) -> None:
        self._fields[field] += data
        if len(self._fields[field]) > MAX_FIELD_BYTES:
            raise TooLarge(f"A field may have {MAX_FIELD_BYTES} bytes; `{field}` has more.")


class FormParser:
    """Takes any form apart. `ended` says that its last boundary has come."""

    def __init__(self, content_type: str) -> None:
        """Begin. Raises BadMultipart: this is not the type of a form."""
        self._found = _Found()
        try:
            self._parser = MultipartParser(
                _boundary(content_type),
                {
                    "on_part_begin": self._found.begin_part,
                    "on_header_field": self._found.add_header_name,
                    "on_header_value": self._found.add_header_value,
                    "on_header_end": self._found.end_header,
                    "on_headers_finished": self._found.end_headers,
                    "on_part_data": self._found.add_data,
                    "on_end": self._found.end,
                },
                max_header_count=sys.maxsize,
                max_header_size=sys.maxsize,
            )
        except FormParserError as error:
            raise BadMultipart(f"The form cannot be read: {error}.") from error

    @property
    def ended(self) -> bool:
        """Whether nothing of the form can follow."""
        return self._found.ended

    def feed(self, data: bytes) -> list[PartHeader | bytes]:
        """Take the next bytes of the body, and return the headers of parts in them, each followed by its bytes.

        Raises BadMultipart and TooLarge.
        """
        try:
            self._parser.write(data)
        except FormParserError as error:
            raise BadMultipart(f"The form cannot be read: {error}.") from error
        return self._found.take()


class _Found:
    """What MultipartParser has called back with and nobody has taken yet."""

    def __init__(self) -> None:
        self.ended = False
        self._items: list[PartHeader | bytes] = []
        self._parts = 0
        self._header_bytes = 0
        self._name = b""
        self._value = b""
        self._headers: dict[bytes, bytes] = {}

    def take(self) -> list[PartHeader | bytes]:
        items, self._items = self._items, []
        return items

    def begin_part(self) -> None:
        self._parts += 1
        if self._parts > MAX_PARTS:
            raise TooLarge(f"A form may have {MAX_PARTS} parts; this one has more.")
        self._header_bytes = 0
        self._headers = {}

    def add_header_name(self, data: bytes, start: int, end: int) -> None:
        self._count_header_bytes(end - start)
        self._name += data[start:end]

    def add_header_value(self, data: bytes, start: int, end: int) -> None:
        self._count_header_bytes(end - start)
        self._value += data[start:end]

    def end_header(self) -> None:
        self._headers[self._name.lower()] = self._value
        self._name = self._value = b""

    def end_headers(self) -> None:
        self._items.append(_part_header(self._headers))

    def add_data(self, data: bytes, start: int, end: int) -> None:
        self._items.append(data[start:end])

    def end(self) -> None:
        self.ended = True

    def _count_header_bytes(self, count: int) -> None:
        self._header_bytes += count
        if self._header_bytes > MAX_HEADER_BYTES:
            raise TooLarge(f"The headers of a part may have {MAX_HEADER_BYTES} bytes; these have more.")


def _part_header(headers: dict[bytes, bytes]) -> PartHeader:
    # RFC 7578, section 4.7, abolishes it; stored as it is, the video would be something else.
    if headers.get(b"content-transfer-encoding", b"binary").strip().lower() not in {b"binary", b"8bit", b"7bit"}:
        raise BadMultipart("Send each part as it is, without Content-Transfer-Encoding.")
    parameters = _parameters(_to_text(headers.get(b"content-disposition", b"")))
    if "name" not in parameters:
        raise BadMultipart("Each part needs a Content-Disposition with a name.")
    return PartHeader(parameters["name"], _filename(parameters))


def _filename(parameters: dict[str, str]) -> str | None:
    extended = _EXTENDED_VALUE.fullmatch(parameters.get("filename*", ""))
    if extended:
        try:
            return unquote_to_bytes(extended[2]).decode(extended[1])
        except UnicodeDecodeError:
            return parameters.get("filename", "")
    if "filename" not in parameters:
        return None
    # What browsers do to these three, and to nothing else: https://html.spec.whatwg.org/#multipart-form-data
    return parameters["filename"].replace("%22", '"').replace("%0D", "\r").replace("%0A", "\n")


def _boundary(content_type: str) -> bytes:
    if content_type.partition(";")[0].strip().lower() != "multipart/form-data":
        raise BadMultipart("Send the video as multipart/form-data.")
    boundary = _parameters(content_type).get("boundary", "")
    if not re.fullmatch(r"[!-~ ]{0,199}[!-~]", boundary):
        raise BadMultipart("The Content-Type lacks a boundary, or has one that cannot be used.")
    return boundary.encode()


def _parameters(header: str) -> dict[str, str]:
    """Return the parameters of a header by name in lower case; of one that is given twice, the first."""
    parameters: dict[str, str] = {}
    for name, value in _PARAMETER.findall(header):
        plain = re.sub(r'\\(["\\])', r"\1", value[1:-1]) if value.startswith('"') else value.strip()
        parameters.setdefault(name.lower(), plain)
    return parameters


def _to_text(value: bytes) -> str:
    try:
        return value.decode()
    except UnicodeDecodeError:
        return value.decode("latin-1")
