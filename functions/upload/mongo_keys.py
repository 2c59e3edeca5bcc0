"""Idempotency keys, in MongoDB."""

from datetime import timedelta
from typing import cast

import msgspec
import pymongo
from pymongo import ReturnDocument
from pymongo.database import Database
from pymongo.errors import DuplicateKeyError

from functions.shared.mongo import Document, mongo_errors, to_builtins
from functions.upload.keys import LEASE, REMEMBERED, Begun, KeptAnswer, KeyClaim, KeyHeld, KeyTaken

# Leases are measured by the server's clock alone, so the functions' clocks may differ.
_NOW = "$$NOW"
# What is noted when a request was answered, or given up, must not cost it the rest of its 29 s. A note that is lost
# costs a repeat a minute.
_NOTE_S = 3


class MongoIdempotencyKeys:
    """The collection `idempotency_keys`. Implements IdempotencyKeys.

    A document is `{"_id": key, "fingerprint", "origin", "token", "held_until", "answer", "expires_at"}`. A TTL index
    deletes it some time after `expires_at`; from that moment on it counts as none.
    """

    def __init__(
        self, database: Database[Document], *, lease: timedelta = LEASE, remembered: timedelta = REMEMBERED
    ) -> None:
        self._collection = database.idempotency_keys
        self._lease = lease
        self._remembered = remembered

    def claim(self, claim: KeyClaim, fingerprint: str) -> Begun:
        """See IdempotencyKeys."""
        try:
            document = self._claim(claim, fingerprint)
        except DuplicateKeyError:
            # Two came at once with a new key. Now it is not new any more.
            document = self._claim(claim, fingerprint)
        if document["fingerprint"] != fingerprint:
            raise KeyTaken(claim.key)
        answer = document["answer"]
        if answer is None and document["token"] != claim.token:
            raise KeyHeld(claim.key)
        kept = None if answer is None else msgspec.convert(answer, KeptAnswer)
        return Begun(KeyClaim(claim.key, document["token"], document["origin"]), kept)

    def keep(self, claim: KeyClaim, answer: KeptAnswer) -> None:
        """See IdempotencyKeys."""
        with mongo_errors(), pymongo.timeout(_NOTE_S):
            self._collection.update_one(_held(claim), {"$set": {"answer": to_builtins(answer)}})

    def release(self, claim: KeyClaim) -> None:
        """See IdempotencyKeys."""
        with mongo_errors(), pymongo.timeout(_NOTE_S):
            self._collection.update_one({**_held(claim), "answer": None}, {"$set": {"held_until": None}})

    def forget(self, claim: KeyClaim) -> None:
        """See IdempotencyKeys."""
        with mongo_errors(), pymongo.timeout(_NOTE_S):
            self._collection.delete_one(_held(claim))

    def _claim(self, claim: KeyClaim, fingerprint: str) -> Document:
        mine = {"token": {"$literal": claim.token}, "held_until": _after(self._lease)}
        new = {
            "_id": "$_id",
            "fingerprint": {"$literal": fingerprint},
            "origin": {"$literal": claim.origin},
            **mine,
            "answer": None,
            "expires_at": _after(self._remembered),
        }
        # What is not there sorts before every time, and so has expired and is not held.
        has_expired = {"$lte": ["$expires_at", _NOW]}
        is_free = {
            "$and": [
                {"$eq": ["$fingerprint", {"$literal": fingerprint}]},
                {"$eq": ["$answer", None]},
                {"$lte": ["$held_until", _NOW]},
            ]
        }
        again = {"$cond": [is_free, {"$mergeObjects": ["$$ROOT", mine]}, "$$ROOT"]}
        with mongo_errors():
            document = self._collection.find_one_and_update(
                {"_id": claim.key},
                [{"$replaceWith": {"$cond": [has_expired, new, again]}}],
                upsert=True,
                return_document=ReturnDocument.AFTER,
            )
        # With `upsert` there always is one.
        return cast("Document", document)


def _held(claim: KeyClaim) -> Document:
    return {"_id": claim.key, "token": claim.token, "origin": claim.origin}


def _after(time: timedelta) -> Document:
    return {"$add": [_NOW, round(time.total_seconds() * 1000)]}
