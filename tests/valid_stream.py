"""What makes the events of one answer a valid stream: our own rules, the openai SDK's types, and its accumulator."""

import typing
from collections.abc import Iterable
from typing import Any

from openai._types import omit
from openai.lib.streaming.responses._responses import ResponseStreamState
from openai.types.responses import ResponseStreamEvent
from pydantic import BaseModel

from tokenbus_schemas import TERMINAL_TYPES, EventLine
from tokenbus_schemas.vocabulary import REWOUND
from tokenbus_translate import LifecycleCheck, fold_events

Json = dict[str, Any]


def _models() -> dict[str, type[BaseModel]]:
    union: Any = typing.get_args(ResponseStreamEvent)[0]
    models: tuple[type[BaseModel], ...] = typing.get_args(union)
    return {typing.get_args(model.model_fields["type"].annotation)[0]: model for model in models}


_MODELS = _models()


def check_stream(lines: Iterable[EventLine], *, first: int = 0) -> list[Json]:
    """The events, parsed, after every check; `first` is the sequence number of the first. Fails the test otherwise."""
    lines = list(lines)
    parsed = [dict(line.data) for line in lines]
    lifecycle = LifecycleCheck(first=first)
    for event in parsed:
        lifecycle.feed(event)
    lifecycle.close()
    assert sum(event["type"] in TERMINAL_TYPES for event in parsed) == 1
    output: list[Json] = parsed[-1]["response"]["output"]
    assert fold_events(lines) == output
    holding = _holding(parsed)
    _accumulate(holding)
    for place, text in _deltas(holding, kind="response.output_text", key="content_index").items():
        assert output[place[0]]["content"][place[1]]["text"] == text
    for place, text in _deltas(holding, kind="response.function_call_arguments", key="none").items():
        assert output[place[0]]["arguments"] == text
    return parsed


def _holding(events: list[Json]) -> list[Json]:
    """Without what was voided: OpenAI's accumulator knows no rewind."""
    holding: list[Json] = []
    for event in events:
        if event["type"] == REWOUND:
            holding = [one for one in holding if one.get("output_index", -1) < event["output_index"]]
        else:
            holding.append(event)
    return holding


def _accumulate(events: list[Json]) -> None:
    state = ResponseStreamState[None](input_tools=omit, text_format=omit)
    for event in events:
        model = _MODELS.get(event["type"])
        if model is not None:
            typed: Any = model.model_validate(event, strict=True)
            state.handle_event(typed)


def _deltas(events: list[Json], *, kind: str, key: str) -> dict[Any, str]:
    joined: dict[Any, str] = {}
    for event in events:
        if event["type"] == f"{kind}.delta":
            place = (event["output_index"], event.get(key))
            joined[place] = joined.get(place, "") + event["delta"]
    return joined
