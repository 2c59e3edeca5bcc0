"""Functions and drivers block, so they run in threads and never on the event loop."""

import functools
from collections.abc import Callable
from typing import TypeVar

import anyio
import anyio.to_thread
from anyio.lowlevel import RunVar

T = TypeVar("T")

MAX_THREADS = 64

_limiter: RunVar[anyio.CapacityLimiter] = RunVar("_limiter")


async def in_thread(call: Callable[..., T], *arguments: object) -> T:
    """Run `call` in a thread and return what it returns. At most MAX_THREADS run at once; the others wait."""
    limiter = _limiter.get(None)
    if limiter is None:
        limiter = anyio.CapacityLimiter(MAX_THREADS)
        _limiter.set(limiter)
    return await anyio.to_thread.run_sync(functools.partial(call, *arguments), limiter=limiter)
