"""Background responses on the bus: queued first, then as any other, whoever watches."""

import pytest

from tests.conftest import eventually
from tests.state.conftest import Installation
from tests.valid_stream import Json, check_stream
from tokenbus import ResponseFailedError
from tokenbus_schemas import ATTEMPT_STRIDE, ErrorCode, EventLine

BACKGROUND: Json = {"input": "Hello.", "background": True}
OPENING = ["response.created", "response.queued", "response.in_progress"]


async def all_of(installation: Installation, request_id: str, *, after: int = -1) -> list[EventLine]:
    async with installation.client.attach(request_id, after=after) as stream:
        return [line async for line in stream.events]


async def queued(installation: Installation, request_id: str, **params: object) -> EventLine:
    """Send it, and leave as soon as it is queued."""
    body = {"model": "lab/sim@tokens:12", **BACKGROUND, **params}
    async with installation.client.stream(body, request_id=request_id, on_exit="continue", timeout_s=30) as stream:
        async for line in stream.events:
            if line.type == "response.queued":
                return line
    raise AssertionError("it was never queued")


@pytest.mark.parametrize("model", ["lab/sim@tokens:12", "chatty/sim@tokens:12"])
async def test_a_background_answer_is_queued_then_one_valid_stream(installation: Installation, model: str) -> None:
    line = await queued(installation, "bg", model=model)
    response = line.data["response"]
    assert (line.sequence_number, response["status"], response["background"]) == (1, "queued", True)
    lines = await all_of(installation, "bg")
    events = check_stream(lines)
    assert [event["type"] for event in events[:3]] == OPENING
    assert [event["response"]["status"] for event in events[:3]] == ["queued", "queued", "in_progress"]
    assert events[-1]["response"]["background"] is True
    for after in (0, 1, 5, len(lines) - 2):
        assert await all_of(installation, "bg", after=after) == lines[after + 1 :]


async def test_it_waits_for_an_executor_and_goes_on_without_anybody(installation: Installation) -> None:
    await installation.stop_executor()
    await queued(installation, "bg")
    await installation.start_executor()
    assert check_stream(await all_of(installation, "bg"))[-1]["type"] == "response.completed"


async def test_a_queued_one_is_cancelled_and_its_stream_is_whole(installation: Installation) -> None:
    await installation.stop_executor()
    await queued(installation, "bg")
    assert await installation.client.cancel("bg") in ("cancelled", "cancelling")
    lines = await all_of(installation, "bg")
    assert [line.type for line in lines] == [*OPENING, "response.incomplete"]
    assert lines[-1].data["response"]["status"] == "cancelled"
    assert [line.sequence_number for line in lines] == [0, 1, ATTEMPT_STRIDE, ATTEMPT_STRIDE + 1]


async def test_one_that_fails_at_once_has_a_whole_stream(installation: Installation) -> None:
    await queued(installation, "bg", model="lab/sim-401")
    events = check_stream(await all_of(installation, "bg"))
    assert [event["type"] for event in events] == [*OPENING, "response.failed"]


async def test_an_executor_that_died_before_it_said_anything_is_replaced(installation: Installation) -> None:
    """The router's announcement is no answer that could break."""
    await queued(installation, "bg", model="lab/sim@ttft:1500@tokens:12")
    await eventually(lambda: len(list(installation.simulator.record)) > 0, timeout_s=10)
    await installation.stop_executor()
    await installation.start_executor()
    lines = await all_of(installation, "bg")
    assert [line.type for line in lines[:3]] == OPENING
    assert lines[2].sequence_number == ATTEMPT_STRIDE
    assert lines[-1].type == "response.completed"


async def test_a_background_answer_must_be_stored(installation: Installation) -> None:
    for params in ({"store": False}, {"messages": [{"role": "user", "content": "Hi."}], "input": None}):
        body = {"model": "lab/sim", **BACKGROUND, **params}
        with pytest.raises(ResponseFailedError) as caught:
            await installation.client.respond({k: v for k, v in body.items() if v is not None}, timeout_s=30)
        assert (caught.value.code, caught.value.param) == (ErrorCode.INVALID_REQUEST, "background")


async def test_a_background_answer_is_continued(installation: Installation) -> None:
    await queued(installation, "bg")
    first = (await all_of(installation, "bg"))[-1].data["response"]
    second = await installation.client.respond(
        {"model": "lab/sim-echo", "input": "And?", "previous_response_id": first["id"]}, timeout_s=30
    )
    assert second.output_text == "And?"
    assert "Hello." in str(installation.asked())
