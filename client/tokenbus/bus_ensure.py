"""What `Bus` does to have the streams, consumers and buckets it needs."""

from collections.abc import Mapping
from typing import Final

from pydantic import BaseModel, JsonValue

from tokenbus.bus_stored import StoredBus
from tokenbus.errors import BusRefusedError, NotFoundError
from tokenbus.jetstream_api import ApiAnswer, ConfigAnswer, NamesAnswer
from tokenbus.stream_specs import BucketSpec, ConsumerSpec, Ensured, StreamSpec, WireConfig, drift

_CREATED_BY_ANOTHER: Final = frozenset({10058, 10148})
"""Stream, consumer: someone with other settings was faster."""
_TIMEOUT_S: Final = 5.0
"""Creating a replicated stream takes an election."""


class _Config(BaseModel):
    """A consumer's configuration is sent wrapped, a stream's bare."""

    stream_name: str
    config: Mapping[str, JsonValue]
    action: str


class _Bare(BaseModel, extra="allow"):
    pass


class _NamesRequest(BaseModel):
    offset: int


class EnsuringBus(StoredBus):
    """Adds streams, consumers and buckets to `StoredBus`.

    Every `ensure_…` may run in many processes at once and at any time again. What differs from the spec is updated and
    reported; settings that the spec does not name stay as an operator left them. Raises `BusRefusedError` where the
    server can not change a setting in place (its text says which), `NoStreamError` where JetStream is off or has no
    leader yet, and `BusTimeoutError`.
    """

    async def ensure_stream(self, spec: StreamSpec) -> Ensured:
        wanted = spec.to_wire()
        while True:
            found = await self._found(f"STREAM.INFO.{spec.name}")
            try:
                if found is None:
                    await self._stream("CREATE", spec.name, wanted)
                    return Ensured(spec.name, "created")
                differences = drift(found, wanted)
                if not differences:
                    return Ensured(spec.name, "unchanged")
                await self._stream("UPDATE", spec.name, {**found, **wanted})
                return Ensured(spec.name, "updated", differences)
            except BusRefusedError as error:
                if error.code not in _CREATED_BY_ANOTHER:
                    raise

    async def ensure_consumer(self, spec: ConsumerSpec) -> Ensured:
        """Also raises `NotFoundError` when its stream does not exist."""
        wanted = spec.to_wire()
        while True:
            found = await self._found(f"CONSUMER.INFO.{spec.stream}.{spec.name}")
            differences = drift(found, wanted) if found is not None else ()
            if found is not None and not differences:
                return Ensured(spec.name, "unchanged")
            try:
                await self._consumer(spec, {**(found or {}), **wanted}, action="update" if found else "create")
            except BusRefusedError as error:
                if error.code not in _CREATED_BY_ANOTHER:
                    raise
            else:
                return Ensured(spec.name, "updated" if found else "created", differences)

    async def ensure_bucket(self, spec: BucketSpec) -> Ensured:
        return await self.ensure_stream(spec.to_stream())

    async def stream_names(self) -> list[str]:
        """All streams, buckets among them under `KV_<name>`."""
        names: list[str] = []
        while True:
            answer = await self.api("STREAM.NAMES", _NamesRequest(offset=len(names)), NamesAnswer, timeout_s=_TIMEOUT_S)
            names.extend(answer.streams or ())
            if not answer.streams or len(names) >= answer.total:
                return names

    async def delete_stream(self, name: str) -> bool:
        """Whether it was there."""
        return await self._deleted(f"STREAM.DELETE.{name}")

    async def delete_consumer(self, stream: str, name: str) -> bool:
        """Whether it was there."""
        return await self._deleted(f"CONSUMER.DELETE.{stream}.{name}")

    async def _found(self, verb: str) -> WireConfig | None:
        try:
            answer = await self.api(verb, None, ConfigAnswer, timeout_s=_TIMEOUT_S)
        except NotFoundError as error:
            if verb.startswith("CONSUMER") and error.description == "stream not found":
                raise
            return None
        return dict(answer.config)

    async def _stream(self, verb: str, name: str, config: WireConfig) -> None:
        await self.api(f"STREAM.{verb}.{name}", _Bare.model_validate(config), ConfigAnswer, timeout_s=_TIMEOUT_S)

    async def _consumer(self, spec: ConsumerSpec, config: WireConfig, *, action: str) -> None:
        body = _Config(stream_name=spec.stream, config=config, action=action)
        verb = f"CONSUMER.CREATE.{spec.stream}.{spec.name}.{spec.filter_subject}"
        await self.api(verb, body, ConfigAnswer, timeout_s=_TIMEOUT_S)

    async def _deleted(self, verb: str) -> bool:
        try:
            await self.api(verb, None, ApiAnswer, timeout_s=_TIMEOUT_S)
        except NotFoundError:
            return False
        return True
