"""Shortcuts through nats-py's client for messages that come or go alone, as tokens do: a turn of the event loop each.

- nats-py queues a message for a task of its subscription, which calls back. `call_inline` calls back where it is read.
- nats-py wakes a task that writes. Here the first message of a turn is written at once, and all others of that turn
  together at its end. With much unsent at the socket it stays with that task, which waits until the server has read.
- Every write costs its sender and the server up to 0.1 ms. `publish_lingering` is for what can wait for another one.

Read in nats-py 2.16.0, `nats/aio/client.py`.
"""

import asyncio
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Final

from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.aio.subscription import Subscription

InlineCallback = Callable[[str, bytes, Mapping[str, str], str], None]
"""Subject, payload, headers, reply subject. Must not raise."""

NO_HEADERS: Final[Mapping[str, str]] = MappingProxyType({})
_LINGER_S: Final = 0.005
_UNSENT_BYTES: Final = 64 * 1024


class QuickClient(Client):
    """See the module's text."""

    _resp_map: "dict[str, asyncio.Future[Msg]]"

    def __init__(self) -> None:
        super().__init__()
        self._inline: dict[int, InlineCallback] = {}
        self._lingers = False
        self._linger_timer: asyncio.TimerHandle | None = None
        self._wrote = False
        """In this turn of the event loop."""

    def call_inline(self, subscription: Subscription, callback: InlineCallback) -> None:
        """From now on `callback` is called for each message in the task that reads the connection."""
        self._inline[subscription._id] = callback  # pyright: ignore[reportPrivateUsage]  it has no other name

    def _remove_sub(self, sid: int, max_msgs: int = 0) -> None:
        self._inline.pop(sid, None)
        super()._remove_sub(sid, max_msgs)

    async def _process_msg(self, sid: int, subject: bytes, reply: bytes, data: bytes, headers: bytes) -> None:
        callback = self._inline.get(sid)
        if callback is None:
            await super()._process_msg(sid, subject, reply, data, headers)
            return
        self.stats["in_msgs"] += 1
        self.stats["in_bytes"] += len(data)
        parsed: Mapping[str, str] = NO_HEADERS
        if headers:
            parsed = await self._process_headers(headers) or NO_HEADERS  # pyright: ignore[reportUnknownMemberType]  untyped bytes
        callback(subject.decode(errors="replace"), data, parsed, reply.decode(errors="replace"))

    async def _init_request_sub(self) -> None:
        await super()._init_request_sub()
        prefix = (self._resp_sub_prefix or b"").decode()
        for subscription in self._subs.values():
            if subscription.subject == prefix + "*":
                self.call_inline(subscription, self._on_reply)

    def _on_reply(self, subject: str, data: bytes, headers: Mapping[str, str], reply: str) -> None:
        waiting = self._resp_map.get(subject.rpartition(".")[2])
        if waiting is not None and not waiting.done():
            message = Msg(_client=self, subject=subject, reply=reply, data=data, headers=dict(headers) or None)
            waiting.set_result(message)

    async def publish_lingering(self, subject: str, payload: bytes, reply: str, headers: dict[str, str] | None) -> None:
        """As `publish`, for what nobody waits for: written with the next message, at the latest after a moment."""
        self._lingers = True
        try:
            await self.publish(subject, payload, reply, headers)
        finally:
            self._lingers = False

    async def _flush_pending(self, force_flush: bool = False) -> object:  # noqa: FBT001, FBT002 - nats-py's
        if self._lingers and not force_flush:
            if self._linger_timer is None:
                self._linger_timer = asyncio.get_running_loop().call_later(_LINGER_S, self._end_linger)
            return None
        if not force_flush and self._write_in_turn():
            return None
        return await super()._flush_pending(force_flush)

    def _write_in_turn(self) -> bool:
        """Whether what is pending was written, or will be at the end of this turn of the event loop."""
        if not self._can_write():
            return False
        if not self._wrote:
            self._wrote = True
            asyncio.get_running_loop().call_soon(self._end_turn)
            self._write()
        return True

    def _end_turn(self) -> None:
        self._wrote = False
        self._write_rest()

    def _end_linger(self) -> None:
        self._linger_timer = None
        self._write_rest()

    def _write_rest(self) -> None:
        if not self._pending or not self.is_connected:
            return
        if self._can_write():
            self._write()
        elif self._flush_queue is not None and self._flush_queue.empty():
            self._flush_queue.put_nowait(asyncio.get_running_loop().create_future())

    def _can_write(self) -> bool:
        writer = self._writer()
        return (
            writer is not None
            and self.is_connected
            and not writer.is_closing()
            and writer.transport.get_write_buffer_size() < _UNSENT_BYTES
        )

    def _write(self) -> None:
        writer = self._writer()
        assert writer is not None, "asked for by those who know that there is one"
        pending, self._pending, self._pending_data_size = self._pending, [], 0
        writer.writelines(pending)

    def _writer(self) -> asyncio.StreamWriter | None:
        """None over a WebSocket, and before the first connection."""
        writer = getattr(self._transport, "_io_writer", None)
        return writer if isinstance(writer, asyncio.StreamWriter) else None
