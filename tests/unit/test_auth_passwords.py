"""Which e-mails and passwords are accepted, and how passwords are hashed."""

import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Literal

import pytest

from functions.auth.emails import clean_email
from functions.auth.passwords import Passwords, WeakPassword, check_password, make_hasher
from functions.shared.problems import InvalidInput, Unavailable
from tests.fakes.auth import CountingHasher


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("ada@example.com", "ada@example.com"),
        ("  Ada.Lovelace+mp3@Sub.Example.COM ", "Ada.Lovelace+mp3@sub.example.com"),
        ("o'brien@example.co.uk", "o'brien@example.co.uk"),
        ("ada@xn--bcher-kva.example", "ada@xn--bcher-kva.example"),
        ("a" * 64 + "@example.com", "a" * 64 + "@example.com"),
    ],
)
def test_an_email_is_kept_without_spaces_and_with_its_domain_in_lower_case(given: str, kept: str) -> None:
    """What stands before the @ is the business of its mail server, so its case stays."""
    assert clean_email(given) == kept


@pytest.mark.parametrize(
    "email",
    [
        "",
        "@",
        "ada",
        "ada@",
        "@example.com",
        "ada@localhost",
        "ada@example",
        "ada@127.0.0.1",
        "ada@[127.0.0.1]",
        "ada@@example.com",
        "ada@example.com@example.com",
        "ada lovelace@example.com",
        "ada@exam ple.com",
        "ada@example..com",
        "ada@-example.com",
        "ada@example.com.",
        ".ada@example.com",
        "ada..lovelace@example.com",
        "Ada <ada@example.com>",
        "ada@example.com,eve@example.com",
        "ada\t@example.com",
        "ada@example.com\n",
        "\rada@example.com",
        "ada\x00@example.com",
        "ada\u202e@example.com",
        "ада@example.com",
        "ada@bücher.example",
        "ada@example.com\u00a0",
        "a" * 65 + "@example.com",
        "a@" + "a" * 64 + ".com",
        "a@" + ".".join(["a" * 60] * 5),
        "a@" + "a" * 1_000_000,
    ],
)
def test_what_is_no_address_is_refused(email: str) -> None:
    """An address that no mail reaches, or that changes a mail's header, helps nobody."""
    with pytest.raises(InvalidInput) as raised:
        clean_email(email)

    assert [error.field for error in raised.value.errors] == ["email"]


@pytest.mark.parametrize(
    "password",
    [
        "correct horse battery",
        "Tr0ub4dor&3x",
        "pass wörd with ümlauts",
        "日本語のパスワードです",
        "zxcvbn12345!",
        "xxxxxyyyyy",
        f"k{'ab' * 60}",
    ],
)
def test_a_good_password_is_accepted(password: str) -> None:
    """Length counts; which kinds of characters it has does not."""
    check_password(password, "ada@example.com")


@pytest.mark.parametrize(
    "password",
    [
        "",
        "ninechars",
        "x" * 129,
        "aaaaaaaaaa",
        " " * 10,
        "abababababab",
        "123123123123",
        "1234123412341",
        "abcdefghij",
        "ABCDEFGHIJ",
        "jihgfedcba",
        "1234567890",
        "0987654321",
        "7890123456789",
        "qwertyuiop",
        "QwErTyUiOpAsDf",
        "lovelace1815",
        "my LOVELACE secret",
        "\N{LATIN SMALL LIGATURE FFI}" * 4,
        "\N{FULLWIDTH DIGIT ONE}" * 10,
    ],
)
def test_an_obvious_password_is_weak(password: str) -> None:
    """These are what a guesser tries first."""
    with pytest.raises(WeakPassword) as raised:
        check_password(password, "lovelace@example.com")

    assert [error.field for error in raised.value.errors] == ["password"]
    assert not password.strip() or password not in raised.value.detail


def test_a_short_name_in_a_password_does_not_matter() -> None:
    """`al` is in many good passwords."""
    check_password("a real estate agent", "al@example.com")


def test_hashes_are_argon2id_with_at_least_the_recommended_cost() -> None:
    """The floor is OWASP's: 19 MiB, two passes, one lane."""
    hashed = Passwords(make_hasher(), at_once=1).hash("correct horse battery")

    assert hashed.startswith("$argon2id$v=19$m=19456,t=2,p=1$")


def test_a_password_matches_its_own_hash_only() -> None:
    """And no hash at all matches nothing."""
    passwords = Passwords(CountingHasher(), at_once=1)
    hashed = passwords.hash("correct horse battery")

    assert passwords.matches("correct horse battery", hashed)
    assert not passwords.matches("correct horse batterx", hashed)
    assert not passwords.matches("correct horse battery", None)
    assert passwords.hash("correct horse battery") != hashed


def test_a_password_matches_however_its_accents_are_typed() -> None:
    """A Mac sends é as two code points, most others as one."""
    passwords = Passwords(CountingHasher(), at_once=1)

    assert passwords.matches("cafe\u0301 au lait", passwords.hash("caf\u00e9 au lait"))


def test_a_password_over_the_limit_is_not_hashed() -> None:
    """Hashing a megabyte for each guess would be a gift to whoever wants us busy."""
    hasher = CountingHasher()

    assert not Passwords(hasher, at_once=1).matches("x" * 129, None)
    assert hasher.comparisons == 0


class _SlowHasher(CountingHasher):
    """Compares for as long as a test wants, and knows how many did so at once."""

    def __init__(self) -> None:
        super().__init__()
        self.may_end = threading.Event()
        self.running = threading.Semaphore(0)

    def verify(self, hash: str | bytes, password: str | bytes) -> Literal[True]:  # noqa: A002 - the name is argon2's
        self.running.release()
        assert self.may_end.wait(10)
        return super().verify(hash, password)


def test_only_so_many_passwords_are_compared_at_once() -> None:
    """Each takes a core and 19 MiB. Who would wait too long is told to come back, not kept."""
    hasher = _SlowHasher()
    passwords = Passwords(hasher, at_once=2, wait_s=0.05)
    with ThreadPoolExecutor(2) as threads:
        two = [threads.submit(passwords.matches, "correct horse battery", None) for _ in range(2)]
        assert all(hasher.running.acquire(timeout=10) for _ in two)

        with pytest.raises(Unavailable):
            passwords.matches("correct horse battery", None)

        hasher.may_end.set()
        assert [one.result(10) for one in two] == [False, False]
    assert not passwords.matches("correct horse battery", None)
