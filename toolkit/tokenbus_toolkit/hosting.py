"""Hosts tools: in a service that has a bus, or as a whole process."""

import asyncio
import signal
from collections.abc import AsyncGenerator, Iterable, Sequence
from contextlib import asynccontextmanager
from typing import Final

from tokenbus.bus import Bus, BusOptions, Login
from tokenbus.stream_specs import bucket_stream
from tokenbus.tool_journal import journal_bucket, journal_stream
from tokenbus_schemas.subjects import DEFAULT_ROOT, Subjects, check_token
from tokenbus_toolkit.host import ToolHost
from tokenbus_toolkit.journal import JournalTimes
from tokenbus_toolkit.service import ServiceName
from tokenbus_toolkit.tool import Tool

DRAIN_TIMEOUT_S: Final = 20.0
ASK_AGAIN_S: Final = 10.0
_SIGNALS: Final = (signal.SIGTERM, signal.SIGINT)


async def serve_tools(
    tools: Iterable[Tool],
    *,
    servers: str | Sequence[str],
    service: ServiceName,
    root: str = DEFAULT_ROOT,
    login: Login | None = None,
    options: BusOptions | None = None,
    drain_timeout_s: float = DRAIN_TIMEOUT_S,
) -> None:
    """A whole process: connect, host `tools` until SIGTERM or SIGINT, finish what is in hand, return.

    Takes over the two signals of the process; a second one then ends it at once. Raises as `tool_host` and
    `Bus.connect`.
    """
    loop, ended = asyncio.get_running_loop(), asyncio.Event()

    def end() -> None:
        ended.set()
        for number in _SIGNALS:
            loop.remove_signal_handler(number)

    for number in _SIGNALS:
        loop.add_signal_handler(number, end)
    async with (
        Bus.connect(servers, name=service.name, login=login, options=options) as bus,
        tool_host(bus, tools, service=service, root=root, drain_timeout_s=drain_timeout_s),
    ):
        await ended.wait()


@asynccontextmanager
async def tool_host(
    bus: Bus,
    tools: Iterable[Tool],
    *,
    service: ServiceName,
    root: str = DEFAULT_ROOT,
    drain_timeout_s: float = DRAIN_TIMEOUT_S,
    times: JournalTimes | None = None,
    ask_again_s: float = ASK_AGAIN_S,
) -> AsyncGenerator[ToolHost]:
    """Hosts `tools` on `bus` while inside; replicas of the same service share the calls.

    On leaving, calls that were received are run and those in hand finished; after `drain_timeout_s` they are stopped,
    and their callers told what is known. `ask_again_s`: how often a refused name is asked for again.

    Raises `ToolDefinitionError`, `ValueError` for a service name that is no token, and `BusError` when the journal can
    not be had; from inside, as an `ExceptionGroup`.
    """
    check_token("service name", service.name)
    subjects = Subjects(root)

    async def ensure_journal() -> None:
        if bucket_stream(journal_bucket(root)) not in await bus.stream_names():
            await bus.ensure_stream(journal_stream(root))

    await ensure_journal()
    forget = bus.on_reconnect(ensure_journal)
    try:
        async with asyncio.TaskGroup() as group:
            host = ToolHost(
                bus,
                service,
                subjects=subjects,
                group=group,
                times=times,
                ask_again_s=ask_again_s,
            )
            cancels = await bus.subscribe(subjects.all_tool_cancels(), host.receive_cancel)
            beating = group.create_task(host.beat())
            asking = group.create_task(host.ask_again())
            try:
                await host.serve(tools)
                yield host
            finally:
                asking.cancel()
                await host.stop(timeout_s=drain_timeout_s)
                await cancels.unsubscribe()
                beating.cancel()
    finally:
        forget()
