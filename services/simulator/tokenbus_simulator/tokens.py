"""Tokens: pieces of text, as a model would stream them. Everything here is the same on every run."""

import re
from collections.abc import Sequence
from functools import lru_cache
from itertools import cycle, islice
from typing import Final
from zlib import crc32

_TOKEN: Final = re.compile(r"\s*\w{1,8}|\s*[^\w\s]|\s+")
_PROSE: Final = (
    "the bus carries every token from one small event to the next and no reader has to wait for another "
    "because each of them sees the same stream in the same order until the answer is complete"
)
_CHARACTERS_PER_TOKEN: Final = 4  # OpenAI's rule of thumb for English; an estimate is all that usage needs here


def split(text: str) -> tuple[str, ...]:
    """Pieces of at most eight letters with the space before them; joined they give `text` back."""
    return tuple(_TOKEN.findall(text))


@lru_cache(maxsize=64)
def filler(count: int) -> tuple[str, ...]:
    """Exactly `count` tokens of prose."""
    words = tuple(islice(cycle(" " + word for word in _PROSE.split()), count))
    return (words[0].strip().capitalize(), *words[1:]) if words else ()


def estimate(characters: int) -> int:
    """How many tokens a text of that length would be, at least one."""
    return max(1, characters // _CHARACTERS_PER_TOKEN)


def logprob(token: str) -> float:
    """A made-up log probability in (-1, 0], always the same for the same token."""
    return -(crc32(token.encode()) % 1000) / 1000


def logprobs(tokens: Sequence[str], *, top: int) -> list[dict[str, object]]:
    """Log probabilities in the form that both APIs use, each with the `top` likeliest tokens."""
    return [{**_probability(token), "top_logprobs": _alternatives(token, top)} for token in tokens]


def _alternatives(token: str, top: int) -> list[dict[str, object]]:
    likely = [_probability(token)]
    likely += [{**_probability(token + "~" * rank), "logprob": logprob(token) - rank} for rank in range(1, top)]
    return likely[:top]


def _probability(token: str) -> dict[str, object]:
    return {"token": token, "logprob": logprob(token), "bytes": list(token.encode())}


def padding(token: str) -> str:
    """What obfuscation adds to a delta, so that its length tells nothing: up to a multiple of 16 characters."""
    return (f"{crc32(token.encode()):08x}" * 2)[: -len(token) % 16]
