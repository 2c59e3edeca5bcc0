"""End connections so that the last answer is seen, and end those of clients that do not take their answers."""

import asyncio
from collections.abc import Callable
from typing import Any

from infra.gateway.limits import Limits


class LingeringTransport(asyncio.Transport):
    """A transport that closes in stages, if the client is still sending.

    Closing a socket that has unread bytes resets the connection, and the client may lose the answer that says why.
    So only our direction is closed at first; what still comes is read and dropped, for LINGER_S and LINGER_BYTES.
    https://www.rfc-editor.org/rfc/rfc9112#section-9.6

    It also aborts when the client takes nothing of what was written for ANSWER_IDLE_S, or up to twice as long.
    """

    def __init__(
        self,
        transport: asyncio.Transport,
        loop: asyncio.AbstractEventLoop,
        limits: Limits,
        *,
        is_sending: Callable[[], bool],
        on_close: Callable[[], None],
    ) -> None:
        """`is_sending` tells whether the client may still be sending; `on_close` is called when closing begins."""
        super().__init__()
        self._transport = transport
        self._loop = loop
        self._limits = limits
        self._is_sending = is_sending
        self._on_close = on_close
        self._closing = False
        self._written_bytes = 0
        self._taken_bytes = 0
        self._dropped_bytes = 0
        self._watch: asyncio.TimerHandle | None = None
        self._linger: asyncio.TimerHandle | None = None

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        """See asyncio.BaseTransport."""
        return self._transport.get_extra_info(name, default)

    def pause_reading(self) -> None:
        """See asyncio.ReadTransport."""
        self._transport.pause_reading()

    def resume_reading(self) -> None:
        """See asyncio.ReadTransport."""
        self._transport.resume_reading()

    def is_closing(self) -> bool:
        """Tell whether nothing can be written any more."""
        return self._closing or self._transport.is_closing()

    def write(self, data: "bytes | bytearray | memoryview[Any]") -> None:
        """Write, unless it is closing."""
        if self.is_closing():
            return
        self._transport.write(data)
        self._written_bytes += len(data)
        if self._watch is None and self._transport.get_write_buffer_size():
            self._watch = self._loop.call_later(self._limits.answer_idle_s, self._look)

    def close(self) -> None:
        """Close when all that was written is sent, and in stages if the client is still sending."""
        if self.is_closing():
            return
        self._closing = True
        self._on_close()
        if not self._is_sending():
            self._transport.close()
            return
        try:
            self._transport.write_eof()
        except OSError:  # the client has gone
            self._transport.abort()
            return
        self._transport.resume_reading()
        self._linger = self._loop.call_later(self._limits.linger_s, self._give_up)

    def abort(self) -> None:
        """Close at once, and drop what is not sent."""
        self._closing = True
        self._transport.abort()

    def drop(self, data: bytes) -> None:
        """Take what a client sends that was already answered."""
        self._dropped_bytes += len(data)
        if self._dropped_bytes > self._limits.linger_bytes:
            self._transport.abort()

    def lost(self) -> None:
        """Forget the connection, which is closed."""
        self._closing = True
        for timer in (self._watch, self._linger):
            if timer is not None:
                timer.cancel()

    def _give_up(self) -> None:
        if self._transport.get_write_buffer_size():
            # It is the client that has to take its answer now, and `_look` that sees whether it does.
            self._linger = self._loop.call_later(self._limits.linger_s, self._give_up)
        else:
            self._transport.abort()

    def _look(self) -> None:
        self._watch = None
        left = self._transport.get_write_buffer_size()
        if not left:
            return
        taken = self._written_bytes - left
        if taken == self._taken_bytes:
            self._transport.abort()
            return
        self._taken_bytes = taken
        self._watch = self._loop.call_later(self._limits.answer_idle_s, self._look)
