"""Function tools in an answer: what the model is told of them, before and after they ran."""

from typing import Any

import pytest

from tests.conftest import eventually
from tests.executor.conftest import BOTH_APIS, TENANT, Desk, provider, target
from tests.executor.tool_serving import Serve, add, asking, function, kinds, outputs, serving, shout
from tokenbus.bus import Message
from tokenbus_executor.sealed_reasoning import INCLUDE
from tokenbus_simulator import Simulator
from tokenbus_toolkit import Image, tool

pytestmark = pytest.mark.usefixtures("executor")
serve = pytest.fixture(serving)


@pytest.mark.parametrize("api", BOTH_APIS)
async def test_the_model_is_told_its_call_and_the_output_under_the_id_that_readers_saw(
    desk: Desk, serve: Serve, simulator: Simulator, api: str
) -> None:
    await serve(shout)
    events = await desk.ask('sim;call=shout({"word":"ah"})', api=api, request=asking("shout"))

    call_id = events[-1]["response"]["output"][0]["call_id"]
    told: Any = simulator.record[1].body
    if api == "responses":
        assert [item.get("type") for item in told["input"]] == ["message", "function_call", "function_call_output"]
        assert (told["input"][1]["call_id"], told["input"][2]["call_id"]) == (call_id, call_id)
        assert told["input"][2]["output"] == "AH"
    else:
        assert told["messages"][1]["tool_calls"][0]["id"] == call_id
        assert told["messages"][2] == {"role": "tool", "tool_call_id": call_id, "content": "AH"}


async def test_a_choice_that_forces_a_call_holds_for_the_first_round(
    desk: Desk, serve: Serve, simulator: Simulator
) -> None:
    await serve(shout)
    choice = {"type": "function", "name": "shout"}
    await desk.ask("sim", request=asking("shout", tool_choice=choice))

    bodies: list[Any] = [exchange.body for exchange in simulator.record]
    assert [body["tool_choice"] for body in bodies] == [choice, "auto"]


@pytest.mark.parametrize("api", BOTH_APIS)
async def test_a_tool_is_named_and_its_service_defines_it(
    desk: Desk, serve: Serve, simulator: Simulator, api: str
) -> None:
    await serve(add)
    request = {"input": "Go on.", "tools": [{"type": "function", "name": "add"}]}
    events = await desk.ask('sim;call=add({"first":1,"second":2})', api=api, request=request)

    body: Any = simulator.record[0].body
    said = body["tools"][0] if api == "responses" else body["tools"][0]["function"]
    assert said["description"] == "Add two numbers."
    assert said["parameters"]["required"] == ["first", "second"]
    assert outputs(events) == ["3"]
    assert events[-1]["response"]["tools"][0]["parameters"]["required"] == ["first", "second"]


async def test_a_named_tool_that_nobody_offers_is_refused_by_its_place(desk: Desk, simulator: Simulator) -> None:
    request = {"input": "Go on.", "tools": [function("mine"), {"type": "function", "name": "gone"}]}
    events = await desk.ask(request=request)

    error = events[-1]["response"]["error"]
    assert (error["type"], error["param"]) == ("invalid_value", "tools[1]")
    assert error["message"].startswith("tools[1]: 'gone' has no `parameters`")
    assert len(simulator.record) == 0


async def test_a_named_tool_whose_service_answers_too_late_is_asked_for_again(desk: Desk, serve: Serve) -> None:
    questions: list[Message] = []
    await desk.bus.subscribe("$SRV.INFO", questions.append)
    await desk.bus.flush()
    named = {"type": "function", "name": "shout"}
    identity = await desk.send(
        desk.order(target('sim;call=shout({"word":"ah"})'), request=asking(tools=[named]), timeout_s=60)
    )
    await eventually(lambda: bool(questions), timeout_s=20)
    await serve(shout)

    assert outputs(await desk.answered(identity, timeout_s=30)) == ["AH"]


async def test_the_tenants_own_tool_hides_a_shared_one(desk: Desk, serve: Serve) -> None:
    @tool(name="who", scope=TENANT)
    async def own(of: str) -> str:
        """The tenant's."""
        return f"own {of}"

    @tool(name="who")
    async def shared(of: str) -> str:
        """Everybody's."""
        return f"shared {of}"

    await serve(shared, service="shared")
    await serve(own, service="own")
    request = {"input": "Go on.", "tools": [{"type": "function", "name": "who"}]}
    script = 'sim;call=who({"of":"it"})'

    mine = await desk.ask(script, request=request)
    assert (outputs(mine), mine[-1]["response"]["tools"][0]["description"]) == (["own it"], "The tenant's.")


@pytest.mark.parametrize("api", BOTH_APIS)
async def test_an_image_reaches_the_model_where_its_api_allows(
    desk: Desk, serve: Serve, simulator: Simulator, api: str
) -> None:
    @tool
    async def draw() -> list[Any]:
        return ["A dot.", Image.of(b"dot", media_type="image/png")]

    await serve(draw)
    events = await desk.ask("sim;call=draw({})", api=api, request=asking("draw"))

    told: Any = simulator.record[1].body
    assert [part["type"] for part in outputs(events)[0]] == ["input_text", "input_image"]
    if api == "responses":
        assert told["input"][2]["output"] == outputs(events)[0]
    else:
        assert [part["text"] for part in told["messages"][2]["content"]] == [
            "A dot.",
            "[an image left out: this model takes text only as the output of a tool]",
        ]


@pytest.mark.parametrize("store", [None, False, True])
async def test_sealed_reasoning_goes_back_to_the_model_that_wrote_it(
    desk: Desk, serve: Serve, simulator: Simulator, store: bool | None
) -> None:
    await serve(shout)
    request = asking("shout", reasoning={"effort": "low"}, **({} if store is None else {"store": store}))
    events = await desk.ask('sim;reasoning=5;summary=3;call=shout({"word":"x"})', request=request)

    bodies: list[Any] = [exchange.body for exchange in simulator.record]
    assert kinds(events) == ["reasoning", "function_call", "function_call_output", "reasoning", "message"]
    assert [body["include"] for body in bodies] == [[INCLUDE], [INCLUDE]]
    assert bodies[1]["input"][1]["encrypted_content"]
    assert bodies[1]["input"][1]["id"] == events[-1]["response"]["output"][0]["id"]


@pytest.mark.parametrize("store", [None, False])
async def test_a_model_that_may_not_seal_is_not_asked_to(
    desk: Desk, serve: Serve, simulator: Simulator, store: bool | None
) -> None:
    await serve(shout)
    request = asking("shout", **({} if store is None else {"store": store}))
    events = await desk.ask('sim;summary=3;call=shout({"word":"x"})', request=request)

    bodies: list[Any] = [exchange.body for exchange in simulator.record]
    assert events[-1]["type"] == "response.completed"
    assert all("include" not in body for body in bodies)
    kept = ["reasoning"] if store is None else []
    assert [item["type"] for item in bodies[1]["input"]] == [
        "message",
        *kept,
        "function_call",
        "function_call_output",
    ]


async def test_reasoning_goes_back_in_the_field_that_a_chat_provider_wants(
    desk: Desk, serve: Serve, simulator: Simulator
) -> None:
    await serve(shout)
    await desk.publish_providers(provider(simulator, chat={"reasoning_field": "reasoning_content"}))
    await desk.ask('sim;reasoning=5;call=shout({"word":"x"})', api="chat_completions", request=asking("shout"))

    told: Any = simulator.record[1].body
    assert told["messages"][1]["reasoning_content"]
    assert told["messages"][1]["tool_calls"]


async def test_provider_tools_stand_beside_functions(desk: Desk, serve: Serve, simulator: Simulator) -> None:
    await serve(shout)
    request = asking("shout")
    request["tools"].append({"type": "web_search"})
    events = await desk.ask('sim;provider_call=web_search;call=shout({"word":"x"})', request=request)

    told: Any = simulator.record[1].body
    assert {"web_search_call", "function_call", "function_call_output"} <= set(kinds(events))
    assert events[-1]["type"] == "response.completed"
    assert "web_search_call" in [item["type"] for item in told["input"]]


async def test_a_later_round_fails_over_before_its_first_event(desk: Desk, serve: Serve, simulator: Simulator) -> None:
    first, second = provider(simulator), provider(simulator, name="second")

    @tool
    async def unplug() -> str:
        """Takes the provider that answered off the network."""
        await desk.publish_providers(provider(simulator, base_url="http://127.0.0.1:1/v1"), second)
        return "done"

    await desk.publish_providers(first, second)
    await serve(unplug)
    script = "sim;summary=2;call=unplug({})"
    order = desk.order(target(script), target(script, provider="second"), request=asking("unplug"))
    events = await desk.answered(await desk.send(order))

    response = events[-1]["response"]
    assert (response["status"], response["tokenbus"]["provider"]) == ("completed", "second")
    assert kinds(events) == ["reasoning", "function_call", "function_call_output", "reasoning", "message"]
    told: Any = simulator.record[1].body
    assert "reasoning" not in [item["type"] for item in told["input"]]
