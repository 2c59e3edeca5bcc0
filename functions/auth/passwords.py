"""Passwords: which we accept, and how they are hashed.

The rules on what to accept follow NIST SP 800-63B, section 5.1.1.2: length counts, composition does not.
"""

import secrets
import threading
import unicodedata

import argon2.exceptions
from argon2 import PasswordHasher, Type

from functions.auth.emails import local_part
from functions.shared.problems import FieldError, Problem, Unavailable

MIN_PASSWORD = 10
MAX_PASSWORD = 128
# A shorter one is found in too many good passwords: "al" is in "real estate".
_MIN_LOCAL_PART = 4
_MAX_PERIOD = 4
_ALPHABET, _DIGITS, _KEYBOARD = "abcdefghijklmnopqrstuvwxyz", "1234567890", "qwertyuiopasdfghjklzxcvbnm"
_ROWS = [row * (MAX_PASSWORD // len(row) + 2) for row in (_ALPHABET, _DIGITS, _KEYBOARD)]
_SEQUENCES = [*_ROWS, *(row[::-1] for row in _ROWS)]


class WeakPassword(Problem):
    """Raised when a password is too easy to guess, or is too long to be hashed."""

    code = "weak-password"

    def __init__(self, message: str) -> None:
        super().__init__(f"Choose another password. {message}", errors=[FieldError("password", message)])


def check_password(password: str, email: str) -> None:
    """Accept a new password for the account of `email`, or raise WeakPassword."""
    if len(password) > MAX_PASSWORD:
        raise WeakPassword(f"Use at most {MAX_PASSWORD} characters.")
    text = unicodedata.normalize("NFKC", password).casefold()
    if min(len(text), len(password)) < MIN_PASSWORD:
        raise WeakPassword(f"Use at least {MIN_PASSWORD} characters.")
    name = local_part(email).casefold()
    if len(name) >= _MIN_LOCAL_PART and name in text:
        raise WeakPassword("Leave out the name in your e-mail address.")
    if any(text[period:] == text[:-period] for period in range(1, _MAX_PERIOD + 1)):
        raise WeakPassword("Do not repeat the same few characters.")
    if any(text in sequence for sequence in _SEQUENCES):
        raise WeakPassword("Do not use letters or digits in a row.")


def make_hasher() -> PasswordHasher:
    """Return Argon2id with OWASP's least parameters: 19 MiB, two passes, one lane.

    https://cheatsheetseries.owasp.org/cheatsheets/Password_Storage_Cheat_Sheet.html#argon2id
    """
    return PasswordHasher(time_cost=2, memory_cost=19456, parallelism=1, type=Type.ID)


class Passwords:
    """Hashes passwords and compares them with hashes, at most `at_once` at the same time.

    A hash takes a core for tens of milliseconds: more of them than cores would only wait for each other, and
    everybody with them. Who waits longer than `wait_s` gets Unavailable.
    """

    def __init__(self, hasher: PasswordHasher, *, at_once: int, wait_s: float = 5) -> None:
        self._hasher = hasher
        self._free = threading.BoundedSemaphore(at_once)
        self._wait_s = wait_s
        # Nobody's: comparing with it takes as long as comparing with somebody's.
        self._decoy = hasher.hash(secrets.token_bytes())

    def hash(self, password: str) -> str:
        """Return a new salted hash, in the PHC string format."""
        with _Slot(self._free, self._wait_s):
            return self._hasher.hash(_to_bytes(password))

    def matches(self, password: str, password_hash: str | None) -> bool:
        """Return whether the hash is of this password; None never is, and takes as long to find out."""
        if len(password) > MAX_PASSWORD:
            return False  # Nobody has one, so this tells nothing about anybody.
        with _Slot(self._free, self._wait_s):
            try:
                self._hasher.verify(password_hash or self._decoy, _to_bytes(password))
            except argon2.exceptions.VerifyMismatchError:
                return False
        return password_hash is not None

    def is_outdated(self, password_hash: str) -> bool:
        """Return whether the hash was made with other parameters than new ones are."""
        return self._hasher.check_needs_rehash(password_hash)


class _Slot:
    """One of the hashes that may run at once."""

    def __init__(self, free: threading.BoundedSemaphore, wait_s: float) -> None:
        self._free = free
        self._wait_s = wait_s

    def __enter__(self) -> None:
        if not self._free.acquire(timeout=self._wait_s):
            raise Unavailable("The check of passwords")

    def __exit__(self, *_: object) -> None:
        self._free.release()


def _to_bytes(password: str) -> bytes:
    # The same letters typed on two systems can be two sequences of code points; NFKC makes them one.
    return unicodedata.normalize("NFKC", password).encode()
