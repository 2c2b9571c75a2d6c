"""What becomes of work when the provider does what it should: every answer is one valid sequence of events."""

import pytest

from tests.executor.conftest import BOTH_APIS, KEY, Desk, Line, provider, target
from tests.valid_stream import Json
from tokenbus_simulator import Simulator, fingerprint

pytestmark = pytest.mark.usefixtures("executor")


def text_of(events: list[Json]) -> str:
    return "".join(event["delta"] for event in events if event["type"] == "response.output_text.delta")


@pytest.mark.parametrize("api", BOTH_APIS)
async def test_an_answer_is_a_valid_stream_that_says_who_gave_it(desk: Desk, api: str) -> None:
    order = desk.order()
    events = await desk.ask("sim;tokens=25", api=api, request_id=order.request_id)

    response = events[-1]["response"]
    assert events[-1]["type"] == "response.completed"
    assert response["id"] == f"resp_{order.request_id}"
    assert response["model"] == "lab/one"
    assert response["usage"]["output_tokens"] == 25
    assert response["output"][0]["content"][0]["text"] == text_of(events) != ""
    assert response["tokenbus"] == {
        "provider": "lab",
        "model": "sim;tokens=25",
        "api": api,
        "attempt": 1,
        "request_id": order.request_id,
        **{key: value for key, value in response["tokenbus"].items() if key == "system_fingerprint"},
    }


@pytest.mark.parametrize("api", BOTH_APIS)
@pytest.mark.parametrize(
    "script",
    [
        "reasoning=12;summary=4;tokens=5",
        "call=get_time({});call=get_weather({})",
        "refusal=No.",
        "finish=length;tokens=7",
        "finish=content_filter;tokens=7",
        "tokens=40;bytes=7",
        "tokens=0",
        "quirk=no-item-ids;quirk=no-output-index;quirk=no-sequence",
        "quirk=empty-output",
        "quirk=done-only",
        "quirk=unknown-events",
        "quirk=no-done",
        "quirk=crlf;bytes=3",
        "quirk=no-usage",
    ],
)
async def test_whatever_the_shape_of_the_answer_the_stream_is_valid(desk: Desk, api: str, script: str) -> None:
    events = await desk.ask(f"sim;{script}", api=api)

    assert events[-1]["type"] in {"response.completed", "response.incomplete"}


async def test_the_provider_gets_the_request_in_its_own_words(desk: Desk, simulator: Simulator) -> None:
    request = {"input": "Hi.", "instructions": "Be brief.", "max_output_tokens": 50}
    for api in BOTH_APIS:
        await desk.ask("sim", api=api, request=request)

    responses, chat = simulator.record[0].body, simulator.record[1].body
    assert responses == {
        "model": "sim",
        "input": "Hi.",
        "instructions": "Be brief.",
        "max_output_tokens": 50,
        "stream": True,
        "stream_options": {"include_obfuscation": False},
    }
    assert chat == {
        "model": "sim",
        "messages": [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Hi."}],
        "max_completion_tokens": 50,
        "stream": True,
        "stream_options": {"include_usage": True},
    }
    assert simulator.record[0].headers["authorization"] == fingerprint(f"Bearer {KEY}")


async def test_finished_answers_leave_their_connection_for_the_next(
    desk: Desk, simulator: Simulator, line: Line
) -> None:
    await desk.publish_providers(provider(simulator, base_url=line.base_url))
    for model in ("sim;tokens=20", "sim-400", "sim", "sim;quirk=no-done"):
        for api in BOTH_APIS:
            await desk.ask(model, api=api)

    assert line.connections == 1


async def test_the_terminal_event_is_stored_and_the_work_is_gone(desk: Desk) -> None:
    request_id = await desk.send(desk.order())
    events = await desk.answered(request_id)

    stored = await desk.stored_end(request_id)
    assert stored is not None
    assert dict(stored.data) == events[-1]
    await desk.nothing_left()


async def test_events_that_arrive_together_travel_together(desk: Desk) -> None:
    request_id = await desk.send(desk.order())
    await desk.answered(request_id)

    assert len(desk.messages[request_id]) <= 3


async def test_tokens_that_trickle_are_published_as_they_come(desk: Desk) -> None:
    request_id = await desk.send(desk.order(target("sim;tokens=10;rate=40")))
    await desk.answered(request_id)

    assert sum(b"output_text.delta" in message for message in desk.messages[request_id]) > 5


async def test_n_choices_arrive_as_n_messages(desk: Desk) -> None:
    events = await desk.ask("sim;tokens=5", api="chat_completions", request={"input": "Hi.", "n": 3})

    assert [item["tokenbus:choice"] for item in events[-1]["response"]["output"]] == [0, 1, 2]
