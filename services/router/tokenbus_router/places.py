"""How many places a tenant has in a queue of work, and who may move up from its line. Pure.

A queue is a class of a pool; a place is taken from the moment work is published until it is finished. The server
refuses work beyond `most` (`topology.py`), so that number holds whatever happens. Smaller numbers of single tenants are
counted by the routers: with several of them they may be exceeded for a moment, by what each moves at once.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from tokenbus_schemas import PRIORITY_CLASSES
from tokenbus_schemas.subjects import WorkAddress, tenant

OTHERS: Final = "*"
"""In the table: every tenant that is not named."""


class Move(NamedTuple):
    """Let so many move up from this line."""

    line: WorkAddress
    messages: int


@dataclass(frozen=True, slots=True)
class Places:
    """Places per tenant and queue."""

    most: int
    fewer: Mapping[str, int] = field(default_factory=dict[str, int])
    """By tenant, or `OTHERS`."""

    def of(self, name: str) -> int:
        return min(self.most, self.fewer.get(name, self.fewer.get(OTHERS, self.most)))

    def are_counted_by_us(self, name: str) -> bool:
        return self.of(name) < self.most

    def moves(self, *, waiting: Mapping[WorkAddress, int], taken: Mapping[WorkAddress, int], batch: int) -> list[Move]:
        """Who moves up, the most urgent class first: at most `batch` of each line. Both mappings count messages."""
        lines = sorted(waiting, key=lambda line: PRIORITY_CLASSES.index(line.priority_class))
        free = {line: self.of(line.tenant) - taken.get(line, 0) for line in lines}
        return [Move(line, min(free[line], waiting[line], batch)) for line in lines if free[line] > 0]


def parse_places(text: str) -> Mapping[str, int]:
    """`acme=50, trial=5, *=200` as a table. Raises `ValueError`, which says what is wrong."""
    table: dict[str, int] = {}
    for part in filter(None, (part.strip() for part in text.split(","))):
        name, equals, number = (piece.strip() for piece in part.partition("="))
        if not equals or not (number.isascii() and number.isdigit()) or int(number) < 1:
            raise ValueError(f"{part!r} must be <tenant>=<number from 1>, such as acme=50")
        if name in table:
            raise ValueError(f"{name!r} is there twice; leave one out")
        table[name if name == OTHERS else tenant(name)] = int(number)
    return table
