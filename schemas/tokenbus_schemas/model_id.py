"""Model IDs: `<family>/<name>`, such as `openai/gpt-4.1-mini` or `together/meta-llama/Llama-3.3-70B`.

The part before the first slash is the family (the vendor, or a provider with pattern entries); the rest is the name,
which may hold further slashes. An ID without a slash is a plain alias.
"""

import re
from dataclasses import dataclass
from typing import Final

MAX_LENGTH: Final = 256
_PART: Final = r"(?!\.{1,2}(?:/|$))[A-Za-z0-9_.:@+-]+"
"""Not `.` and `..`: some providers have the name in their addresses."""
_PATTERN: Final = re.compile(rf"{_PART}(/{_PART})*", re.ASCII)


class InvalidModelIdError(ValueError):
    """A string that can not be a model ID."""


@dataclass(frozen=True, slots=True)
class ModelId:
    """A model ID in its parts; `str()` gives it back unchanged."""

    family: str | None
    name: str

    @classmethod
    def parse(cls, text: str) -> "ModelId":
        """Raises `InvalidModelIdError`, which says what a model ID looks like."""
        if not 0 < len(text) <= MAX_LENGTH or _PATTERN.fullmatch(text) is None:
            shown = text if len(text) <= 80 else text[:77] + "..."
            raise InvalidModelIdError(
                f"{shown!r} is no model ID: write <family>/<name>, such as openai/gpt-4.1-mini, with letters, digits "
                f"and . _ : @ + - in each part, at most {MAX_LENGTH} characters"
            )
        family, slash, name = text.partition("/")
        return cls(family, name) if slash else cls(None, text)

    def __str__(self) -> str:
        return self.name if self.family is None else f"{self.family}/{self.name}"
