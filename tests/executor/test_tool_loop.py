"""Function tools in an answer: who runs a call, and what readers see."""

import asyncio
from collections import Counter
from typing import Any

import pytest

from tests.executor.conftest import BOTH_APIS, Desk, StartExecutor, provider, target
from tests.executor.test_executor_answers import text_of
from tests.executor.tool_serving import Serve, add, asking, kinds, outputs, serving, shout
from tests.toolkit.conftest import hosted
from tokenbus_schemas.vocabulary import TOOL_PROGRESS
from tokenbus_simulator import Simulator
from tokenbus_toolkit import ToolContext, ToolError, tool

pytestmark = pytest.mark.usefixtures("executor")
serve = pytest.fixture(serving)


@pytest.mark.parametrize("api", BOTH_APIS)
async def test_a_served_call_is_run_and_the_model_goes_on(desk: Desk, serve: Serve, api: str) -> None:
    await serve(add)
    events = await desk.ask('sim;call=add({"first":40,"second":2})', api=api, request=asking("add"))

    response = events[-1]["response"]
    assert response["status"] == "completed"
    assert kinds(events) == ["function_call", "function_call_output", "message"]
    call, output, message = response["output"]
    assert (output["call_id"], output["output"], output["status"]) == (call["call_id"], "42", "completed")
    assert message["content"][0]["text"] == text_of(events) != ""


@pytest.mark.parametrize("api", BOTH_APIS)
async def test_a_call_that_nobody_serves_is_left_to_the_client(desk: Desk, simulator: Simulator, api: str) -> None:
    events = await desk.ask("sim;call=mine({})", api=api, request=asking("mine"))

    assert (events[-1]["type"], kinds(events)) == ("response.completed", ["function_call"])
    assert len(simulator.record) == 1


@pytest.mark.parametrize("api", BOTH_APIS)
async def test_of_both_kinds_the_served_ones_run_and_the_others_stay_open(
    desk: Desk, serve: Serve, simulator: Simulator, api: str
) -> None:
    await serve(shout)
    script = 'sim;call=shout({"word":"a"});call=mine({});call=shout({"word":"b"})'
    events = await desk.ask(script, api=api, request=asking("shout", "mine"))

    calls = events[-1]["response"]["output"][:3]
    answered = [item["call_id"] for item in events[-1]["response"]["output"][3:]]
    assert events[-1]["type"] == "response.completed"
    assert outputs(events) == ["A", "B"]
    assert answered == [calls[0]["call_id"], calls[2]["call_id"]]
    assert len(simulator.record) == 1


async def test_a_function_that_the_request_does_not_offer_is_not_run(desk: Desk, serve: Serve) -> None:
    ran = Counter[str]()

    @tool
    async def secret() -> None:
        ran["secret"] += 1

    await serve(secret)
    events = await desk.ask("sim;call=secret({})", request=asking("other"))

    assert (kinds(events), ran["secret"]) == (["function_call"], 0)


@pytest.mark.parametrize("api", BOTH_APIS)
async def test_fifty_calls_run_at_once_and_their_outputs_stand_in_call_order(
    desk: Desk, serve: Serve, api: str
) -> None:
    together = asyncio.Barrier(50)

    @tool(concurrency=50)
    async def meet(number: int) -> int:
        """Returns when all others are here too."""
        async with together:
            return number

    await serve(meet)
    calls = ";".join(f'call=meet({{"number":{number}}})' for number in range(50))
    events = await desk.ask(f"sim;{calls}", api=api, request=asking("meet"))

    assert outputs(events) == [str(number) for number in range(50)]
    assert kinds(events) == ["function_call"] * 50 + ["function_call_output"] * 50 + ["message"]


async def test_an_output_is_shown_as_soon_as_those_before_it_are(desk: Desk, serve: Serve) -> None:
    shown = asyncio.Event()

    @tool
    async def quick() -> str:
        return "quick"

    @tool
    async def slow() -> str:
        async with asyncio.timeout(5):
            await shown.wait()
        return "slow"

    await serve(quick, slow)
    request_id = await desk.send(
        desk.order(target("sim;call=quick({});call=slow({});call=quick({})"), request=asking("quick", "slow"))
    )
    await desk.until(request_id, lambda lines: sum(b"function_call_output" in line.raw for line in lines) == 2)
    shown.set()

    assert outputs(await desk.answered(request_id)) == ["quick", "slow", "quick"]


@pytest.mark.parametrize("api", BOTH_APIS)
async def test_ten_rounds_end_in_one_answer_with_all_usage(
    desk: Desk, serve: Serve, simulator: Simulator, api: str
) -> None:
    await serve(shout)
    events = await desk.ask('sim;call=shout({"word":"x"});rounds=10', api=api, request=asking("shout"))

    assert kinds(events) == ["function_call", "function_call_output"] * 10 + ["message"]
    assert len(simulator.record) == 11
    one = await desk.ask('sim;call=shout({"word":"x"})', api=api, request=asking("mine"))
    assert events[-1]["response"]["usage"]["output_tokens"] > 10 * (one[-1]["response"]["usage"]["output_tokens"])


@pytest.mark.parametrize("api", BOTH_APIS)
async def test_after_the_last_round_the_model_must_answer(
    desk: Desk, serve: Serve, simulator: Simulator, api: str
) -> None:
    await serve(shout)
    events = await desk.ask(
        'sim;call=shout({"word":"x"});rounds=9', api=api, request=asking("shout"), max_tool_rounds=2
    )

    bodies: list[Any] = [exchange.body for exchange in simulator.record]
    assert kinds(events) == ["function_call", "function_call_output"] * 2 + ["message"]
    assert [body.get("tool_choice") for body in bodies] == [None, None, "none"]


async def test_rounds_are_bounded_by_the_executor_where_the_request_says_nothing(
    desk: Desk, serve: Serve, start_executor: StartExecutor, simulator: Simulator
) -> None:
    await serve(shout)
    async with start_executor(max_tool_rounds=1, executor_pools="other"):
        await desk.publish_providers(provider(simulator), provider(simulator, name="second", pool="other"))
        order = desk.order(
            target('sim;call=shout({"word":"x"});rounds=9', provider="second", pool="other"), request=asking("shout")
        )
        events = await desk.answered(await desk.send(order))

    assert kinds(events) == ["function_call", "function_call_output", "message"]


async def test_without_rounds_no_function_is_run(desk: Desk, serve: Serve) -> None:
    await serve(shout)
    events = await desk.ask('sim;call=shout({"word":"x"})', request=asking("shout"), max_tool_rounds=0)

    assert kinds(events) == ["function_call"]


async def test_what_goes_wrong_in_a_tool_is_told_to_the_model(desk: Desk, serve: Serve) -> None:
    @tool
    async def taken() -> None:
        raise ToolError("The table is taken.")

    @tool
    async def broken() -> None:
        raise RuntimeError("internal")

    @tool(timeout_s=0.05)
    async def late() -> None:
        await asyncio.Event().wait()

    await serve(taken, broken, late)
    events = await desk.ask(
        'sim;call=taken({});call=broken({});call=late({});call=taken({"x":1})',
        request=asking("taken", "broken", "late"),
    )

    said = outputs(events)
    assert events[-1]["type"] == "response.completed"
    assert said[0] == "The table is taken."
    assert said[1].startswith("The tool failed with an internal error.")
    assert said[2].startswith("The tool did not finish within its 0.05 s and was stopped.")
    assert said[3].startswith("Invalid arguments for taken: ")


async def test_progress_is_told_while_the_tool_runs(desk: Desk, serve: Serve) -> None:
    seen = asyncio.Event()

    @tool
    async def walk(context: ToolContext) -> str:
        await context.progress("half way", fraction=0.5)
        async with asyncio.timeout(5):
            await seen.wait()
        return "there"

    await serve(walk)
    request_id = await desk.send(desk.order(target("sim;call=walk({})"), request=asking("walk")))
    await desk.until(request_id, lambda lines: any(line.type == TOOL_PROGRESS for line in lines))
    seen.set()
    events = await desk.answered(request_id)

    told = next(event for event in events if event["type"] == TOOL_PROGRESS)
    call = events[-1]["response"]["output"][0]
    assert (told["item_id"], told["output_index"]) == (call["id"], 0)
    assert (told["message"], told["fraction"]) == ("half way", 0.5)


async def test_calls_beyond_the_bound_of_a_round_are_not_run(
    desk: Desk, serve: Serve, start_executor: StartExecutor, simulator: Simulator
) -> None:
    await serve(shout)
    async with start_executor(max_tool_calls=2, executor_pools="other"):
        await desk.publish_providers(provider(simulator), provider(simulator, name="second", pool="other"))
        calls = ";".join(f'call=shout({{"word":"{word}"}})' for word in "abc")
        order = desk.order(target(f"sim;{calls}", provider="second", pool="other"), request=asking("shout"))
        events = await desk.answered(await desk.send(order))

    assert outputs(events)[:2] == ["A", "B"]
    assert outputs(events)[2].startswith("At most 2 calls are run at once.")


async def test_several_choices_are_left_to_the_client(desk: Desk, serve: Serve) -> None:
    await serve(shout)
    request = asking("shout", n=2)
    events = await desk.ask('sim;call=shout({"word":"x"})', api="chat_completions", request=request)

    assert kinds(events) == ["function_call", "function_call"]


async def test_an_output_near_the_limit_of_the_bus_is_defined(desk: Desk, serve: Serve) -> None:
    @tool
    async def much(size: int) -> str:
        return "x" * size

    await serve(much)
    small = await desk.ask('sim;call=much({"size":400000})', request=asking("much"))
    large = await desk.ask('sim;call=much({"size":2000000})', request=asking("much"))

    assert outputs(small) == ["x" * 400_000]
    assert "is over the limit of" in outputs(large)[0]
    assert large[-1]["type"] == "response.completed"


async def test_outputs_that_together_do_not_fit_end_the_answer_by_name(
    desk: Desk, serve: Serve, simulator: Simulator
) -> None:
    """The model has read them; it is the whole response that the bus can not carry."""

    @tool
    async def much(number: int) -> str:
        return str(number) * 400_000

    await serve(much)
    calls = ";".join(f'call=much({{"number":{number}}})' for number in range(4))
    request_id = await desk.send(desk.order(target(f"sim;{calls}"), request=asking("much")))
    await desk.until(request_id, lambda lines: any(line.is_terminal for line in lines), timeout_s=30)

    end = desk.live[request_id][-1].data
    assert (end["type"], end["response"]["error"]["type"]) == ("response.failed", "output_too_large")
    items = [line.data["item"] for line in desk.live[request_id] if line.type == "response.output_item.done"]
    told = [item["output"] for item in items if item["type"] == "function_call_output"]
    assert [(output[0], len(output)) for output in told] == [(str(number), 400_000) for number in range(4)]
    assert len(simulator.record) == 2


@pytest.mark.parametrize("api", BOTH_APIS)
async def test_fifty_calls_in_each_of_ten_rounds_have_one_output_each(desk: Desk, serve: Serve, api: str) -> None:
    ran = Counter[int]()

    @tool
    async def note(number: int) -> None:
        ran[number] += 1

    await serve(note)
    calls = ";".join(f'call=note({{"number":{number}}})' for number in range(50))
    order = desk.order(target(f"sim;rounds=10;{calls}", api=api), request=asking("note"), timeout_s=60)
    events = await desk.answered(await desk.send(order), timeout_s=60)

    assert kinds(events) == [*["function_call"] * 50, *["function_call_output"] * 50] * 10 + ["message"]
    assert outputs(events) == [""] * 500
    assert ran == dict.fromkeys(range(50), 10)


async def test_a_truncated_answer_runs_nothing(desk: Desk, serve: Serve) -> None:
    await serve(shout)
    events = await desk.ask('sim;finish=length;call=shout({"word":"x"})', request=asking("shout"))

    assert (events[-1]["type"], kinds(events)) == ("response.incomplete", ["function_call"])


async def test_hosts_of_another_root_are_not_asked(desk: Desk, nats_url: str) -> None:
    async with hosted(nats_url, shout, root="elsewhere"):
        events = await desk.ask('sim;call=shout({"word":"x"})', request=asking("shout"))

    assert kinds(events) == ["function_call"]
