"""What each provider can do in each of its API modes: the suite asks for all of it, and expects the rest to be refused.

A new provider is a row here, one in the catalog and one in the simulator; no test changes.
"""

from dataclasses import dataclass
from typing import Final, Literal

from tests.conformance.product_tables import Api

DATED: Final = "azure_dated"
"""Azure by its older API, with deployments and `api-version` in its addresses."""


@dataclass(frozen=True, slots=True)
class Capabilities:
    """One provider in one mode. What is False must be refused by name before anything reaches the provider."""

    provider: str
    api: Api
    images: bool = True
    schemas: bool = True
    """JSON that fits a schema; without: any JSON."""
    logprobs: bool = True
    n: bool = True
    thoughts: Literal["sealed", "reasoning_content", "reasoning"] | None = None
    """How earlier reasoning goes back to it; None: it does not."""

    @property
    def profile(self) -> str:
        """What the simulator calls it: Azure's older API is another address of the same provider."""
        return "azure" if self.provider == DATED else self.provider

    def __str__(self) -> str:
        return f"{self.provider}-{self.api}"


CAPABILITIES: Final = (
    Capabilities("openai", "responses", n=False, thoughts="sealed"),
    Capabilities("openai", "chat_completions"),
    Capabilities("azure", "responses", n=False, thoughts="sealed"),
    Capabilities("azure", "chat_completions"),
    Capabilities(DATED, "responses", n=False, thoughts="sealed"),
    Capabilities(DATED, "chat_completions"),
    Capabilities("baseten", "chat_completions"),
    Capabilities("cerebras", "chat_completions", thoughts="reasoning"),
    Capabilities("deepseek", "chat_completions", images=False, schemas=False, n=False, thoughts="reasoning_content"),
    Capabilities("fireworks", "chat_completions"),
    Capabilities("groq", "chat_completions", logprobs=False, n=False, thoughts="reasoning"),
    Capabilities("perplexity", "chat_completions", logprobs=False),
    Capabilities("telnyx", "chat_completions"),
    Capabilities("together", "chat_completions"),
    Capabilities("xai", "chat_completions"),
)
