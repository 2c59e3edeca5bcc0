"""Functions and drivers block, so they run in threads and never on the event loop."""

import asyncio
import functools
from collections.abc import Callable
from typing import Any, TypeVar

import anyio
import anyio.to_thread
from anyio.lowlevel import RunVar

T = TypeVar("T")

MAX_THREADS = 64
# While a function works on a slice, that is in memory in several shapes, of 4 to 6 MiB each.
MAX_SLICES = 8

_limiter: RunVar[anyio.CapacityLimiter] = RunVar("_limiter")
_slice_limiter: RunVar[anyio.CapacityLimiter] = RunVar("_slice_limiter")


async def in_thread(call: Callable[..., T], *arguments: object) -> T:
    """Run `call` in a thread and return what it returns. At most MAX_THREADS run at once; the others wait."""
    return await _run(_limiter, MAX_THREADS, call, *arguments)


async def slice_in_thread(call: Callable[..., T], *arguments: object) -> T:
    """As in_thread, for slices of bodies: at most MAX_SLICES run at once, and who came first is first."""
    return await _run(_slice_limiter, MAX_SLICES, call, *arguments)


def look_at(task: "asyncio.Task[Any]") -> None:
    """Look at the exception of a task at its end: asyncio would complain if whoever waits for it has gone away."""
    if not task.cancelled():
        task.exception()


async def _run(variable: RunVar[anyio.CapacityLimiter], most: int, call: Callable[..., T], *arguments: object) -> T:
    limiter = variable.get(None)
    if limiter is None:
        limiter = anyio.CapacityLimiter(most)
        variable.set(limiter)
    return await anyio.to_thread.run_sync(functools.partial(call, *arguments), limiter=limiter)
