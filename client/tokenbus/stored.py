"""What a stream holds, as values, and how the server writes it. Source: nats-io/nats-architecture-and-design ADR-31."""

from collections.abc import Mapping
from datetime import datetime
from typing import Final, NamedTuple

_SERVER_HEADERS: Final = frozenset(
    {
        "Nats-Stream",
        "Nats-Subject",
        "Nats-Sequence",
        "Nats-Time-Stamp",
        "Nats-Num-Pending",
        "Nats-Last-Sequence",
        "Nats-UpTo-Sequence",
    }
)
"""Added by the server when it hands a stored message out; all others were stored with it."""


class StoredAck(NamedTuple):
    """The stream has the message. `duplicate`: it had it before, under the same message id."""

    stream: str
    sequence: int
    duplicate: bool


class StoredMessage(NamedTuple):
    """A message in a stream. `timestamp_s`: when the server stored it, Unix seconds."""

    subject: str
    sequence: int
    timestamp_s: float
    headers: Mapping[str, str]
    data: bytes


class StoredPage(NamedTuple):
    """Some messages in order, and how many more matched after them when they were read."""

    messages: list[StoredMessage]
    remaining: int

    @property
    def next_sequence(self) -> int:
        """Where the next page starts."""
        return self.messages[-1].sequence + 1 if self.messages else 1


def parse_stored(data: bytes, headers: Mapping[str, str]) -> StoredMessage:
    """From a direct get's answer, or a republished message. Raises `KeyError` or `ValueError` for anything else."""
    return StoredMessage(
        subject=headers["Nats-Subject"],
        sequence=int(headers["Nats-Sequence"]),
        timestamp_s=datetime.fromisoformat(headers["Nats-Time-Stamp"]).timestamp(),
        headers={name: value for name, value in headers.items() if name not in _SERVER_HEADERS},
        data=data,
    )
