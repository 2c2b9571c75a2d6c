"""A service of another team hosts a tool; the answer that names it goes through the whole system."""

from collections.abc import AsyncGenerator

import pytest

from tests.e2e.conftest import RunningTokenbus
from tests.e2e.test_e2e_requests import answered, text_of
from tests.toolkit.conftest import hosted
from tokenbus import Client
from tokenbus_schemas import DEFAULT_ROOT
from tokenbus_toolkit import tool

MODEL = "openai/sim@call:crm_lookup@rounds:3"
NAMED = {"type": "function", "name": "crm_lookup"}


@tool
async def crm_lookup(customer: str) -> dict[str, str]:
    """What is known of a customer."""
    return {"customer": customer, "city": "London"}


@pytest.fixture
async def crm(running: RunningTokenbus) -> AsyncGenerator[None]:
    async with hosted(running.nats_url, crm_lookup, root=DEFAULT_ROOT, service="crm"):
        yield


@pytest.mark.usefixtures("crm")
@pytest.mark.parametrize("api", ["responses", "chat_completions"])
@pytest.mark.parametrize(("options", "rounds"), [({}, 3), ({"max_tool_rounds": 2}, 2), ({"max_tool_rounds": 0}, 0)])
async def test_a_named_tool_is_run_as_often_as_the_request_allows(
    client: Client, api: str, options: dict[str, int], rounds: int
) -> None:
    events = await answered(client, model=MODEL, tools=[NAMED], tokenbus={"api": api, **options})

    output = events[-1]["response"]["output"]
    assert events[-1]["type"] == "response.completed"
    told = [item["output"] for item in output if item["type"] == "function_call_output"]
    assert told == ['{"customer":"example","city":"London"}'] * rounds
    assert bool(text_of(events)) is bool(rounds)
