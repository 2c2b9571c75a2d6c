"""One delivery of one message, to be settled once: acknowledged, handed back, or given up."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from tokenbus.bus import Bus, Message

_NS: Final = 1_000_000_000
_ACK: Final = b"+ACK"
_NAK: Final = b"-NAK"
_TERM: Final = b"+TERM"
_IN_PROGRESS: Final = b"+WPI"

_V1_TOKENS: Final = 9
_V2_EXTRA: Final = 2
"""Newer servers put domain and account after the first two tokens."""


class DeliveryFacts(NamedTuple):
    """What the reply subject of a delivered message says."""

    consumer: str
    attempt: int
    stream_sequence: int
    consumer_sequence: int
    timestamp_s: float
    waiting: int


def parse_ack_subject(reply: str) -> DeliveryFacts:
    """Source: ADR-15, `$JS.ACK.[<domain>.<account>.]<stream>.<consumer>.<delivered>.<stream seq>.<consumer
    seq>.<ns>.<pending>[.<random>]`. Raises `ValueError` for any other subject.
    """
    tokens = reply.split(".")
    if tokens[:2] != ["$JS", "ACK"] or len(tokens) < _V1_TOKENS:
        raise ValueError(f"reply {reply[:120]!r} is no JetStream acknowledgement subject")
    start = 3 if len(tokens) == _V1_TOKENS else 3 + _V2_EXTRA
    consumer, *numbers = tokens[start : start + 6]
    attempt, stream_sequence, consumer_sequence, timestamp_ns, waiting = map(int, numbers)
    return DeliveryFacts(consumer, attempt, stream_sequence, consumer_sequence, timestamp_ns / _NS, waiting)


@dataclass(slots=True, eq=False)
class Delivery:
    """A message in hand. `attempt` 1 is its first delivery; `timestamp_s` is when the broker stored it, Unix seconds.

    Settling sends a few bytes without waiting for an answer; should they be lost, the message comes again after the
    consumer's ack_wait. The first settlement counts, later ones do nothing. They raise what `Bus.publish` raises.
    """

    subject: str
    data: bytes
    headers: Mapping[str, str]
    stream_sequence: int
    consumer_sequence: int
    attempt: int
    timestamp_s: float
    waiting: int
    """How many more messages the queue held when this one left it."""
    consumer: str
    _reply: str
    _bus: Bus = field(repr=False)
    settled: bool = False
    _verdict: bytes = b""

    @property
    def identity(self) -> tuple[str, int, float]:
        """The same for all deliveries of one message; not for a message of a stream that was lost and made anew."""
        return self.consumer, self.stream_sequence, self.timestamp_s

    def renew(self, later: "Delivery") -> None:
        """`later` is another delivery of this message: settle that one from now on."""
        self._reply = later._reply

    async def settle_as(self, earlier: "Delivery") -> bool:
        """Say again what settled an earlier delivery of this message; false where nothing was said: it was given up."""
        if earlier._verdict:
            await self._settle(earlier._verdict)
        return self.settled

    async def ack(self) -> None:
        """Done: the queue forgets the message."""
        await self._settle(_ACK)

    async def nak(self, *, delay_s: float = 0.0) -> None:
        """Handed back: delivered again, anywhere, after `delay_s`."""
        await self._settle(_NAK if delay_s <= 0 else _NAK + f' {{"delay": {int(delay_s * _NS)}}}'.encode())

    async def term(self, *, reason: str = "") -> None:
        """Given up: never delivered again. `reason` goes into the server's advisory."""
        await self._settle(f"{_TERM.decode()} {reason}".rstrip().encode())

    def abandon(self) -> None:
        """Say nothing more: a later delivery of the same message owns it."""
        self.settled = True

    async def in_progress(self) -> None:
        """Restarts ack_wait. The worker does it by itself for every delivery in hand."""
        if not self.settled:
            await self._bus.publish(self._reply, _IN_PROGRESS, linger=True)

    async def _settle(self, verdict: bytes) -> None:
        if not self.settled:
            self.settled = True
            self._verdict = verdict
            await self._bus.publish(self._reply, verdict, linger=True)


def delivery(message: Message, *, bus: Bus) -> Delivery:
    """Raises `ValueError` for a message that no consumer delivered."""
    facts = parse_ack_subject(message.reply)
    return Delivery(
        subject=message.subject,
        data=message.data,
        headers=message.headers,
        stream_sequence=facts.stream_sequence,
        consumer_sequence=facts.consumer_sequence,
        attempt=facts.attempt,
        timestamp_s=facts.timestamp_s,
        waiting=facts.waiting,
        consumer=facts.consumer,
        _reply=message.reply,
        _bus=bus,
    )
