"""A LiveKit agent with a tool, in text mode, over whatever LLM it is given.

livekit-agents 1.8.9 leaves many of its types open; they stop here.
"""

import json
from collections.abc import Sequence
from typing import Any, cast

from livekit import agents
from livekit.agents.llm import ChatItem, ChatMessage, FunctionCall, FunctionCallOutput, Tool, function_tool

_agents: Any = agents


class Forecast:
    """The agent's tool, and what it was asked."""

    def __init__(self) -> None:
        self.cities: list[str] = []

    def tool(self) -> Tool:
        async def get_weather(city: str) -> str:
            """The weather of a city."""
            self.cities.append(city)
            return f"sunny in {city}"

        return function_tool(get_weather)


async def talk(llm: object, *said: str, tools: Sequence[Tool] = ()) -> list[list[ChatItem]]:
    """One session, one turn for each thing said: what each turn added to the history, in order."""
    agent = _agents.Agent(instructions="You tell the weather.", tools=list(tools))
    turns: list[list[ChatItem]] = []
    async with _agents.AgentSession(llm=llm) as session:
        await session.start(agent)
        for text in said:
            result = await session.run(user_input=text)
            added = [cast("ChatItem", event.item) for event in result.events]
            assert session.history.items[-len(added) :] == added
            turns.append(added)
    return turns


async def check_tool_turn(llm: object) -> None:
    """Fails unless the agent runs its tool once, with what the model asked, and tells what it said."""
    forecast = Forecast()
    ((call, output, message),) = await talk(llm, "How is the weather?", tools=[forecast.tool()])
    (city,) = forecast.cities
    assert isinstance(call, FunctionCall)
    assert isinstance(output, FunctionCallOutput)
    assert isinstance(message, ChatMessage)
    assert (call.name, json.loads(call.arguments)) == ("get_weather", {"city": city})
    assert (output.call_id, output.output, output.is_error) == (call.call_id, f"sunny in {city}", False)
    assert f"sunny in {city}" in text_of(message)


def text_of(item: ChatItem) -> str:
    assert isinstance(item, ChatMessage)
    assert item.role == "assistant"
    return str(cast("object", item.text_content))
