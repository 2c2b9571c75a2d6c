"""LiveKit agents over the bus: `LLM` is a `livekit.agents.llm.LLM` that speaks no HTTP.

async with tokenbus.connect("nats://127.0.0.1:4222") as client:
    session = AgentSession(llm=tokenbus_livekit.LLM("openai/gpt-4.1-mini", client=client))
"""

from tokenbus_livekit.llm import LLM

__all__ = ["LLM"]
