"""What `Bus` does to see how full streams and queues are, and to empty a subject."""

from collections.abc import Mapping
from typing import Final, NamedTuple

from pydantic import BaseModel

from tokenbus.bus_ensure import EnsuringBus
from tokenbus.jetstream_api import ApiAnswer

_TIMEOUT_S: Final = 5.0


class ConsumerState(NamedTuple):
    """Of a queue. `waiting`: messages that nobody has taken yet. `ack_pending`: taken and not acknowledged."""

    waiting: int
    ack_pending: int


class _CountsRequest(BaseModel):
    subjects_filter: str
    offset: int


class _StreamAnswer(ApiAnswer):
    class State(BaseModel):
        subjects: dict[str, int] | None = None

    state: State = State()
    total: int = 0


class _ConsumerAnswer(ApiAnswer):
    num_pending: int = 0
    num_ack_pending: int = 0


class _PurgeRequest(BaseModel):
    filter: str
    seq: int | None


class _PurgeAnswer(ApiAnswer):
    purged: int = 0


class StateBus(EnsuringBus):
    """Adds the state of streams to `EnsuringBus`.

    Raises `NotFoundError` where stream or consumer does not exist, `NoStreamError`, `BusTimeoutError`.
    """

    async def subject_counts(self, stream: str, subject_filter: str) -> Mapping[str, int]:
        """How many messages the stream holds of each subject that matches and has any."""
        counts: dict[str, int] = {}
        while True:
            body = _CountsRequest(subjects_filter=subject_filter, offset=len(counts))
            answer = await self.api(f"STREAM.INFO.{stream}", body, _StreamAnswer, timeout_s=_TIMEOUT_S)
            page = answer.state.subjects or {}
            counts |= page
            if not page or len(counts) >= answer.total:
                return counts

    async def consumer_state(self, stream: str, consumer: str) -> ConsumerState:
        answer = await self.api(f"CONSUMER.INFO.{stream}.{consumer}", None, _ConsumerAnswer, timeout_s=_TIMEOUT_S)
        return ConsumerState(answer.num_pending, answer.num_ack_pending)

    async def purge_subject(self, stream: str, subject: str, *, before_sequence: int | None = None) -> int:
        """Delete the messages on `subject`, or those of them whose sequence is lower; how many those were."""
        body = _PurgeRequest(filter=subject, seq=before_sequence)
        answer = await self.api(f"STREAM.PURGE.{stream}", body, _PurgeAnswer, timeout_s=_TIMEOUT_S)
        return answer.purged
