"""The router put together: what it keeps in NATS, the worker at intake, and the calls it answers."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Final

from tokenbus.bus import Bus
from tokenbus_chassis.broker import ServiceBroker
from tokenbus_chassis.dead_letters import DeadLetters
from tokenbus_chassis.delivery_limit import DeliveryLimit
from tokenbus_chassis.payloads import Payloads
from tokenbus_chassis.run import Parts
from tokenbus_chassis.terminal import TerminalWriter
from tokenbus_chassis.topology import class_rank
from tokenbus_chassis.worker import Worker
from tokenbus_router.calls import serve_calls
from tokenbus_router.catalog import Catalog
from tokenbus_router.catalog_file import CatalogFile
from tokenbus_router.catalog_keeper import CatalogKeeper
from tokenbus_router.control import Control
from tokenbus_router.conversations import Conversations
from tokenbus_router.deadlines import Deadlines
from tokenbus_router.ending import Ender
from tokenbus_router.intake import Intake
from tokenbus_router.intake_handler import IntakeHandler
from tokenbus_router.large import LargeRequests
from tokenbus_router.lines import Lines
from tokenbus_router.queue_notes import QueueNotes
from tokenbus_router.records import Records
from tokenbus_router.replay import Replay
from tokenbus_router.settings import RouterSettings
from tokenbus_router.stored_responses import StoredResponses
from tokenbus_router.unattended import Unattended
from tokenbus_router.uploads import Uploads
from tokenbus_schemas import PRIORITY_CLASSES

_CLASS_RESERVE: Final = (0.75, 0.94)
"""Of the slots. A request is in the router's hands for a millisecond, most of it on the processor: what counts is how
many others stand before it there. A sixteenth of the slots is enough to route low requests as fast as it goes."""
_DEADLINES: Final = 32
"""Requests whose time is up that one router ends at once. Each waits up to 0.5 s for an executor that runs it."""


@asynccontextmanager
async def routing(
    bus: Bus, *, settings: RouterSettings, catalog: Catalog, file: CatalogFile | None = None
) -> AsyncGenerator[Parts]:
    """A router's parts. Streams, consumers and the provider table exist when it yields. Raises `BusError`.

    `file`: where the catalog is from; its changes are taken while inside.
    """
    topology = settings.topology()
    subjects = topology.subjects
    keeper = CatalogKeeper(bus, settings=settings, catalog=catalog, file=file or CatalogFile(None))
    await keeper.establish()
    terminal = TerminalWriter(bus, subjects=subjects, stream=topology.results.name)
    ender = Ender(bus, subjects=subjects, terminal=terminal)
    notes = QueueNotes(bus, subjects=subjects, stream=topology.results.name)
    unattended = Unattended(bus, topology=topology, ender=ender)
    records = Records(bus, bucket=topology.responses)
    payloads = Payloads(bus, topology=topology)
    lines = Lines(bus, topology=topology, places=settings.places())
    conversations = Conversations(bus, topology=topology, records=records)
    handler = IntakeHandler(
        bus,
        intake=Intake(
            lambda: keeper.in_use.table,
            subjects,
            default_timeout_s=settings.request_timeout_s,
            stores=settings.store_responses,
        ),
        lines=lines,
        large=LargeRequests(payloads, max_bytes=settings.request_max_bytes, slots=settings.large_slots),
        terminal=terminal,
        ender=ender,
        records=records,
        conversations=conversations,
        notes=notes,
        unattended=unattended,
        dead_letters=DeadLetters(bus, subjects=subjects, kind="requests"),
    )
    worker = Worker(
        bus,
        stream=topology.requests.name,
        consumers=[topology.request_consumer(urgency).name for urgency in PRIORITY_CLASSES],
        slots=settings.router_slots,
        handler=DeliveryLimit(
            bus,
            topology=topology,
            stream=topology.requests.name,
            handler=handler,
            give_up=handler.give_up,
            most=settings.max_deliveries,
        ),
        rank=class_rank,
        reserve=_CLASS_RESERVE,
        ack_wait_s=settings.ack_wait_s,
        repair=keeper.establish,
    )
    deadlines = Worker(
        bus,
        stream=topology.results.name,
        consumers=[topology.due_consumer().name],
        slots=_DEADLINES,
        handler=Deadlines(subjects=subjects, terminal=terminal, unattended=unattended),
        ack_wait_s=settings.ack_wait_s,
        repair=keeper.establish,
    )
    control = Control(bus, topology=topology, terminal=terminal, unattended=unattended, notes=notes, records=records)
    responses = StoredResponses(
        bus, topology=topology, terminal=terminal, control=control, records=records, conversations=conversations
    )
    broker = ServiceBroker(bus)
    serve_calls(
        broker,
        subjects=subjects,
        replay=Replay(bus, topology=topology, notes=notes).page,
        control=control.call,
        responses=responses.call,
        uploads=Uploads(
            payloads, max_bytes=settings.request_max_bytes, default_timeout_s=settings.request_timeout_s
        ).keep,
        models=lambda: keeper.in_use.models,
        catalog=lambda: keeper.report().model_dump_json().encode(),
    )
    async with asyncio.TaskGroup() as tasks:
        own = [tasks.create_task(side()) for side in (keeper.follow, keeper.guard, lines.advance)]
        yield Parts(workers=[worker, deadlines], broker=broker, troubles=keeper.troubles)
        for task in own:
            task.cancel()
