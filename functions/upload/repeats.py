"""The rules by which a request with an Idempotency-Key is answered once, and a repeat is given the same answer.

https://datatracker.ietf.org/doc/draft-ietf-httpapi-idempotency-key-header/
"""

import hashlib
import re
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import msgspec

from functions.shared.conversions import Owner
from functions.shared.logs import conversion_keys
from functions.shared.problems import FieldError, InvalidInput, Problem, Unavailable
from functions.upload.deps import Deps
from functions.upload.holds import Locked
from functions.upload.keys import KeptAnswer, KeyClaim, KeyHeld, KeyTaken

HEADER = "Idempotency-Key"
_KEY = re.compile(r"[ -~]{1,255}")


class KeyBelongsToAnother(Problem):
    """Raised when a key comes with another request than at first."""

    code = "key-taken"

    def __init__(self) -> None:
        super().__init__(
            f"This {HEADER} came with another request before. Give each new request a key of its own.",
            errors=[FieldError(HEADER, "Another request has this key.")],
        )


class StillAnswering(Problem):
    """Raised when a request comes again before it was answered."""

    code = "still-answering"
    retry_after_s = 2

    def __init__(self) -> None:
        super().__init__(
            f"A request with this {HEADER} is being answered. If that one was broken off, this takes up to a minute.",
            headers={"Retry-After": str(self.retry_after_s)},
        )


class Keyed(NamedTuple):
    """Which request it is: its key as it was sent, None without one; its route; whose it is; who answers it."""

    key: str | None
    route: str
    owner: Owner
    token: str


class Answered(NamedTuple):
    """An answer; `is_repeat` if it was given before."""

    answer: KeptAnswer
    is_repeat: bool


def read_key(headers: Mapping[str, Sequence[str]]) -> str | None:
    """Return the key among a request's headers, None without one. Raises InvalidInput."""
    keys = [value for name, values in headers.items() if name.lower() == HEADER.lower() for value in values]
    if not keys:
        return None
    if len(keys) > 1 or not _KEY.fullmatch(keys[0]):
        raise InvalidInput(FieldError(HEADER, "Send it once, with 1 to 255 printable ASCII characters."))
    return keys[0]


def fingerprint(*says: object) -> str:
    """Return what is the same for two requests that say the same."""
    return hashlib.sha256(msgspec.json.encode(says)).hexdigest()


def answer_once(
    request: Keyed,
    says: Callable[[], str],
    answer: Callable[[str | None], KeptAnswer],
    is_there: Callable[[KeptAnswer], bool],
    deps: Deps,
) -> Answered:
    """Answer a request, or give the answer again that it had before, as long as what was created then `is_there`.

    `says` returns its fingerprint. `answer` gets the request's origin, which is the same however often it comes, so
    that nothing is created twice; None for a request without a key.

    Only answers of success are kept. A request that was refused has created nothing, so its key is free again. After
    another failure, or a death, the key stays with the request, and whoever repeats it goes on.

    Raises:
        KeyBelongsToAnother: another request had this key first.
        StillAnswering: the first with this key is being answered.
    """
    if request.key is None:
        return Answered(answer(None), is_repeat=False)
    # The key itself is not kept, which has any length and may say anything.
    key = fingerprint(request.owner.id, request.route, request.key)
    said = says()
    # Once more if what was created is gone.
    for _ in range(2):
        own = KeyClaim(key, request.token, deps.new_id())
        try:
            begun = deps.keys.claim(own, said)
        except KeyTaken as error:
            raise KeyBelongsToAnother from error
        except KeyHeld as error:
            raise StillAnswering from error
        if begun.answer is None:
            return Answered(_answer(begun.claim, answer, deps, is_first=begun.claim == own), is_repeat=False)
        if is_there(begun.answer):
            return Answered(begun.answer, is_repeat=True)
        deps.keys.forget(begun.claim)
    raise StillAnswering


def _answer(claim: KeyClaim, answer: Callable[[str | None], KeptAnswer], deps: Deps, *, is_first: bool) -> KeptAnswer:
    try:
        answered = answer(claim.origin)
    except Exception as error:
        # If it is not the first try, an earlier one may have created something.
        _note(deps.keys.forget if is_first and _is_refusal(error) else deps.keys.release, claim, deps)
        raise
    created = answered.headers["Location"].rpartition("/")[2]
    _note(lambda held: deps.keys.keep(held, answered), claim, deps, **conversion_keys({"conversion_id": created}))
    return answered


def _is_refusal(error: Exception) -> bool:
    return isinstance(error, Problem) and error.status < 500 and not isinstance(error, Locked)


def _note(write: Callable[[KeyClaim], None], claim: KeyClaim, deps: Deps, **about: str) -> None:
    try:
        write(claim)
    except Unavailable as error:
        # The claim ends by itself, and a repeat finds what was created.
        deps.logger.warning("idempotency key stays claimed", extra={"reason": str(error), **about})
