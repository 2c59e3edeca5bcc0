"""The Subject of a letter, encoded so that every character arrives."""

from email.header import Header
from email.policy import Policy


class Subject(str):
    """A text on one line, which EmailMessage takes as a header that is parsed already.

    Given the bare text, it decodes what looks like an encoded word (RFC 2047), line breaks included. And the way in
    which it folds other than ASCII loses spaces, or parts of words: https://github.com/python/cpython/issues/144156
    """

    # What EmailMessage asks of such a header.
    name = "Subject"
    max_count = 1

    def fold(self, *, policy: Policy) -> str:
        """Return the lines of the header."""
        header = Header(self, "us-ascii" if self.isascii() else "utf-8", header_name=self.name)
        return f"{self.name}: {header.encode(linesep=policy.linesep)}{policy.linesep}"
