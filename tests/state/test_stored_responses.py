"""Stored responses on the bus: read, listed and deleted by their id, within their tenant."""

from collections.abc import Awaitable, Callable

import pytest

from tests.state.conftest import Installation
from tests.valid_stream import Json
from tokenbus import Client, InvalidRequestError, ResponseFailedError, UnknownRequestError
from tokenbus.bus import Bus
from tokenbus_schemas import RequestId, Response
from tokenbus_schemas.subjects import DEFAULT_TENANT

ECHO = "lab/sim-echo"


async def text_of(installation: Installation, response: Response, **page: object) -> list[str]:
    """The texts of the listed items."""
    listed = await installation.client.input_items(response.id, **page)  # pyright: ignore[reportArgumentType] as given
    return [item["content"][0]["text"] for item in listed.items]


async def test_a_response_is_read_as_it_ended(installation: Installation) -> None:
    own = await installation.turn(ECHO, "Hi.")
    assert await installation.client.retrieve(own.id) == own
    assert await installation.client.retrieve(own.id.removeprefix("resp_")) == own
    with pytest.raises(ResponseFailedError) as caught:
        await installation.turn("lab/sim-500", "x")
    failed = await installation.client.retrieve(caught.value.response.id)
    assert (failed.status, failed.error) == ("failed", caught.value.response.error)


async def test_a_response_is_read_while_it_waits_and_runs(installation: Installation) -> None:
    body: Json = {"model": "lab/sim@tokens:200@rate:20", "input": "x", "instructions": "Be brief.", "background": True}
    await installation.stop_executor()
    async with installation.client.stream(body, request_id="bg", timeout_s=30) as stream:
        events = stream.events
        assert [(await anext(events)).type for _ in range(2)] == ["response.created", "response.queued"]
        waiting = await installation.client.retrieve("bg")
        assert (waiting.status, waiting.output) == ("queued", [])
        assert waiting.model_extra is not None
        assert (waiting.model_extra["background"], waiting.model_extra["instructions"]) == (True, "Be brief.")
        await installation.start_executor()
        assert (await anext(events)).type == "response.in_progress"
        assert (await installation.client.retrieve("bg")).status == "in_progress"


async def test_the_input_is_listed_with_the_conversation_before_it(installation: Installation) -> None:
    first = await installation.turn(ECHO, "one")
    second = await installation.turn(ECHO, [{"role": "user", "content": "two"}], after=first)
    assert await text_of(installation, first) == ["one"]
    assert await text_of(installation, second, order="asc") == ["one", "one", "two"]
    assert await text_of(installation, second) == ["two", "one", "one"]
    listed = await installation.client.input_items(second.id, order="asc")
    assert [(item["type"], item["role"], item["status"]) for item in listed.items] == [
        ("message", role, "completed") for role in ("user", "assistant", "user")
    ]
    assert listed.items[1]["id"] == first.output[0]["id"]
    assert len({item["id"] for item in listed.items}) == 3


async def test_the_input_is_listed_in_pages(installation: Installation) -> None:
    items = [{"role": "user", "content": str(number)} for number in range(7)]
    response = await installation.turn(ECHO, items)
    texts: list[str] = []
    after: str | None = None
    while True:
        page = await installation.client.input_items(response.id, limit=3, order="asc", after=after)
        texts += [item["content"][0]["text"] for item in page.items]
        after = page.items[-1]["id"]
        if not page.more:
            break
        assert len(page.items) == 3
    assert texts == [str(number) for number in range(7)]
    with pytest.raises(InvalidRequestError):
        await installation.client.input_items(response.id, limit=0)


async def test_sealed_reasoning_is_listed_only_if_asked_for(installation: Installation) -> None:
    first = await installation.turn("lab/sim@reasoning:6@summary:6", "Think.", reasoning={"effort": "low"})
    second = await installation.turn(ECHO, "Go on.", after=first)
    listed = await installation.client.input_items(second.id)
    reasoning = next(item for item in listed.items if item["type"] == "reasoning")
    assert "encrypted_content" not in reasoning
    assert reasoning["summary"]


async def test_a_deleted_response_leaves_nothing(installation: Installation, bus: Bus) -> None:
    own = await installation.turn(ECHO, "a secret")
    other = await installation.turn(ECHO, "kept")
    request_id = RequestId(own.id.removeprefix("resp_"))
    await installation.client.delete(own.id)
    client, stored = installation.client, installation.stored
    calls: list[Callable[[], Awaitable[object]]] = [
        lambda: client.retrieve(own.id),
        lambda: client.input_items(own.id),
        lambda: client.delete(own.id),
    ]
    for call in calls:
        with pytest.raises(UnknownRequestError):
            await call()
    async with client.attach(request_id) as stream:
        with pytest.raises(UnknownRequestError):
            await stream.response()
    assert await client.cancel(request_id) == "unknown"
    with pytest.raises(ResponseFailedError, match="not found"):
        await installation.turn(ECHO, "Go on.", after=own)
    assert (
        await bus.last_message_at_leader(stored.events.name, stored.subjects.request_events(DEFAULT_TENANT, request_id))
        is None
    )
    assert await bus.kv_get(f"{stored.subjects.root}_responses", f"{DEFAULT_TENANT}.{request_id}") is None
    left = await bus.last_message_at_leader(stored.results.name, stored.subjects.result(DEFAULT_TENANT, request_id))
    assert left is not None
    assert b"secret" not in left.data
    assert (await client.retrieve(other.id)).output_text == "kept"


async def test_a_conversation_whose_past_was_deleted_is_not_continued(installation: Installation) -> None:
    first = await installation.turn(ECHO, "one")
    second = await installation.turn(ECHO, "two", after=first)
    await installation.client.delete(first.id)
    with pytest.raises(ResponseFailedError, match=f"'{first.id}' not found"):
        await installation.turn(ECHO, "three", after=second)


async def test_deleting_a_running_response_cancels_it_in_sight_of_its_watchers(installation: Installation) -> None:
    body: Json = {"model": "lab/sim@tokens:5000@rate:50", "input": "x"}
    async with installation.client.stream(body, request_id="runs", timeout_s=30) as stream:
        await anext(stream.events)
        await installation.client.delete("runs")
        assert (await stream.response()).status == "cancelled"
    with pytest.raises(UnknownRequestError):
        await installation.client.retrieve("runs")


async def test_nothing_is_found_of_what_was_not_stored_or_is_another_tenants(
    installation: Installation, bus: Bus
) -> None:
    unstored = await installation.turn(ECHO, "x", store=False)
    own = await installation.turn(ECHO, "a secret")
    async with Client(bus, tenant="stranger", root=installation.stored.subjects.root) as stranger:
        for client, response_id in ((installation.client, unstored.id), (stranger, own.id), (stranger, "resp_nobody")):
            calls: list[Callable[[], Awaitable[object]]] = [
                lambda client=client, wanted=response_id: client.retrieve(wanted),
                lambda client=client, wanted=response_id: client.input_items(wanted),
                lambda client=client, wanted=response_id: client.delete(wanted),
            ]
            for call in calls:
                with pytest.raises(UnknownRequestError):
                    await call()
    assert (await installation.client.retrieve(own.id)).output_text == "a secret"
