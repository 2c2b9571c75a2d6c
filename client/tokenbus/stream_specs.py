"""Streams, consumers and key-value buckets as values, and how they differ from what a server has."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal, NamedTuple

from pydantic import JsonValue

Retention = Literal["limits", "interest", "workqueue"]
Storage = Literal["file", "memory"]
Discard = Literal["old", "new"]

_NS: Final = 1_000_000_000
_MAX_WAITING: Final = 8192
"""Open pull requests per consumer. Ours ask for one message each, so nats-server's 512 would be 512 free slots."""

WireConfig = dict[str, JsonValue]


@dataclass(frozen=True, slots=True)
class StreamSpec:
    """A stream. -1 means unlimited, as on the wire."""

    name: str
    subjects: tuple[str, ...]
    retention: Retention = "limits"
    storage: Storage = "file"
    replicas: int = 1
    discard: Discard = "old"
    max_bytes: int = -1
    max_messages: int = -1
    max_messages_per_subject: int = -1
    discard_new_per_subject: bool = False
    """With discard "new": a full subject refuses, instead of dropping its oldest message."""
    max_age_s: float = 0.0
    """0: kept until another limit."""
    duplicate_window_s: float = 120.0
    """How long message ids are remembered; they cost memory."""
    allow_direct: bool = False
    """Any replica may answer `last_message` and `read_stored`."""
    message_ttl: bool = False
    """Messages may have a time to live of their own."""
    delete_marker_ttl_s: float = 0.0
    """More than 0: an expired message leaves a marker for this long, so that watchers learn of it."""
    allow_rollup: bool = False
    message_schedules: bool = False
    """The server may publish a message later, as its headers say; then the stream takes rollups, too."""
    republish_to: str = ""
    """A prefix: the server publishes each stored message again as `<prefix>.<subject>`, its sequence in the headers."""

    def to_wire(self) -> WireConfig:
        config: WireConfig = {
            "name": self.name,
            "subjects": list(self.subjects),
            "retention": self.retention,
            "storage": self.storage,
            "num_replicas": self.replicas,
            "discard": self.discard,
            "discard_new_per_subject": self.discard_new_per_subject,
            "max_bytes": self.max_bytes,
            "max_msgs": self.max_messages,
            "max_msgs_per_subject": self.max_messages_per_subject,
            "max_age": int(self.max_age_s * _NS),
            "duplicate_window": int(self._duplicate_window_s * _NS),
            "allow_direct": self.allow_direct,
            "allow_msg_ttl": self.message_ttl,
            "subject_delete_marker_ttl": int(self.delete_marker_ttl_s * _NS),
            "allow_rollup_hdrs": self.allow_rollup or self.message_schedules,
            "allow_msg_schedules": self.message_schedules,
        }
        if self.republish_to:
            config["republish"] = {"src": ">", "dest": f"{self.republish_to}.>"}
        return config

    @property
    def _duplicate_window_s(self) -> float:
        """The server takes none that is longer than the messages live."""
        return min(self.duplicate_window_s, self.max_age_s) if self.max_age_s else self.duplicate_window_s


@dataclass(frozen=True, slots=True)
class ConsumerSpec:
    """A durable pull consumer with explicit acks; redelivery has no limit, since we count attempts ourselves."""

    stream: str
    name: str
    filter_subject: str
    ack_wait_s: float = 15.0
    """Silence after which a delivered message goes to another worker."""
    max_ack_pending: int = 10_000
    """Delivered and unacked, over all workers: at least their slots together, or some stay idle."""

    def to_wire(self) -> WireConfig:
        return {
            "name": self.name,
            "durable_name": self.name,
            "filter_subject": self.filter_subject,
            "deliver_policy": "all",
            "replay_policy": "instant",
            "ack_policy": "explicit",
            "ack_wait": int(self.ack_wait_s * _NS),
            "max_deliver": -1,
            "max_ack_pending": self.max_ack_pending,
            "max_waiting": _MAX_WAITING,
        }


@dataclass(frozen=True, slots=True)
class BucketSpec:
    """A key-value bucket with one value per key."""

    name: str
    ttl_s: float = 0.0
    """How long a value lives; 0: until it is deleted."""
    max_bytes: int = -1
    replicas: int = 1
    storage: Storage = "file"

    def to_stream(self) -> StreamSpec:
        """The stream that is the bucket, as the `nats` command makes it, and the republishing that `kv_watch` reads."""
        return StreamSpec(
            name=bucket_stream(self.name),
            subjects=(f"$KV.{self.name}.>",),
            storage=self.storage,
            replicas=self.replicas,
            discard="new",
            max_bytes=self.max_bytes,
            max_messages_per_subject=1,
            max_age_s=self.ttl_s,
            allow_direct=True,
            message_ttl=True,
            delete_marker_ttl_s=_MARKER_TTL_S,
            allow_rollup=True,
            republish_to=CHANGES_PREFIX,
        )


CHANGES_PREFIX: Final = "$KV_CHANGED"
_MARKER_TTL_S: Final = 3600.0


def bucket_stream(bucket: str) -> str:
    """The stream behind a bucket."""
    return f"KV_{bucket}"


class Drift(NamedTuple):
    """One setting that a server had otherwise than the spec wants."""

    field: str
    found: JsonValue
    wanted: JsonValue


class Ensured(NamedTuple):
    """What `ensure_…` did. `drift` is what an update changed."""

    name: str
    outcome: Literal["created", "unchanged", "updated"]
    drift: tuple[Drift, ...] = ()


def drift(found: Mapping[str, JsonValue], wanted: Mapping[str, JsonValue]) -> tuple[Drift, ...]:
    """Where `found` is not as `wanted`. The server leaves zero values out; what the spec does not name is not ours."""
    return tuple(
        Drift(field, found.get(field), value)
        for field, value in wanted.items()
        if found.get(field) != value and (value or found.get(field))
    )
