"""The bodies of requests: read as they come, none too slow, and never too many at once."""

import math
from collections.abc import Awaitable, Callable, Iterable
from contextlib import AbstractAsyncContextManager
from typing import Any

import anyio
import pytest
from starlette.requests import ClientDisconnect
from starlette.types import Receive

from functions.shared.problems import BadRequest, Unavailable
from infra.gateway.bodies import SMALL_BODY_BYTES, Bodies, BodyReader, Memory
from infra.gateway.limits import MAX_BODY_BYTES, Limits
from infra.gateway.problems import BodyTooLarge, BodyTooSlow
from infra.gateway.requests import HttpRequest
from tests.fakes.shared import FakeClock

GONE = None


def request(**headers: str) -> HttpRequest:
    scope = {
        "method": "POST",
        "path": "/",
        "query_string": b"",
        "headers": [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()],
        "http_version": "1.1",
        "scheme": "http",
    }
    return HttpRequest.of(scope, "r1", FakeClock()())


def client(*parts: bytes | float | None, then_silent: bool = False) -> Receive:
    """Send parts; a number is a pause in seconds, GONE is the end of the connection."""
    left = list(parts)
    due = 0.0

    async def receive() -> Any:
        nonlocal due
        if left and isinstance(left[0], float):
            # A pause goes on where it was when nobody waited for its end.
            due = due or anyio.current_time() + left[0]
            await anyio.sleep_until(due)
            left.pop(0)
            due = 0.0
        if not left and then_silent:
            await anyio.sleep_forever()
        part = left.pop(0) if left else b""
        if part is GONE:
            return {"type": "http.disconnect"}
        return {"type": "http.request", "body": part, "more_body": bool(left) or then_silent}

    return receive


def reader(receive: Receive, memory: Memory | None = None, *, max_bytes: int = 10**9, **limits: Any) -> BodyReader:
    return BodyReader(
        request(transfer_encoding="chunked"), receive, Limits(**limits), memory or Memory(10**9), max_bytes=max_bytes
    )


def run(test: Callable[[], Awaitable[None]]) -> None:
    async def limited() -> None:
        with anyio.fail_after(10):
            await test()

    anyio.run(limited)


async def read_all(body: BodyReader, count: int = 1000, seconds: float = math.inf) -> list[bytes]:
    slices = []
    while not body.ended:
        slices.append(await body.read_until(count, seconds))
    return slices


@pytest.mark.parametrize("parts", [(b"abcdefgh",), (b"abc", b"def", b"gh"), (b"a",) * 8, (b"", b"abcd", b"", b"efgh")])
def test_slices_have_the_length_that_is_asked_for_however_the_bytes_come(parts: Iterable[bytes]):
    """Slices begin where chunks in storage do, and the network cuts where it likes."""

    async def test() -> None:
        body = reader(client(*parts))
        slices = await read_all(body, 3)
        assert [len(part) for part in slices] == [3, 3, 2]
        assert b"".join(slices) == b"".join(parts)
        assert body.received == 8

    run(test)


def test_what_a_slow_client_sent_is_handed_on_after_a_while():
    """Else a connection that breaks after an hour would lose what had come."""

    async def test() -> None:
        body = reader(client(b"ab", 0.2, b"cd"))
        assert await body.read_until(100, 0.05) == b"ab"
        assert await body.read_until(100, 0.01) == b""
        assert not body.ended
        assert await body.read_until(100, 10) == b"cd"
        assert body.ended

    run(test)


@pytest.mark.parametrize(("headers", "total"), [({"content_length": "5"}, 5), ({}, 0)])
def test_the_length_is_known_before_the_body_comes(headers: dict[str, str], total: int):
    """It decides how a body travels. Without any header there is no body."""
    body = BodyReader(request(**headers), client(), Limits(), Memory(1), max_bytes=5)

    assert body.total == total
    assert body.ended == (total == 0)


@pytest.mark.parametrize("length", ["x", "-1", "+1", "1e3", "1" * 5000, ""])
def test_a_length_that_is_none_is_refused(length: str):
    """int() is more generous than HTTP."""
    with pytest.raises(BadRequest):
        BodyReader(request(content_length=length), client(), Limits(), Memory(1), max_bytes=10**30)


def test_a_length_over_the_limit_is_refused_before_anything_is_read():
    """Who asks first need not send."""

    async def never() -> Any:
        raise AssertionError("it was read")

    with pytest.raises(BodyTooLarge, match="5 bytes"):
        BodyReader(request(content_length="6"), never, Limits(), Memory(1), max_bytes=5)


def test_a_body_that_grows_over_the_limit_is_refused_on_the_way():
    """A chunked body does not say how long it will be."""

    async def test() -> None:
        body = reader(client(b"abc", b"def"), max_bytes=5)
        with pytest.raises(BodyTooLarge):
            await body.read_until(100, 10)

    run(test)


def test_a_client_that_goes_silent_is_told_so_after_what_it_sent_was_taken():
    """What has come is kept where an upload can go on later."""

    async def test() -> None:
        body = reader(client(b"abc", then_silent=True), body_idle_s=0.1)
        assert await body.read_until(100, 10) == b"abc"
        with pytest.raises(BodyTooSlow):
            await body.read_until(100, 10)

    run(test)


def test_a_trickle_is_too_slow_although_it_never_stops():
    """One byte a second would keep a connection for years."""

    async def test() -> None:
        trickle = [part for _ in range(1000) for part in (0.01, b"x")]
        body = reader(client(*trickle), body_idle_s=0.2, min_body_bytes_per_s=1000)
        with pytest.raises(BodyTooSlow):
            await read_all(body)
        assert 2 <= body.received < 50

    run(test)


def test_a_slow_line_may_take_as_long_as_it_needs():
    """A video over a bad line takes hours; only what is slower than the least speed is refused."""

    async def test() -> None:
        honest = [part for _ in range(40) for part in (0.02, bytes(100))]
        body = reader(client(*honest), body_idle_s=0.2, min_body_bytes_per_s=1000)
        assert sum(map(len, await read_all(body))) == 4000

    run(test)


def test_a_fast_beginning_does_not_pay_for_a_slow_end():
    """With the average since the beginning a gigabyte would buy eleven days of silence."""

    async def test() -> None:
        body = reader(client(bytes(10**6), then_silent=True), body_idle_s=0.1, min_body_bytes_per_s=1000)
        with pytest.raises(BodyTooSlow):
            await read_all(body, 10**7)

    run(test)


def test_the_time_that_we_take_is_not_the_clients():
    """A slow database must not make clients too slow."""

    async def test() -> None:
        body = reader(client(*[bytes(10)] * 10), body_idle_s=0.1, min_body_bytes_per_s=1000)
        for _ in range(10):
            await anyio.sleep(0.03)
            assert len(await body.read_until(10, 10)) == 10

    run(test)


@pytest.mark.parametrize("seconds", [0.05, 10])
def test_a_client_that_goes_away_is_known_after_what_it_sent_was_taken(seconds: float):
    """What has come of an upload is kept, and the last of it says that it is broken."""

    async def test() -> None:
        body = reader(client(b"abc", GONE))
        assert await body.read_until(100, seconds) == b"abc"
        with pytest.raises(ClientDisconnect):
            await body.read_until(100, seconds)

    run(test)


def test_short_memory_makes_slices_short_and_nobody_waits_for_ever():
    """Two readers that each hold a part and wait for the other's memory would never end."""

    async def test() -> None:
        memory = Memory(1000)
        sizes: list[int] = []
        most = 0

        async def upload() -> None:
            nonlocal most
            with reader(client(*[bytes(100)] * 50), memory) as body:
                while not body.ended:
                    sizes.append(len(await body.read_until(800, 10)))
                    most = max(most, memory.held_bytes)
                    await anyio.sleep(0.001)

        async with anyio.create_task_group() as group:
            for _ in range(20):
                group.start_soon(upload)

        assert sum(sizes) == 20 * 50 * 100
        assert max(sizes) <= 800
        # One part more each, at most, is in the server's own buffer anyway.
        assert most <= 1000 + 20 * 100
        assert memory.held_bytes == 0

    run(test)


def test_slow_clients_do_not_take_the_memory_of_a_fast_one():
    """Memory is for what comes, not for what was announced."""

    async def test() -> None:
        memory = Memory(1000)

        async def trickle() -> None:
            with reader(client(*[part for _ in range(1000) for part in (b"x", 0.01)]), memory) as body:
                while not body.ended:
                    await body.read_until(800, 0.1)

        async with anyio.create_task_group() as group:
            for _ in range(20):
                group.start_soon(trickle)
            await anyio.sleep(0.05)
            with reader(client(*[bytes(50)] * 100), memory) as body:
                slices = await read_all(body, 200, 5)
            group.cancel_scope.cancel()

        assert [len(part) for part in slices if part] == [200] * 25

    run(test)


def test_what_was_returned_counts_until_the_call_after_the_next_or_the_end():
    """While a function works on one slice the next one is read, and both are in memory."""

    async def test() -> None:
        memory = Memory(1000)
        with reader(client(b"abc", b"de", b"f"), memory) as body:
            assert memory.held_bytes == 0
            await body.read_until(4, 10)
            assert memory.held_bytes == 5
            await body.read_until(1, 10)
            assert memory.held_bytes == 5
            await body.read_until(1, 10)
            assert memory.held_bytes == 2
        assert memory.held_bytes == 0

    run(test)


def test_who_waits_for_memory_is_served_in_turn():
    """Else uploads that have begun would keep new ones out until they end."""

    async def test() -> None:
        memory = Memory(100)
        order: list[str] = []

        async def upload(name: str) -> None:
            with reader(client(*[bytes(100)] * 20), memory) as body:
                while not body.ended:
                    if await body.read_until(100, 10):
                        order.append(name)
                    await anyio.sleep(0)

        async with anyio.create_task_group() as group:
            for name in "abc":
                group.start_soon(upload, name)

        assert memory.held_bytes == 0
        assert all(order[:30].count(name) >= 8 for name in "abc")

    run(test)


def test_two_that_are_called_at_once_keep_their_places_in_line():
    """Memory may become free in two steps before the first of them looks. The second must not pass it then."""

    async def test() -> None:
        memory = Memory(10)
        memory.hold(10)
        served: list[int] = []

        async def take(count: int) -> None:
            await memory.wait(count)
            memory.hold(count)
            served.append(count)

        async with anyio.create_task_group() as group:
            for count in (8, 1):
                group.start_soon(take, count)
                await anyio.wait_all_tasks_blocked()
            memory.let_go(1)
            memory.let_go(1)
            await anyio.wait_all_tasks_blocked()
            assert served == []
            memory.let_go(7)

        assert served == [8, 1]

    run(test)


def test_who_gives_up_waiting_for_memory_lets_the_next_one_in():
    """A turn that nobody takes would stop everybody behind it."""

    async def test() -> None:
        memory = Memory(1)
        memory.hold(1)
        entered = anyio.Event()

        async def give_up(scope: anyio.CancelScope) -> None:
            with scope:
                await memory.wait(1)

        async def stay() -> None:
            await memory.wait(1)
            entered.set()

        async with anyio.create_task_group() as group:
            early, late = anyio.CancelScope(), anyio.CancelScope()
            for waiter in (early, late):
                group.start_soon(give_up, waiter)
            group.start_soon(stay)
            await anyio.wait_all_tasks_blocked()
            early.cancel()
            await anyio.wait_all_tasks_blocked()
            # Called and cancelled in the same turn of the event loop.
            memory.let_go(1)
            late.cancel()
            await entered.wait()

    run(test)


def whole(bodies: Bodies, receive: Receive) -> AbstractAsyncContextManager[bytes]:
    return bodies.whole(request(transfer_encoding="chunked"), receive)


def test_a_thousand_large_bodies_take_turns():
    """Together they would be 4.6 GB. Who waits is not refused."""

    async def test() -> None:
        bodies = Bodies(Limits(max_buffered_bytes=4 * MAX_BODY_BYTES))
        part = bytes(MAX_BODY_BYTES // 4)
        inside = most = ended = 0

        async def post() -> None:
            nonlocal inside, most, ended
            async with whole(bodies, client(part, part, part, part)) as body:
                inside += 1
                most = max(most, inside)
                assert len(body) == 4 * len(part)
                await anyio.sleep(0)
                inside -= 1
            ended += 1

        async with anyio.create_task_group() as group:
            for _ in range(1000):
                group.start_soon(post)

        assert ended == 1000
        assert most == 4

    run(test)


def test_a_small_body_does_not_wait_for_large_ones():
    """Slow clients with large bodies must not keep anybody from logging in."""

    async def test() -> None:
        bodies = Bodies(Limits(max_buffered_bytes=MAX_BODY_BYTES))
        large = client(bytes(SMALL_BODY_BYTES), b"x", then_silent=True)
        async with anyio.create_task_group() as group:

            async def hog() -> None:
                async with whole(bodies, large):
                    raise AssertionError("it does not end")

            group.start_soon(hog)
            await anyio.sleep(0.01)
            async with whole(bodies, client(bytes(SMALL_BODY_BYTES))) as body:
                assert len(body) == SMALL_BODY_BYTES
            group.cancel_scope.cancel()

    run(test)


def test_memory_comes_back_from_requests_that_failed():
    """Else the gateway would fall silent one refusal at a time."""

    async def test() -> None:
        bodies = Bodies(Limits(max_buffered_bytes=MAX_BODY_BYTES, body_idle_s=0.05))
        for ending, error in ((GONE, ClientDisconnect), (1.0, BodyTooSlow), (bytes(MAX_BODY_BYTES), BodyTooLarge)):
            with pytest.raises(error):
                async with whole(bodies, client(bytes(SMALL_BODY_BYTES), b"x", ending)):
                    raise AssertionError("it has failed")
        with pytest.raises(RuntimeError):
            async with whole(bodies, client(bytes(MAX_BODY_BYTES))):
                raise RuntimeError

        async with whole(bodies, client(bytes(MAX_BODY_BYTES))) as body:
            assert len(body) == MAX_BODY_BYTES

    run(test)


def test_a_whole_body_has_a_time_to_come_whatever_its_speed():
    """It stays in memory, unlike a slice."""

    async def test() -> None:
        steady = [part for _ in range(100) for part in (0.01, bytes(100))]
        bodies = Bodies(Limits(body_timeout_s=0.1))
        with pytest.raises(BodyTooSlow):
            async with whole(bodies, client(*steady)):
                raise AssertionError("it has failed")

    run(test)


def test_without_memory_for_too_long_it_is_not_the_client_who_is_at_fault():
    """503 says that the same request may work later; 408 would say that it was too slow."""

    async def test() -> None:
        bodies = Bodies(Limits(max_buffered_bytes=MAX_BODY_BYTES, body_timeout_s=0.1))
        async with whole(bodies, client(bytes(MAX_BODY_BYTES))):
            with pytest.raises(Unavailable):
                async with whole(bodies, client(bytes(SMALL_BODY_BYTES), b"x")):
                    raise AssertionError("it has failed")

    run(test)
