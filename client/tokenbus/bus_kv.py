"""What `Bus` does with key-value buckets. A bucket is a stream, as the `nats` command knows it.

Source: nats-io/nats-architecture-and-design ADR-8 (keys, operations) and ADR-48 (markers of expired keys).
"""

import re
from collections.abc import Callable, Mapping
from typing import Final, NamedTuple

from tokenbus.bus_state import StateBus
from tokenbus.errors import WrongLastSequenceError
from tokenbus.stored import StoredMessage
from tokenbus.stream_specs import bucket_stream

_OPERATION: Final = "KV-Operation"
_MARKER: Final = "Nats-Marker-Reason"
_KEY: Final = re.compile(r"[-/_=a-zA-Z0-9]+(\.[-/_=a-zA-Z0-9]+)*")


class KvEntry(NamedTuple):
    """A value. `revision` rises over the whole bucket; `written_s`: when, Unix seconds."""

    key: str
    value: bytes
    revision: int
    written_s: float


class KvChange(NamedTuple):
    """What a watcher is told. `value` None: the key was deleted, or expired."""

    key: str
    value: bytes | None
    revision: int


KvCallback = Callable[[KvChange], None]


class KvBus(StateBus):
    """Adds key-value buckets to `StateBus`.

    Keys are `[-/_=A-Za-z0-9]+`, with dots between; others raise `ValueError`. Every call takes at most 2 s and raises
    `NoStreamError` where the bucket does not exist, `BusTimeoutError`, and what `publish` raises.
    """

    async def kv_get(self, bucket: str, key: str) -> KvEntry | None:
        """None: no such key, or deleted. In a cluster any replica answers, and may be a moment behind."""
        stored = await self.last_message(bucket_stream(bucket), _subject(bucket, key))
        if stored is None or is_deletion(stored):
            return None
        return KvEntry(key, stored.data, stored.sequence, stored.timestamp_s)

    async def kv_put(self, bucket: str, key: str, value: bytes, *, ttl_s: float | None = None) -> int:
        """Write, whatever was there; the new revision. `ttl_s`: as in `kv_create`."""
        return await self._write(bucket, key, value, ttl_s=ttl_s)

    async def kv_create(self, bucket: str, key: str, value: bytes, *, ttl_s: float | None = None) -> int:
        """Write a key that does not exist, or was deleted; its revision. Raises `WrongLastSequenceError` if it exists.

        After `ttl_s`, rounded up to whole seconds, the key expires.
        """
        try:
            return await self._write(bucket, key, value, ttl_s=ttl_s, revision=0)
        except WrongLastSequenceError:
            # A deleted key leaves a marker, which counts as the last message.
            stored = await self.last_message_at_leader(bucket_stream(bucket), _subject(bucket, key))
            if stored is not None and not is_deletion(stored):
                raise
            return await self._write(bucket, key, value, ttl_s=ttl_s, revision=stored.sequence if stored else 0)

    async def kv_update(self, bucket: str, key: str, value: bytes, *, revision: int, ttl_s: float | None = None) -> int:
        """Write if the key is still at `revision`; the new one. Raises `WrongLastSequenceError` if it is not."""
        return await self._write(bucket, key, value, ttl_s=ttl_s, revision=revision)

    async def kv_delete(self, bucket: str, key: str, *, revision: int | None = None) -> None:
        """Deleting what does not exist is no error. With `revision`, as `kv_update`."""
        await self._write(bucket, key, b"", headers={_OPERATION: "DEL"}, revision=revision)

    async def _write(
        self,
        bucket: str,
        key: str,
        value: bytes,
        *,
        headers: Mapping[str, str] | None = None,
        ttl_s: float | None = None,
        revision: int | None = None,
    ) -> int:
        ack = await self.publish_stored(
            _subject(bucket, key), value, headers=headers, ttl_s=ttl_s, expected_last_subject_sequence=revision
        )
        return ack.sequence


def is_deletion(stored: StoredMessage) -> bool:
    """Whether a message in a bucket's stream says that its key is gone."""
    return _MARKER in stored.headers or stored.headers.get(_OPERATION) in ("DEL", "PURGE")


def key_of(subject: str, *, bucket: str) -> str:
    """The key in a message's subject."""
    return subject.removeprefix(f"$KV.{bucket}.")


def _subject(bucket: str, key: str) -> str:
    if _KEY.fullmatch(key) is None:
        raise ValueError(f"key {key[:80]!r} must be letters, digits and -/_= with single dots between")
    return f"$KV.{bucket}.{key}"
