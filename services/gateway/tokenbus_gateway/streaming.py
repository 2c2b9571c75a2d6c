"""Sending an answer while it is written."""

from collections.abc import Sequence

from tokenbus.errors import TokenbusError
from tokenbus_gateway.api_errors import raised_error
from tokenbus_gateway.bridge import Answer
from tokenbus_gateway.exchange import Exchange
from tokenbus_gateway.feed import ClientGoneError
from tokenbus_gateway.relay import follow, opening
from tokenbus_gateway.sse import Encoder, refusal_of
from tokenbus_schemas import EventLine


async def stream_out(exchange: Exchange, answer: Answer, *, encoder: Encoder, write_s: float) -> EventLine:
    """Send an answer; returns the terminal event, sent. One that fails before it says anything is an HTTP error.

    Raises `ClientGoneError`, also where the client reads nothing for `write_s` seconds. Where no terminal event comes,
    the error is told inside the body and the connection is cut: nothing may take it for a whole answer.
    """
    lines = await opening(answer)
    exchange.note_first_event()
    wire, last = exchange.wire, lines[-1]
    if (refusal := refusal_of(encoder, lines)) is not None:
        exchange.facts["outcome"] = last.type
        await exchange.refuse(refusal)
        return last

    def write(lines: Sequence[EventLine]) -> bool:
        nonlocal last
        last = lines[-1]
        body = encoder.encode(lines)
        return wire.write(body) if body else True

    async def drained() -> None:
        try:
            await wire.drained(timeout_s=write_s)
        except TimeoutError as error:
            wire.abort()
            raise ClientGoneError from error

    await exchange.start_stream()
    write(lines)
    try:
        await follow(answer, write, drained=drained)
    except TokenbusError as error:
        wire.write(encoder.error(raised_error(error)))
        raise
    exchange.facts["outcome"] = last.type
    await exchange.end_stream()
    return last
