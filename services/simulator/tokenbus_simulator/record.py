"""The record: what the simulator received and how each exchange went, for tests to look at.

Bounded: the oldest exchanges are forgotten. Credentials are kept as a fingerprint only. All times are Unix seconds.
"""

import asyncio
import hashlib
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final

from tokenbus_simulator.wire import JsonObject, is_object

_SECRET_HEADERS: Final = frozenset({"authorization", "api-key", "x-api-key", "cookie"})


def fingerprint(value: str) -> str:
    """What the record keeps of a credential: enough to tell whether two are the same."""
    return "sha256:" + hashlib.sha256(value.encode()).hexdigest()[:16]


@dataclass(slots=True, kw_only=True, eq=False)
class Exchange:
    """One request and what became of it."""

    number: int
    method: str
    path: str
    headers: Mapping[str, str]
    """Names in lower case; values of credentials are fingerprints."""
    body: object
    """Parsed JSON; text where it is not JSON; None where there is none."""
    model: str | None = None
    status: int | None = None
    """None until the response headers are sent."""
    bytes_sent: int = 0
    tokens_sent: int = 0
    received_at: float = field(default_factory=time.time)
    first_byte_at: float | None = None
    """When the first byte of the body was sent."""
    finished_at: float | None = None
    """When the simulator was done, or ended the connection itself as its script says."""
    closed_at: float | None = None
    """When it noticed that the client had gone before that."""

    def sent(self, size: int, *, tokens: int = 0) -> None:
        """Counts a write."""
        if self.first_byte_at is None:
            self.first_byte_at = time.time()
        self.bytes_sent += size
        self.tokens_sent += tokens

    def has_header(self, name: str, value: str | None) -> bool:
        """Whether the header was sent, with that value unless it is None."""
        return name in self.headers and (value is None or self.headers[name] == value)

    def as_json(self) -> JsonObject:
        """All fields, as `GET /_sim/requests` shows them."""
        return {name: getattr(self, name) for name in self.__slots__}


class Record:
    """The exchanges of one simulator, oldest first."""

    def __init__(self, size: int) -> None:
        """`size`: how many exchanges are kept."""
        self._exchanges: deque[Exchange] = deque(maxlen=size)
        self._received = 0
        self._changed = asyncio.Event()

    def __len__(self) -> int:
        return len(self._exchanges)

    def __iter__(self) -> Iterator[Exchange]:
        return iter(tuple(self._exchanges))

    def __getitem__(self, index: int) -> Exchange:
        return self._exchanges[index]

    def open(self, method: str, path: str, *, headers: Iterable[tuple[str, str]], body: object) -> Exchange:
        """Notes a request."""
        self._received += 1
        model = body.get("model") if is_object(body) else None
        lowered = ((name.lower(), value) for name, value in headers)
        exchange = Exchange(
            number=self._received,
            method=method,
            path=path,
            headers={name: fingerprint(value) if name in _SECRET_HEADERS else value for name, value in lowered},
            body=body,
            model=model if isinstance(model, str) else None,
        )
        self._exchanges.append(exchange)
        self.touch()
        return exchange

    def touch(self) -> None:
        """Wakes those who wait: some exchange has changed."""
        self._changed.set()

    def clear(self) -> None:
        """Forgets all exchanges."""
        self._exchanges.clear()

    def matching(self, *, model: str | None = None, header: tuple[str, str | None] | None = None) -> list[Exchange]:
        """Exchanges of a model, and with a header: its name in lower case, and its value unless that is None."""
        return [
            exchange
            for exchange in self._exchanges
            if (model is None or exchange.model == model) and (header is None or exchange.has_header(*header))
        ]

    async def wait_for(self, fact: Callable[[Exchange], bool]) -> Exchange:
        """The oldest exchange of which `fact` is true, as soon as there is one. Waits for ever: set a timeout."""
        while True:
            for exchange in self._exchanges:
                if fact(exchange):
                    return exchange
            self._changed.clear()
            await self._changed.wait()
