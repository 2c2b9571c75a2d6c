"""A wire between services and NATS that brings a service down in the moment in which something passes over it.

The services are the real processes, unchanged, with the wire's address for that of NATS. So a point in the life of a
request is what is then on the wire: the publish of its work, the first event, the acknowledgement.
"""

import asyncio
import re
import signal
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Literal, NamedTuple
from urllib.parse import urlsplit

from tests.e2e.processes import Service

CHUNK_BYTES = 2**18


class Place(NamedTuple):
    """What has to pass for a service to fall."""

    pattern: str
    """A regular expression for bytes of the NATS protocol."""
    when: Literal["sent", "answered", "received"]
    """`sent`: by the service, and NATS does not get it before the fall; `answered`: NATS has it, the service is about
    to learn that; `received`: NATS has sent it, the service does not get it before the fall."""
    times: int = 1
    """The fall is at this occurrence."""


class Tripwire:
    """Brings down the first of its services on whose wire the place is reached, and no other."""

    def __init__(self, place: Place, *, number: signal.Signals) -> None:
        self._pattern = re.compile(place.pattern.encode(), re.DOTALL)
        self._when = place.when
        self._left = place.times
        self._signal = number
        self.fallen: Service | None = None
        self._fell = asyncio.Event()
        self._up_again = asyncio.Event()

    async def fell(self) -> Service:
        """Returns when somebody has fallen."""
        await self._fell.wait()
        assert self.fallen is not None
        return self.fallen

    def thaw(self) -> None:
        """What was held by the wire goes on its way, as far as there is still somebody who gets it."""
        self._up_again.set()

    def reached(self, chunk: bytes) -> bool:
        """Whether the place is in this chunk, for the first time."""
        if self._left > 0:
            self._left -= len(self._pattern.findall(chunk))
            return self._left <= 0
        return False

    async def fall(self, service: Service) -> bool:
        """Whether the service may go on to get and send what is on its way."""
        self.fallen = service
        service.process.send_signal(self._signal)
        self._fell.set()
        if self._signal == signal.SIGSTOP and self._when == "sent":
            await self._up_again.wait()
        return self._signal != signal.SIGKILL

    @property
    def at_sending(self) -> bool:
        return self._when != "received"

    @property
    def at_answer(self) -> bool:
        return self._when == "answered"


class Wire:
    """The wire of one service."""

    def __init__(self, tripwire: Tripwire, *, nats_url: str) -> None:
        self._tripwire = tripwire
        self._nats = urlsplit(nats_url)
        self._service: Service | None = None
        self._awaits_answer = False
        self.url = ""

    def watch(self, service: Service) -> None:
        """From now on it may fall."""
        self._service = service

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        from_nats, to_nats = await asyncio.open_connection(self._nats.hostname, self._nats.port)
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._pump(reader, to_nats, outward=True))
                group.create_task(self._pump(from_nats, writer, outward=False))
        except* ConnectionError:
            pass
        finally:
            writer.transport.abort()
            to_nats.transport.abort()

    async def _pump(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter, *, outward: bool) -> None:
        while chunk := await source.read(CHUNK_BYTES):
            service = self._service
            if service is not None and self._falls(chunk, outward=outward) and not await self._tripwire.fall(service):
                break
            sink.write(chunk)
            await sink.drain()
        raise ConnectionResetError

    def _falls(self, chunk: bytes, *, outward: bool) -> bool:
        if not outward and self._awaits_answer:
            self._awaits_answer = False
            return True
        reached = outward == self._tripwire.at_sending and self._tripwire.reached(chunk)
        if reached and self._tripwire.at_answer:
            self._awaits_answer = True
            return False
        return reached


@asynccontextmanager
async def wire(tripwire: Tripwire, *, nats_url: str) -> AsyncGenerator[Wire]:
    """A wire to NATS, at an address of its own."""
    made = Wire(tripwire, nats_url=nats_url)
    server = await asyncio.start_server(made.serve, "127.0.0.1", 0)
    async with server:
        host, port = server.sockets[0].getsockname()
        made.url = f"nats://{host}:{port}"
        yield made
