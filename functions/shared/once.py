"""Connections that open at the first request and are then shared by every thread."""

import threading
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


def once(connect: Callable[[], T]) -> Callable[[], T]:
    """Return a function that calls `connect` at its first call and answers the same object ever after.

    Unlike functools.cache, it never calls `connect` twice when two threads come at once. If `connect`
    raises, the next call tries again.
    """
    lock = threading.Lock()
    made: list[T] = []

    def get() -> T:
        if not made:
            with lock:
                if not made:
                    made.append(connect())
        return made[0]

    return get
