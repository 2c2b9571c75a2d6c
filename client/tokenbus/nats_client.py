"""nats-py's client, mended. tests/client/test_bus_core.py and test_bus_connect.py show each fault.

Read in nats-py 2.16.0, `nats/aio/client.py`:

- A flush that times out or is cancelled leaves its future among the awaited pongs; the late PONG then raises in the
  read loop, which ends: the connection is deaf until the pings give it up.
- PING goes straight to the socket, ahead of messages that are still queued, so a flush proves nothing about them.
- Every `-ERR` of the server except two closes the client for good, an expired login and a full server included.
- Closing writes what is unsent to the socket and waits for it: a dead one raises, a stalled one never returns. Leaving
  a server for another one closes first, so a frozen server with bytes on their way to it was never left.
- An attempt to connect that fails half-way leaves its socket open.
- A drain that is cut short leaves its subscription in the list that a reconnect subscribes anew.
- A `tls://` URL is satisfied by a server that offers no TLS: the login goes out in the clear.
- A message whose subject or headers are no text ends the read loop (`nats_parser.py`).
"""

import asyncio

from nats import errors
from nats.aio.client import PING_PROTO, Srv
from nats.aio.msg import Msg
from nats.aio.subscription import Subscription
from nats.protocol.parser import PERMISSIONS_ERR, STALE_CONNECTION

from tokenbus.nats_parser import TolerantParser, as_text
from tokenbus.nats_shortcuts import QuickClient


class NatsClient(QuickClient):
    """See the module's text. Reconnects whatever the server says; closed only by `close()`."""

    _pongs: "list[asyncio.Future[bool]]"

    def __init__(self) -> None:
        super().__init__()
        self._ps = TolerantParser(self)

    async def flush_within(self, timeout_s: float) -> None:
        """The server has everything published before. Raises `TimeoutError`; safe to cancel."""
        reached: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        async with asyncio.timeout(timeout_s):
            await self._send_ping(reached)
            await reached

    async def close_within(self, timeout_s: float) -> bool:
        """Closes for good; whether the server had everything before, which it gets `timeout_s` to take."""
        everything = False
        try:
            if self.is_connected:
                await self.flush_within(timeout_s)
                everything = True
        except TimeoutError:
            pass
        finally:
            if not everything:
                self._pending, self._pending_data_size = [], 0
                self._cut()
            await self.close()
        return everything

    async def close(self) -> None:
        if self._flush_queue is not None:  # else connect() failed before it began, and closing would too
            await super().close()

    def forget(self, subscription: Subscription) -> None:
        """No further callbacks, and no renewal at a reconnect, whatever state a drain has left it in."""
        subscription._stop_processing()  # pyright: ignore[reportPrivateUsage]  unsubscribe() refuses after a drain
        self._remove_sub(subscription._id)  # pyright: ignore[reportPrivateUsage]  the same

    def _cut(self) -> None:
        """Drop the connection with all that is on its way."""
        writer = self._writer()
        if writer is not None:
            writer.transport.abort()

    async def _attempt_reconnect(self) -> None:
        self._cut()
        await super()._attempt_reconnect()

    async def _connect_to_server(self, s: Srv) -> None:
        if self._transport is not None:
            self._transport.close()
        await super()._connect_to_server(s)

    async def _send_ping(self, future: "asyncio.Future[bool] | None" = None) -> None:
        self._pongs.append(asyncio.get_running_loop().create_future() if future is None else future)
        await self._send_command(PING_PROTO)
        # One kick is enough for all that is queued. A full flush queue would block here, where nats-py eats a cancel.
        if self._flush_queue is not None and self._flush_queue.empty():
            await self._flush_pending()

    async def _process_headers(self, headers: bytes) -> dict[str, str] | None:
        try:
            return await super()._process_headers(headers)  # pyright: ignore[reportUnknownMemberType]  untyped bytes
        except (UnicodeDecodeError, IndexError):
            return self._parse_header_lines(headers.partition(b"\r\n")[2])

    def _build_message(
        self, sid: int, subject: bytes, reply: bytes, data: bytes, headers: dict[str, str] | None
    ) -> Msg:
        try:
            return super()._build_message(sid, subject, reply, data, headers)
        except UnicodeDecodeError:
            return super()._build_message(sid, as_text(subject), as_text(reply), data, headers)

    async def _process_pong(self) -> None:
        if self._pongs and self._pongs[0].done():
            self._pongs[0] = asyncio.get_running_loop().create_future()
        await super()._process_pong()

    async def _process_err(self, err_msg: str) -> None:
        if STALE_CONNECTION in err_msg or PERMISSIONS_ERR in err_msg:
            await super()._process_err(err_msg)
            return
        error = errors.Error(f"nats: {err_msg}")
        await self._error_cb(error)
        await self._process_op_err(error)

    def _connect_command(self) -> bytes:
        scheme = self._current_server.uri.scheme if self._current_server is not None else ""
        encrypted = self._server_info.get("tls_required", False) or self.options["tls_handshake_first"]
        if scheme not in ("ws", "wss") and (scheme == "tls" or "tls" in self.options) and not encrypted:
            raise errors.SecureConnWantedError
        return super()._connect_command()
