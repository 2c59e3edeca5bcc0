"""What every implementation of IdempotencyKeys does: the fake, and MongoDB's on a real server."""

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any, Protocol

import pytest

from functions.shared.mongo import Document
from functions.upload.keys import REMEMBERED, Begun, IdempotencyKeys, KeptAnswer, KeyClaim, KeyHeld, KeyTaken
from functions.upload.mongo_keys import MongoIdempotencyKeys
from tests.fakes.shared import FakeClock
from tests.fakes.upload import FakeIdempotencyKeys

FIRST = KeyClaim("k1", "$t1", "$o1")
SECOND = KeyClaim("k1", "t2", "o2")
ANSWER = KeptAnswer(202, {"Location": "/v1/conversions/c1", "$odd": "$x.y"}, '{"filename": "Grüße 🎬"}')


class Stored(Protocol):
    """Keys that are remembered for REMEMBERED, and a hand that makes time pass."""

    @property
    def keys(self) -> IdempotencyKeys: ...

    def age(self, time: timedelta) -> None: ...


class FakeStored:
    def __init__(self) -> None:
        self._clock = FakeClock()
        self.keys = FakeIdempotencyKeys(self._clock)

    def age(self, time: timedelta) -> None:
        self._clock.advance(seconds=time.total_seconds())


class MongoStored:
    def __init__(self, database: Any) -> None:
        self._collection = database.idempotency_keys
        self.keys = MongoIdempotencyKeys(database)

    def age(self, time: timedelta) -> None:
        earlier: Document = {
            name: {"$cond": [{"$eq": [f"${name}", None]}, None, {"$subtract": [f"${name}", _ms(time)]}]}
            for name in ("held_until", "expires_at")
        }
        assert self._collection.update_many({}, [{"$set": earlier}]).matched_count > 0


def _ms(time: timedelta) -> int:
    return round(time.total_seconds() * 1000)


@pytest.fixture(params=["fake", "mongo"])
def stored(request: pytest.FixtureRequest) -> Stored:
    return FakeStored() if request.param == "fake" else MongoStored(request.getfixturevalue("mongo"))


def test_a_new_key_is_claimed(stored):
    assert stored.keys.claim(FIRST, "f") == Begun(FIRST, None)


def test_a_kept_answer_is_found_by_every_repeat(stored):
    """Also by one whose token is new, as it is after a lost answer."""
    stored.keys.claim(FIRST, "f")
    stored.keys.keep(FIRST, ANSWER)

    assert stored.keys.claim(SECOND, "f") == Begun(FIRST, ANSWER)
    assert stored.keys.claim(FIRST, "f") == Begun(FIRST, ANSWER)


def test_nobody_else_can_claim_what_is_being_answered(stored):
    stored.keys.claim(FIRST, "f")
    stored.age(timedelta(seconds=55))

    with pytest.raises(KeyHeld):
        stored.keys.claim(SECOND, "f")
    assert stored.keys.claim(FIRST, "f") == Begun(FIRST, None)


@pytest.mark.parametrize("answered", [True, False])
def test_another_request_with_the_key_is_refused(stored, answered):
    """Whether the first was answered or not."""
    stored.keys.claim(FIRST, "f")
    if answered:
        stored.keys.keep(FIRST, ANSWER)

    with pytest.raises(KeyTaken):
        stored.keys.claim(SECOND, "g")
    with pytest.raises(KeyTaken):
        stored.keys.claim(FIRST, "g")


def test_whoever_takes_over_from_one_that_died_goes_on_with_the_same_origin(stored):
    """By the origin it finds what the first may have created. The first, should it wake up, changes nothing."""
    stored.keys.claim(FIRST, "f")
    stored.age(timedelta(seconds=61))

    assert stored.keys.claim(SECOND, "f") == Begun(SECOND._replace(origin="$o1"), None)
    stored.keys.keep(FIRST, ANSWER)
    stored.keys.release(FIRST)
    stored.keys.forget(FIRST)
    with pytest.raises(KeyHeld):
        stored.keys.claim(KeyClaim("k1", "t3", "o3"), "f")


def test_a_released_request_can_be_claimed_at_once(stored):
    """Its client was told to try again."""
    stored.keys.claim(FIRST, "f")
    stored.keys.release(FIRST)

    assert stored.keys.claim(SECOND, "f") == Begun(SECOND._replace(origin="$o1"), None)


def test_a_forgotten_key_is_new(stored):
    """Nothing came of the first request, so the client may correct it and send it under the same key."""
    stored.keys.claim(FIRST, "f")
    stored.keys.forget(FIRST)

    assert stored.keys.claim(SECOND, "g") == Begun(SECOND, None)


@pytest.mark.parametrize("answered", [True, False])
def test_a_key_is_new_after_a_day(stored, answered):
    """MongoDB deletes it a little later, which must not matter."""
    stored.keys.claim(FIRST, "f")
    if answered:
        stored.keys.keep(FIRST, ANSWER)
    stored.age(REMEMBERED + timedelta(seconds=1))

    assert stored.keys.claim(SECOND, "g") == Begun(SECOND, None)
    with pytest.raises(KeyHeld):
        stored.keys.claim(KeyClaim("k1", "t3", "o3"), "g")


def test_keys_know_nothing_of_each_other(stored):
    stored.keys.claim(FIRST, "f")
    other = KeyClaim("k2", "t2", "o2")

    assert stored.keys.claim(other, "g") == Begun(other, None)


def test_of_many_at_once_one_gets_the_key(stored):
    """A client that is impatient sends its request again while the first is on its way."""

    def claim(number: int) -> int:
        try:
            stored.keys.claim(KeyClaim("k1", f"t{number}", f"o{number}"), "f")
        except KeyHeld:
            return 0
        return 1

    with ThreadPoolExecutor(8) as threads:
        assert sum(threads.map(claim, range(24))) == 1


def test_mongodb_deletes_what_has_expired(mongo):
    """Otherwise the collection would grow for ever."""
    [index] = [each for each in mongo.idempotency_keys.list_indexes() if "expireAfterSeconds" in each]

    assert (list(index["key"]), index["expireAfterSeconds"]) == (["expires_at"], 0)
