"""The streams, consumers and buckets of one Tokenbus, and how they come into being.

Any process may create them, at any time and again: after a reconnect the server may have come back empty. Consumers
must exist before the executors that they wake (KEDA reads a missing consumer as an error, never as zero).
"""

import asyncio
import logging
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final, cast

from tokenbus.bus import BucketSpec, Bus, ConsumerSpec, Ensured, StreamSpec
from tokenbus.errors import BusError, BusRefusedError, BusTimeoutError, NoStreamError
from tokenbus.jetstream_api import is_passing
from tokenbus.stream_specs import Retention, bucket_stream
from tokenbus.tool_journal import JOURNAL_MAX_BYTES, journal_stream
from tokenbus_schemas import DEFAULT_ROOT, PRIORITY_CLASSES, Pool, PriorityClass, Subjects

_log = logging.getLogger(__name__)

_MIB: Final = 1024 * 1024
_HOUR_S: Final = 3600.0
_PAYLOADS_MAX_AGE_S: Final = 2 * _HOUR_S
"""Longer than any request; each piece has a time of its own."""
_RETRY_WAIT_S: Final = 0.2


@dataclass(frozen=True, slots=True)
class TopologyLimits:
    """How much may be stored, and for how long. The sum of all `max_bytes` is reserved on the server's disk."""

    replicas: int = 1
    requests_max_bytes: int = 256 * _MIB
    tenant_max_requests: int = 5_000
    """Not yet routed, of one tenant and class; a sender learns of it by the refusal of its publish."""
    work_max_bytes: int = 512 * _MIB
    tenant_max_work: int = 1_000
    """Unfinished, of one tenant in one class of one pool; what is more waits."""
    waiting_max_bytes: int = 256 * _MIB
    tenant_max_waiting: int = 10_000
    """For a place among that; what is more is refused."""
    payloads_max_bytes: int = 512 * _MIB
    """Of requests and work over the bus's limit; then further ones are refused."""
    events_max_bytes: int = 1024 * _MIB
    events_max_age_s: float = _HOUR_S
    results_max_bytes: int = 512 * _MIB
    results_max_age_s: float = 24 * _HOUR_S
    """Longer than the longest request."""
    responses_max_bytes: int = 512 * _MIB
    """Of what requests asked; then the oldest go, and can not be continued any more."""
    checkpoints_max_bytes: int = 256 * _MIB
    """Of conversations in which tools run; then the oldest go, and can not be taken up any more."""
    tools_max_bytes: int = JOURNAL_MAX_BYTES
    """Of what tool calls came to; then calls are refused instead of run without a trace."""
    dead_max_bytes: int = 64 * _MIB
    dead_max_age_s: float = 7 * 24 * _HOUR_S
    ack_wait_s: float = 15.0
    max_ack_pending: int = 10_000
    """Per consumer: at least the slots of all workers that serve it."""


@dataclass(frozen=True, slots=True)
class Topology:
    """Everything that is stored under one root token. Made by `topology()`."""

    subjects: Subjects
    limits: TopologyLimits
    requests: StreamSpec
    work: StreamSpec
    waiting: StreamSpec
    """Work of tenants that have all the work in WORK that they may have, by `waiting.<pool>.<class>.<tenant>`."""
    payloads: StreamSpec
    """Pieces of requests and work over the bus's limit."""
    events: StreamSpec
    results: StreamSpec
    dead: StreamSpec
    catalog: BucketSpec
    cancelled: BucketSpec
    cooldown: BucketSpec
    permits: BucketSpec
    """Who calls the providers that have a limit."""
    responses: StreamSpec
    """As `checkpoints`."""
    checkpoints: StreamSpec
    """A bucket, as the `nats` command knows it, of values that expire: without markers for these, and never full."""
    tools: StreamSpec
    """The journal of tool calls, a bucket, too. A host of tools makes it, where it comes first."""
    pools: tuple[Pool, ...] = field(default=())

    @property
    def streams(self) -> tuple[StreamSpec, ...]:
        queues, logs = (self.requests, self.work, self.waiting), (self.events, self.results, self.dead)
        return *queues, self.payloads, *logs, self.responses, self.checkpoints, self.tools

    @property
    def buckets(self) -> tuple[BucketSpec, ...]:
        return self.catalog, self.cancelled, self.cooldown, self.permits

    @property
    def consumers(self) -> tuple[ConsumerSpec, ...]:
        """Those of the router, and those of every pool."""
        pools = [self.work_consumer(pool, priority) for pool in self.pools for priority in PRIORITY_CLASSES]
        return *(self.request_consumer(priority) for priority in PRIORITY_CLASSES), self.due_consumer(), *pools

    def request_consumer(self, priority_class: PriorityClass) -> ConsumerSpec:
        subject = f"{self.subjects.root}.requests.*.{priority_class}"
        return self._consumer(self.requests, f"router_{priority_class}", subject)

    def due_consumer(self) -> ConsumerSpec:
        """Of requests whose time is up."""
        return self._consumer(self.results, "router_due", f"{self.subjects.root}.due.*.*")

    def work_consumer(self, pool: Pool, priority_class: PriorityClass) -> ConsumerSpec:
        return self._consumer(self.work, f"{pool}_{priority_class}", self.subjects.all_work(pool, priority_class))

    def _consumer(self, stream: StreamSpec, name: str, subject: str) -> ConsumerSpec:
        return ConsumerSpec(
            stream=stream.name,
            name=name,
            filter_subject=subject,
            ack_wait_s=self.limits.ack_wait_s,
            max_ack_pending=self.limits.max_ack_pending,
        )


def topology(root: str = DEFAULT_ROOT, *, limits: TopologyLimits | None = None, pools: Iterable[Pool] = ()) -> Topology:
    """Streams are named `<ROOT>_REQUESTS` and so on, in capitals; buckets `<root>_catalog` and so on.

    Subjects of REQUESTS and WORK name a class that exists: a publish to any other finds no stream and is refused,
    instead of lying in a queue that nobody reads. Where they hold as many messages of one tenant as they may, the
    server refuses the next one: it is the server that counts, whoever publishes and whatever dies.
    """
    bounds = limits or TopologyLimits()
    subjects = Subjects(root)
    capitals = root.upper()

    def queue(
        name: str, subjects: str, max_bytes: int, per_subject: int, *, retention: Retention = "workqueue"
    ) -> StreamSpec:
        return StreamSpec(
            name=f"{capitals}_{name}",
            subjects=tuple(f"{root}.{subjects.format(priority)}" for priority in PRIORITY_CLASSES),
            retention=retention,
            discard="new",
            max_bytes=max_bytes,
            # No answer is kept for longer than that; and what a server forgot to deliver must not stay for ever.
            max_age_s=bounds.results_max_age_s,
            max_messages_per_subject=per_subject,
            discard_new_per_subject=True,
            allow_direct=True,
            message_ttl=name != "REQUESTS",
            replicas=bounds.replicas,
        )

    def log(name: str, *subjects_: str, max_bytes: int, max_age_s: float) -> StreamSpec:
        return StreamSpec(
            name=f"{capitals}_{name}",
            subjects=subjects_,
            max_bytes=max_bytes,
            max_age_s=max_age_s,
            allow_direct=True,
            replicas=bounds.replicas,
        )

    def rolling_bucket(name: str, max_bytes: int) -> StreamSpec:
        return StreamSpec(
            name=bucket_stream(f"{root}_{name}"),
            subjects=(f"$KV.{root}_{name}.>",),
            max_bytes=max_bytes,
            max_messages_per_subject=1,
            max_age_s=bounds.results_max_age_s,
            allow_direct=True,
            message_ttl=True,
            allow_rollup=True,
            replicas=bounds.replicas,
        )

    return Topology(
        subjects=subjects,
        limits=bounds,
        requests=queue("REQUESTS", "requests.*.{}", bounds.requests_max_bytes, bounds.tenant_max_requests),
        work=queue("WORK", "work.*.{}.*", bounds.work_max_bytes, bounds.tenant_max_work),
        # No consumer reads it: routers take from it by subject.
        waiting=queue(
            "WAITING", "waiting.*.{}.*", bounds.waiting_max_bytes, bounds.tenant_max_waiting, retention="limits"
        ),
        payloads=StreamSpec(
            name=f"{capitals}_PAYLOADS",
            subjects=(f"{root}.pieces.*.*.*.*",),
            discard="new",
            max_bytes=bounds.payloads_max_bytes,
            max_messages_per_subject=1,  # a piece that is stored again replaces itself
            max_age_s=_PAYLOADS_MAX_AGE_S,
            allow_direct=True,
            message_ttl=True,
            replicas=bounds.replicas,
        ),
        # With what was handed back in good order (`delivery_limit.py`), which is of use as long as its request.
        events=log(
            "EVENTS",
            f"{root}.events.*.*.*.*",
            f"{root}.returned.*.*.*",
            max_bytes=bounds.events_max_bytes,
            max_age_s=bounds.events_max_age_s,
        ),
        # One per subject: a terminal event replaces the fence that its attempt wrote before. Notes of requests without
        # an end lie in the same stream, so that storing the end takes them away (`terminal.py`).
        results=StreamSpec(
            name=f"{capitals}_RESULTS",
            subjects=tuple(f"{root}.{kind}.*.*" for kind in ("results", "queued", "due")),
            max_bytes=bounds.results_max_bytes,
            max_age_s=bounds.results_max_age_s,
            max_messages_per_subject=1,
            allow_direct=True,
            message_schedules=True,
            replicas=bounds.replicas,
        ),
        dead=log("DEAD", f"{root}.dead.>", max_bytes=bounds.dead_max_bytes, max_age_s=bounds.dead_max_age_s),
        catalog=BucketSpec(f"{root}_catalog", replicas=bounds.replicas),
        cancelled=BucketSpec(f"{root}_cancelled", ttl_s=bounds.results_max_age_s, replicas=bounds.replicas),
        cooldown=BucketSpec(f"{root}_cooldown", replicas=bounds.replicas),
        # Nothing in it outlives the processes that wrote it.
        permits=BucketSpec(f"{root}_permits", replicas=bounds.replicas, storage="memory"),
        responses=rolling_bucket("responses", bounds.responses_max_bytes),
        checkpoints=rolling_bucket("checkpoints", bounds.checkpoints_max_bytes),
        tools=journal_stream(root, replicas=bounds.replicas, max_bytes=bounds.tools_max_bytes),
        pools=tuple(pools),
    )


def class_rank(consumer: str) -> int:
    """Of a consumer of requests or of work, by its name: 0 for the most urgent class."""
    return PRIORITY_CLASSES.index(cast("PriorityClass", consumer.rpartition("_")[2]))


def pool_of(consumer: str) -> str:
    """Of a consumer of work, by its name."""
    return consumer.rpartition("_")[0]


async def ensure_topology(bus: Bus, wanted: Topology, *, timeout_s: float = 30.0) -> list[Ensured]:
    """Make what is missing and mend what differs, however many processes do the same.

    Waits up to `timeout_s` for a JetStream that is starting or electing, then raises `NoStreamError` or
    `BusTimeoutError`. Raises `BusRefusedError` at once for a setting that can not be changed in place.
    """
    done: list[Ensured] = []
    deadline = asyncio.get_running_loop().time() + timeout_s
    while True:
        done.clear()
        try:
            done += [await bus.ensure_stream(stream) for stream in wanted.streams]
            done += [await bus.ensure_bucket(bucket) for bucket in wanted.buckets]
            done += [await bus.ensure_consumer(consumer) for consumer in wanted.consumers]
        except BusError as error:
            if not _may_pass(error) or asyncio.get_running_loop().time() >= deadline:
                raise
            await asyncio.sleep(_RETRY_WAIT_S)
        else:
            _report(done)
            return done


def _may_pass(error: BusError) -> bool:
    if isinstance(error, BusRefusedError):
        return is_passing(error)
    return isinstance(error, NoStreamError | BusTimeoutError)


def _report(done: Iterable[Ensured]) -> None:
    for ensured in done:
        if ensured.outcome == "created":
            _log.info("created in NATS", extra={"stored": ensured.name})
        for field_name, found, wanted in ensured.drift:
            extra = {"stored": ensured.name, "setting": field_name, "found": found, "wanted": wanted}
            _log.warning("a setting in NATS had drifted and was put right", extra=extra)
