"""Ids in the forms OpenAI uses.

All ids of one exchange share a stem, so a rendered answer becomes a new one by replacing it.
"""

import hashlib
from typing import Final

_STEM_DIGITS: Final = 20
_DIGITS: Final = {"chatcmpl-": 29, "call_": 24, "req_": 32}
_OTHER_DIGITS: Final = 50  # resp_, and those of items

STEM: Final = "5eed0ff1ce0fa1150115"
"""The stem of ids in rendered answers; what is sent has the stem of its exchange instead."""


def stem_of(seed: str, *, number: int) -> str:
    """The stem of the ids of exchange `number`: the same for the same seed, else different."""
    return hashlib.sha256(f"{seed}/{number}".encode()).hexdigest()[:_STEM_DIGITS]


def stem_in(item_id: str) -> str:
    """The stem of an id, wherever it is from."""
    return item_id.partition("_")[2][:_STEM_DIGITS]


class Ids:
    """The ids of one exchange, minted in order."""

    def __init__(self, stem: str = STEM) -> None:
        self._stem = stem
        self._minted = 0

    def mint(self, prefix: str) -> str:
        """A new id: the prefix (`resp_`, `call_`, …) and hexadecimal digits."""
        self._minted += 1
        rest = hashlib.sha256(str(self._minted).encode()).hexdigest()
        return prefix + (self._stem + rest)[: _DIGITS.get(prefix, _OTHER_DIGITS)]
