"""A whole LiveKit agent in text mode, straight over the bus."""

from tests.livekit.agent_talk import check_tool_turn, talk, text_of
from tokenbus import Client
from tokenbus_livekit import LLM


async def test_an_agent_calls_its_tool_and_tells_what_it_said(client: Client) -> None:
    await check_tool_turn(LLM("openai/sim@call:get_weather", client=client))


async def test_an_agent_talks_turn_by_turn(client: Client) -> None:
    turns = await talk(LLM("openai/sim-echo", client=client), "first words", "second words")
    assert [[text_of(item) for item in turn] for turn in turns] == [["first words"], ["second words"]]
