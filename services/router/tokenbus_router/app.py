"""The router put together: what it keeps in NATS, the worker at intake, and the calls it answers."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Final

from tokenbus.bus import BucketSpec, Bus
from tokenbus_chassis.broker import ServiceBroker
from tokenbus_chassis.run import Parts
from tokenbus_chassis.terminal import TerminalWriter
from tokenbus_chassis.topology import Topology, ensure_topology
from tokenbus_chassis.worker import Worker
from tokenbus_router.admissions import Admissions
from tokenbus_router.calls import serve_calls
from tokenbus_router.catalog import Catalog
from tokenbus_router.control import Control
from tokenbus_router.dead_letters import DeadLetters
from tokenbus_router.ending import Ender
from tokenbus_router.intake import Intake
from tokenbus_router.intake_handler import IntakeHandler
from tokenbus_router.replay import Replay
from tokenbus_router.routing_table import compile_table, model_list, pools, provider_table
from tokenbus_router.settings import RouterSettings
from tokenbus_schemas import PRIORITY_CLASSES

PROVIDERS_KEY: Final = "providers"
"""Of the catalog bucket: the `ProviderTable` that executors read."""


@asynccontextmanager
async def routing(bus: Bus, *, settings: RouterSettings, catalog: Catalog) -> AsyncGenerator[Parts]:
    """A router's parts. Streams, consumers and the provider table exist when it yields. Raises `BusError`."""
    topology = settings.topology(pools=tuple(pools(catalog)))
    subjects = topology.subjects
    responses = _responses_bucket(topology)

    async def establish() -> None:
        """Everything that others wait for; again when the server has come back empty."""
        await ensure_topology(bus, topology)
        await bus.ensure_bucket(responses)
        await bus.kv_put(topology.catalog.name, PROVIDERS_KEY, provider_table(catalog).model_dump_json().encode())

    await establish()
    terminal = TerminalWriter(bus, subjects=subjects, stream=topology.results.name)
    ender = Ender(bus, subjects=subjects, terminal=terminal)
    admissions = Admissions(bus, bucket=responses.name)
    intake = Intake(compile_table(catalog), subjects, default_timeout_s=settings.request_timeout_s)
    handler = IntakeHandler(
        bus,
        subjects=subjects,
        intake=intake,
        ender=ender,
        admissions=admissions,
        dead_letters=DeadLetters(bus, subjects=subjects),
    )
    worker = Worker(
        bus,
        stream=topology.requests.name,
        consumers=[topology.request_consumer(urgency).name for urgency in PRIORITY_CLASSES],
        slots=settings.router_slots,
        handler=handler,
        ack_wait_s=settings.ack_wait_s,
        repair=establish,
    )
    broker = ServiceBroker(bus)
    models = model_list(catalog).model_dump_json().encode()
    serve_calls(
        broker,
        subjects=subjects,
        replay=Replay(bus, topology=topology, admissions=admissions).page,
        control=Control(bus, topology=topology, terminal=terminal, ender=ender, admissions=admissions).call,
        models=lambda: models,
    )
    yield Parts(workers=[worker], broker=broker)


def _responses_bucket(topology: Topology) -> BucketSpec:
    """Notes of admitted requests live as long as their results."""
    return BucketSpec(
        f"{topology.subjects.root}_responses",
        ttl_s=topology.limits.results_max_age_s,
        replicas=topology.limits.replicas,
    )
