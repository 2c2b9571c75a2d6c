"""The life of a service process: start, ready, and the one order in which it ends.

    1. SIGTERM or SIGINT: not ready any more; take nothing new (workers stop, the broker's subscriptions drain)
    2. work in hand goes on, heartbeats too, for at most `drain_timeout_s`
    3. what is left is cancelled and handed back to its queue
    4. the broker stops, the service closes what it opened
    5. flush, drain the connection, close

A second signal goes to 3 at once; a third kills. Where the service is still starting, the first one goes to 4 at once.
A part that dies by itself ends the process too, and loudly: a service that only looks alive is worse than one that is
restarted.

Exit codes: 0 after a signal, with everything finished or handed back; 1 when it could not start or a part died;
128 + the signal's number when a second one forced it.
"""

import asyncio
import logging
import signal
import sys
from collections.abc import AsyncGenerator, Callable, Generator, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, cast

from tokenbus.bus import Bus
from tokenbus.error_site import error_site
from tokenbus.errors import BusError
from tokenbus_chassis.health import serving_health
from tokenbus_chassis.logs import set_up_logs
from tokenbus_chassis.notify import notify, ready_message
from tokenbus_chassis.probe import probing
from tokenbus_chassis.settings import ServiceSettings
from tokenbus_chassis.worker import Worker

if sys.platform == "win32":
    from asyncio import new_event_loop
else:
    from uvloop import new_event_loop

if TYPE_CHECKING:  # FastStream takes 0.3 s to load, and not every service has a broker
    from tokenbus_chassis.broker import ServiceBroker

_log = logging.getLogger(__name__)

FAILED: Final = 1
FORCED: Final = 128
_SIGNALS: Final = (signal.SIGTERM, signal.SIGINT)


@dataclass(frozen=True, slots=True)
class Parts:
    """What a service consists of, made but not started."""

    workers: Sequence[Worker] = ()
    broker: "ServiceBroker | None" = None
    status: str = ""
    """One line for whoever started the service, such as the address that it listens on."""
    troubles: Callable[[], Sequence[str]] = tuple
    """What is wrong although work is taken: part of /readyz."""


OpenParts = Callable[[Bus], AbstractAsyncContextManager[Parts]]
"""A service: entering makes its parts, leaving closes what it opened for them. Background tasks of its own live in a
`TaskGroup` inside; one that raises ends the process."""


@dataclass(slots=True)
class Lifecycle:
    """Where a service stands."""

    state: str = "starting"
    stop: asyncio.Event = field(default_factory=asyncio.Event)
    """Set by the first signal."""
    forced_by: int = 0
    """The number of the second signal."""


def run(name: str, open_parts: OpenParts, *, settings: ServiceSettings) -> int:
    """Run a service until a signal, or until it dies; the exit code. `name` shows in logs and in NATS monitoring."""
    set_up_logs(settings.log_level, style=settings.log_format)
    with asyncio.Runner(loop_factory=new_event_loop) as runner:
        return runner.run(_outcome(name, open_parts, settings=settings))


async def _outcome(name: str, open_parts: OpenParts, *, settings: ServiceSettings) -> int:
    lifecycle = Lifecycle()
    try:
        with _signals_to(lifecycle, name=name):
            async with running_service(name, open_parts, settings=settings, lifecycle=lifecycle):
                await lifecycle.stop.wait()
    except asyncio.CancelledError:
        if lifecycle.forced_by:
            return FORCED + lifecycle.forced_by
        if not lifecycle.stop.is_set():
            raise
    except Exception as error:  # noqa: BLE001 - the outermost edge of the process
        for problem in _leaves(error):
            # What the bus says names servers and settings, never contents.
            said = str(problem) if isinstance(problem, BusError) else ""
            extra = {"service": name, "error": error_site(problem), "problem": said}
            _log.critical("the service died", extra=extra, exc_info=problem)
        return FAILED
    _log.info("stopped", extra={"service": name})
    return 0


@contextmanager
def _signals_to(lifecycle: Lifecycle, *, name: str) -> Generator[None]:
    """First signal: `stop`; while starting, and the second one: cancel the caller's task, too. After the second the
    system's own way is restored.
    """
    loop, main = asyncio.get_running_loop(), asyncio.current_task()

    def on_signal(number: int) -> None:
        if not lifecycle.stop.is_set():
            lifecycle.stop.set()
            if lifecycle.state == "starting" and main is not None:
                main.cancel()  # it may be waiting for NATS, or for another service, and for long
            return
        _log.warning("second signal: handing back what is in hand", extra={"service": name})
        lifecycle.forced_by = number
        restore()
        if main is not None:
            main.cancel()

    def restore() -> None:
        for number in _SIGNALS:
            loop.remove_signal_handler(number)

    for number in _SIGNALS:
        loop.add_signal_handler(number, on_signal, number)
    try:
        yield
    finally:
        restore()


@asynccontextmanager
async def running_service(
    name: str, open_parts: OpenParts, *, settings: ServiceSettings, lifecycle: Lifecycle | None = None
) -> AsyncGenerator[Bus]:
    """The service, ready while inside; leaving ends it in the order above. For `run`, and for tests in their process.

    Yields its bus. Raises what `Bus.connect` and `open_parts` raise. When a part dies the body is cancelled, and an
    exception group comes out.
    """
    life = lifecycle or Lifecycle()

    def not_ready() -> str | None:
        if life.state != "ready":
            return life.state
        return None if bus.connected else "not connected to NATS"

    def troubles() -> Sequence[str]:
        return () if parts is None else parts.troubles()

    parts: Parts | None = None
    async with AsyncExitStack() as exits:
        bus = await exits.enter_async_context(
            Bus.connect(settings.nats_url, name=name, login=settings.login(), options=settings.bus_options())
        )
        if settings.health_port:
            health = serving_health(
                host=settings.health_host, port=settings.health_port, not_ready=not_ready, troubles=troubles
            )
            await exits.enter_async_context(health)
        await exits.enter_async_context(probing(bus))
        parts = await exits.enter_async_context(open_parts(bus))
        if parts.broker is not None:
            await exits.enter_async_context(parts.broker.answering())
        for worker in parts.workers:
            await exits.enter_async_context(worker.running())
        await bus.flush()  # ready means that the server knows every subscription
        life.state = "ready"
        notify(ready_message(parts.status), notify_socket=settings.notify_socket)
        _log.info("ready", extra={"service": name, "server": bus.servers})
        try:
            yield bus
        finally:
            life.state = "draining"
            notify("STOPPING=1", notify_socket=settings.notify_socket)
            _log.info("draining", extra={"service": name})
            await _drain(parts, timeout_s=settings.drain_timeout_s)


async def _drain(parts: Parts, *, timeout_s: float) -> None:
    """Steps 1 to 3. A cancel goes to step 3 at once: each worker hands back what it has when it is left."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + timeout_s
    async with asyncio.TaskGroup() as stopping:
        for worker in parts.workers:
            stopping.create_task(worker.stop())
        if parts.broker is not None:
            stopping.create_task(parts.broker.drain(timeout_s=timeout_s))
    async with asyncio.TaskGroup() as finishing:
        for worker in parts.workers:
            finishing.create_task(worker.finish(deadline_s=max(0.0, deadline - loop.time())))


def _leaves(error: Exception) -> list[Exception]:
    """The single errors in a group, however deep."""
    if not isinstance(error, ExceptionGroup):
        return [error]
    group = cast("ExceptionGroup[Exception]", error)
    return [leaf for inner in group.exceptions for leaf in _leaves(inner)]
