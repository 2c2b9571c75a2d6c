"""The micro services that a host is to the rest of NATS: it answers `$SRV.PING`, `$SRV.INFO` and `$SRV.STATS`.

By hand, since nats-py's own service runs the calls of an endpoint one after another and forgets the received ones when
it stops. An answer is one message, so a host with more tools than fit shows itself as several instances.
"""

import secrets
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from pydantic import BaseModel

from tokenbus.bus import Bus, Message, MessageCallback, Subscription
from tokenbus.service_api import (
    VERBS,
    EndpointData,
    EndpointInfo,
    EndpointStats,
    ServiceInfo,
    ServicePing,
    ServiceStats,
    Verb,
    service_subjects,
)
from tokenbus.tool_discovery import CANDIDATE_METADATA, SINCE_METADATA, TOOL_METADATA
from tokenbus_toolkit.live_call import ServedTool

QUEUE_GROUP: Final = "tools"
"""All hosts of a tool share its calls."""


@dataclass(frozen=True, slots=True)
class ServiceName:
    """`name`: what replicas share, one token; `version`: semantic."""

    name: str
    version: str = "0.0.0"
    description: str = ""


class Listing:
    """A tool as this host lists it."""

    def __init__(self, served: ServedTool) -> None:
        self.served: Final = served
        self.since = ""
        """ISO 8601, UTC."""
        self.serves = False
        """It takes calls; else it asks whether it may."""
        self._description = served.tool.description.model_dump_json()

    @property
    def size(self) -> int:
        """Of the description, in bytes."""
        return len(self._description.encode())

    def metadata(self) -> dict[str, str]:
        """Of its endpoint."""
        metadata = {TOOL_METADATA: self._description, SINCE_METADATA: self.since}
        return metadata if self.serves else {**metadata, CANDIDATE_METADATA: "yes"}


@dataclass(slots=True)
class Instance:
    """One instance, as others see it."""

    service: ServiceName
    started: str
    id: str = field(default_factory=lambda: secrets.token_hex(8))
    endpoints: dict[str, Listing] = field(default_factory=dict[str, Listing])
    """By subject."""

    def ping(self) -> ServicePing:
        return ServicePing(name=self.service.name, id=self.id, version=self.service.version)

    def info(self) -> ServiceInfo:
        return ServiceInfo(
            name=self.service.name,
            id=self.id,
            version=self.service.version,
            description=self.service.description,
            endpoints=[
                EndpointInfo(
                    name=listing.served.tool.name,
                    subject=subject,
                    queue_group=QUEUE_GROUP,
                    metadata=listing.metadata(),
                )
                for subject, listing in self.endpoints.items()
            ],
        )

    def stats(self) -> ServiceStats:
        return ServiceStats(
            name=self.service.name,
            id=self.id,
            version=self.service.version,
            started=self.started,
            endpoints=[
                _endpoint_stats(subject, listing.served)
                for subject, listing in self.endpoints.items()
                if listing.serves
            ],
        )


def _endpoint_stats(subject: str, served: ServedTool) -> EndpointStats:
    stats = served.stats
    return EndpointStats(
        name=served.tool.name,
        subject=subject,
        queue_group=QUEUE_GROUP,
        num_requests=stats.requests,
        num_errors=stats.errors,
        last_error=stats.last_error or "",
        processing_time=stats.processing_ns,
        average_processing_time=stats.processing_ns // max(1, stats.requests),
        data=EndpointData(running=served.slots.taken, waiting=served.slots.waiting, ignored_stops=stats.ignored_stops),
    )


class Services:
    """The instances of one host. Tools may come and go."""

    def __init__(self, bus: Bus, service: ServiceName, *, started: str) -> None:
        self._bus = bus
        self._service = service
        self._started = started
        self._instances: list[tuple[Instance, list[Subscription]]] = []

    @property
    def ids(self) -> frozenset[str]:
        return frozenset(instance.id for instance, _ in self._instances)

    async def show(self, subject: str, listing: Listing) -> None:
        """List a tool, as `listing` is whenever somebody asks. Raises `BusError`."""
        for instance, _ in self._instances:
            if self._has_room(instance, listing):
                break
        else:
            instance = await self._open()
        instance.endpoints[subject] = listing

    def hide(self, subject: str) -> None:
        """List a tool no more; one that is not listed is no error."""
        for instance, _ in self._instances:
            instance.endpoints.pop(subject, None)

    async def close(self) -> None:
        """Answer no more."""
        for _, subscriptions in self._instances:
            for subscription in subscriptions:
                await subscription.unsubscribe()
        self._instances.clear()

    async def _open(self) -> Instance:
        instance = Instance(self._service, self._started)
        subscriptions: list[Subscription] = []
        self._instances.append((instance, subscriptions))
        answers: dict[Verb, Callable[[], BaseModel]] = {
            "PING": instance.ping,
            "INFO": instance.info,
            "STATS": instance.stats,
        }
        for verb in VERBS:
            for subject in service_subjects(verb, name=self._service.name, instance=instance.id):
                subscriptions.append(await self._bus.subscribe(subject, self._answer(answers[verb])))  # noqa: PERF401
        return instance

    def _answer(self, make: Callable[[], BaseModel]) -> MessageCallback:
        async def answer(message: Message) -> None:
            if message.reply:
                await self._bus.publish(message.reply, make().model_dump_json(exclude_none=True).encode())

        return answer

    def _has_room(self, instance: Instance, added: Listing) -> bool:
        """Half of the payload limit is left for the quotes that JSON inside JSON needs."""
        size = added.size + sum(listing.size for listing in instance.endpoints.values())
        return size <= self._bus.max_payload // 2
