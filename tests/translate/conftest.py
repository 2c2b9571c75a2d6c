"""What a translated stream is checked with: our own rules, the openai SDK's types, and its accumulator."""

import typing
from collections.abc import Callable, Iterable
from typing import Any

import orjson
import pytest
from openai._types import omit
from openai.lib.streaming.responses._responses import ResponseStreamState
from openai.types.responses import ResponseStreamEvent
from pydantic import BaseModel

from tokenbus_schemas import ATTEMPT_STRIDE, TERMINAL_TYPES, Event, encode
from tokenbus_translate import LifecycleCheck, ResponseAssembly, ResponseHead

Json = dict[str, Any]
Assemble = Callable[..., ResponseAssembly]
Checked = Callable[[Iterable[Event]], list[Json]]


def _models() -> dict[str, type[BaseModel]]:
    union: Any = typing.get_args(ResponseStreamEvent)[0]
    models: tuple[type[BaseModel], ...] = typing.get_args(union)
    return {typing.get_args(model.model_fields["type"].annotation)[0]: model for model in models}


_MODELS = _models()


def _deltas(events: list[Json], *, kind: str, key: str) -> dict[Any, str]:
    joined: dict[Any, str] = {}
    for event in events:
        if event["type"] == f"{kind}.delta":
            place = (event["output_index"], event.get(key))
            joined[place] = joined.get(place, "") + event["delta"]
    return joined


def _check(events: Iterable[Event]) -> list[Json]:
    lines = [encode(event, number) for number, event in enumerate(events, ATTEMPT_STRIDE)]
    parsed: list[Json] = [orjson.loads(line) for line in lines]
    lifecycle = LifecycleCheck(first=ATTEMPT_STRIDE)
    state = ResponseStreamState[None](input_tools=omit, text_format=omit)
    for event in parsed:
        lifecycle.feed(event)
        model = _MODELS.get(event["type"])
        if model is not None:
            typed: Any = model.model_validate(event, strict=True)
            state.handle_event(typed)
    lifecycle.close()
    assert b"\n" not in b"".join(lines)
    terminal = parsed[-1]
    assert terminal["type"] in TERMINAL_TYPES
    output: list[Json] = terminal["response"]["output"]
    for place, text in _deltas(parsed, kind="response.output_text", key="content_index").items():
        assert output[place[0]]["content"][place[1]]["text"] == text
    for place, text in _deltas(parsed, kind="response.function_call_arguments", key="none").items():
        assert output[place[0]]["arguments"] == text
    return parsed


@pytest.fixture(scope="session")
def checked() -> Checked:
    """Events → the same, parsed, after every check: of order, of types, by accumulation, of text."""
    return _check


@pytest.fixture(scope="session")
def assemble() -> Assemble:
    """A fresh response; arguments replace fields of its head."""

    def make(**fields: Any) -> ResponseAssembly:
        head: Json = {
            "response_id": "resp_r1",
            "model": "openai/gpt-4.1-mini",
            "created_at": 1_790_000_000,
            "echo": {"input": "Hello"},
            "provider": "openai",
            "upstream_model": "gpt-4.1-mini",
            "api": "responses",
            "attempt": 2,
            "request_id": "r1",
        }
        return ResponseAssembly(ResponseHead(**{**head, **fields}))

    return make
