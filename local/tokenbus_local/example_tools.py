"""The tools that `tokenbus up` and `tokenbus demo` serve, where no others are named."""

import asyncio
from datetime import datetime
from typing import Annotated
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import Field

from tokenbus_toolkit import ToolContext, ToolError, tool

_STOCK = {"tea": 7, "coffee": 0, "cups": 112}


@tool(idempotent=True, timeout_s=5)
async def get_stock(
    article: Annotated[str, Field(description="What to count.", examples=["tea"])], context: ToolContext
) -> dict[str, str | int]:
    """How many pieces of an article lie in the warehouse."""
    await context.progress("asking the warehouse", fraction=0.5)
    await asyncio.sleep(0.3)  # a warehouse takes its time, so that progress can be seen
    if article not in _STOCK:
        raise ToolError(f"There is no article {article!r}; there are {', '.join(_STOCK)}.")
    return {"article": article, "pieces": _STOCK[article]}


@tool(idempotent=True, timeout_s=5)
async def local_time(
    zone: Annotated[str, Field(description="A name of the IANA time zone database.", examples=["Asia/Tokyo"])],
) -> str:
    """The current date and time in a time zone."""
    try:
        return datetime.now(ZoneInfo(zone)).isoformat(timespec="seconds")
    except (ZoneInfoNotFoundError, ValueError) as error:
        raise ToolError(f"{zone!r} is no time zone; send a name such as Europe/London.") from error
