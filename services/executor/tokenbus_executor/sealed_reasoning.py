"""Which models can be asked for their reasoning in sealed (encrypted) form, so that it can be sent back to them."""

import re
from collections.abc import Iterable, Mapping
from typing import Final, NamedTuple

from tokenbus_translate.json_value import JsonObject, as_list, as_object

INCLUDE: Final = "reasoning.encrypted_content"
"""The value of `include` that asks for it."""


class _Row(NamedTuple):
    models: str
    """Names without their provider prefix: a pattern."""
    seals: bool
    source: str


# The first row that fits a name decides. Every other model may answer 400, "Encrypted content is not supported with
# this model." (github.com/pydantic/pydantic-ai/issues/2865, 2025-09, for gpt-4o), so it is not asked.
_ROWS: Final = (
    _Row(r".*-chat(-.*)?", seals=False, source="github.com/pydantic/pydantic-ai/issues/3326 (2025-11)"),
    _Row(r"o[134](-.*)?", seals=True, source="github.com/NousResearch/hermes-agent/pull/24234 (2026-05)"),
    _Row(r"gpt-[5-9]([.-].*)?", seals=True, source="github.com/NousResearch/hermes-agent/pull/24234 (2026-05)"),
)


def seals(names: Iterable[str], *, request: Mapping[str, object]) -> bool:
    """Whether the model seals its reasoning. `names`: all that it is known by; a deployment may be called anything.

    A request that sets `reasoning` is for a model that reasons: any other refuses the parameter.
    """
    reasoning = as_object(request.get("reasoning")) or {}
    if any(value is not None for value in reasoning.values()):
        return True
    return any(_row_says(name.rpartition("/")[2]) for name in names)


def asking_for_seals(request: JsonObject) -> JsonObject:
    """The request, which asks for sealed reasoning too."""
    include = as_list(request.get("include"))
    return request if INCLUDE in include else {**request, "include": [*include, INCLUDE]}


def _row_says(name: str) -> bool:
    return next((row.seals for row in _ROWS if re.fullmatch(row.models, name) is not None), False)
