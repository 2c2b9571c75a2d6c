"""Tools of the orders team, hosted by a process of its own: models may look orders up and cancel them.

    pip install tokenbus-toolkit
    TOKENBUS_NATS_URL=nats://127.0.0.1:4222 python orders_tools.py

Any number of copies may run; they share the calls. `tokenbus tools` lists what is served.
"""

import asyncio
import os
from datetime import date
from enum import StrEnum
from typing import Annotated

from pydantic import BaseModel, Field

from tokenbus_toolkit import ServiceName, ToolContext, ToolError, serve_tools, tool


class Status(StrEnum):
    OPEN = "open"
    SHIPPED = "shipped"
    CANCELLED = "cancelled"


class Order(BaseModel):
    """An order as models see it."""

    number: int
    status: Status
    ordered: date
    items: list[str]


ORDERS = {
    1001: Order(number=1001, status=Status.OPEN, ordered=date(2026, 11, 20), items=["tea"]),
    1002: Order(number=1002, status=Status.SHIPPED, ordered=date(2026, 11, 2), items=["cup", "saucer"]),
}
CANCELLATIONS: dict[str, int] = {}
"""By idempotency key: a database has a unique column for it."""


@tool(idempotent=True, timeout_s=5)
async def find_orders(
    status: Annotated[Status | None, Field(description="Only orders in this state.")] = None,
    since: date | None = None,
) -> list[Order]:
    """Look up the customer's orders.

    Args:
        since: Only orders of this day or later.
    """
    return [
        order
        for order in ORDERS.values()
        if (status is None or order.status == status) and (since is None or order.ordered >= since)
    ]


@tool(strict=True, timeout_s=10)
def cancel_order(number: int, context: ToolContext, reason: str = "not given") -> str:
    """Cancel an order that has not been shipped.

    Args:
        number: The order's number.
        reason: Why, in the customer's words.
    """
    order = ORDERS.get(number)
    if order is None:
        raise ToolError(f"There is no order {number}; find_orders lists the orders.")
    if order.status is Status.SHIPPED:
        raise ToolError(f"Order {number} was shipped and can not be cancelled; offer a return instead.")
    context.progress_threadsafe("cancelling", fraction=0.5)
    CANCELLATIONS[context.key] = number
    order.status = Status.CANCELLED
    return f"Order {number} is cancelled ({reason})."


async def main() -> None:
    servers = os.environ.get("TOKENBUS_NATS_URL", "nats://127.0.0.1:4222")
    service = ServiceName("orders", version="1.0.0", description="Orders of the shop")
    await serve_tools([find_orders, cancel_order], servers=servers, service=service)


if __name__ == "__main__":
    asyncio.run(main())
