"""The assembly: what it is told by itself, without an upstream; and the check that all answers pass."""

from collections.abc import Callable
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tokenbus_schemas import ErrorBody, ErrorCode, Event, encode
from tokenbus_translate import AssemblyEndedError, Ending, LifecycleCheck, LifecycleError, ResponseAssembly
from tokenbus_translate.text import OUTPUT_TEXT, TextClosedError
from tokenbus_translate.usage import add_usage, normal_usage

Json = dict[str, Any]
Assemble = Callable[..., ResponseAssembly]
Checked = Callable[[list[Event]], list[Json]]

_ERROR = ErrorBody(ErrorCode.UPSTREAM_CUT, "cut")


def _parsed(events: list[Event]) -> list[Json]:
    return [orjson.loads(encode(event, number)) for number, event in enumerate(events)]


def _hello(assembly: ResponseAssembly) -> list[Event]:
    text = assembly.open_item({"type": "message"}).open_text(OUTPUT_TEXT)
    text.write("Hel")
    text.write("lo")
    return assembly.take()


def test_a_response_echoes_its_request_and_says_who_answered(assemble: Assemble, checked: Checked) -> None:
    echo = {
        "input": "not echoed",
        "instructions": "Be brief",
        "temperature": 0,
        "tools": [{"type": "function", "name": "f"}],
        "reasoning": {"effort": "low"},
        "text": {"verbosity": "low"},
        "store": False,
        "stop": ["x"],
        "user": "u",
    }
    assembly = assemble(echo=echo)
    response = checked(_hello(assembly) + assembly.finish(Ending("completed"), now=1_790_000_009))[-1]["response"]
    assert response["instructions"] == "Be brief"
    assert response["temperature"] == 0
    assert response["tools"] == [
        {"type": "function", "name": "f", "description": None, "parameters": None, "strict": None}
    ]
    assert response["reasoning"] == {"effort": "low", "summary": None}
    assert response["text"] == {"format": {"type": "text"}, "verbosity": "low"}
    assert (response["store"], response["user"], response["completed_at"]) == (False, "u", 1_790_000_009)
    assert not response.keys() & {"input", "stop"}
    assert response["tokenbus"] == {
        "provider": "openai",
        "model": "gpt-4.1-mini",
        "api": "responses",
        "attempt": 2,
        "request_id": "r1",
    }


def test_a_cancelled_response_is_incomplete_with_its_own_status(assemble: Assemble, checked: Checked) -> None:
    assembly = assemble()
    terminal = checked(_hello(assembly) + assembly.cancel())[-1]
    assert (terminal["type"], terminal["response"]["status"]) == ("response.incomplete", "cancelled")
    assert terminal["response"]["output"][0]["status"] == "incomplete"


def test_a_failure_before_anything_is_a_whole_sequence(assemble: Assemble, checked: Checked) -> None:
    parsed = checked(assemble().fail(_ERROR))
    assert [event["type"] for event in parsed] == ["response.created", "response.in_progress", "response.failed"]
    assert parsed[-1]["response"]["error"] == {
        "code": "server_error",
        "message": "cut",
        "param": None,
        "type": "upstream_cut",
    }


def test_ids_are_the_same_on_every_run_and_others_on_another_attempt(assemble: Assemble) -> None:
    assert _hello(assemble()) == _hello(assemble())
    assert _hello(assemble()) != _hello(assemble(attempt=3))


def test_nothing_can_be_written_after_an_end(assemble: Assemble) -> None:
    assembly = assemble()
    text = assembly.open_item({"type": "message"}).open_text(OUTPUT_TEXT)
    assembly.cancel()
    with pytest.raises(TextClosedError):
        text.write("more")
    with pytest.raises(AssemblyEndedError):
        assembly.open_item({"type": "message"})
    with pytest.raises(AssemblyEndedError):
        assembly.fail(_ERROR)


def test_reasoning_that_was_counted_apart_is_part_of_the_output() -> None:
    details = {"completion_tokens_details": {"reasoning_tokens": 5}}
    apart = normal_usage({"prompt_tokens": 3, "completion_tokens": 4, "total_tokens": 12, **details})
    within = normal_usage({"prompt_tokens": 3, "completion_tokens": 9, "total_tokens": 12, **details})
    assert apart == within
    assert apart is not None
    assert apart["output_tokens"] == 9


def test_usage_is_summed_number_by_number() -> None:
    once = normal_usage({"prompt_tokens": 3, "completion_tokens": 4, "prompt_tokens_details": {"cached_tokens": 2}})
    assert once is not None
    assert once["total_tokens"] == 7
    assert add_usage(None, once) == once
    assert add_usage(once, None) == once
    assert add_usage(once, once) == {
        "input_tokens": 6,
        "input_tokens_details": {"cached_tokens": 4, "cache_write_tokens": 0},
        "output_tokens": 8,
        "output_tokens_details": {"reasoning_tokens": 0},
        "total_tokens": 14,
    }
    assert normal_usage({}) is None
    assert normal_usage(None) is None


def _valid(assemble: Assemble) -> list[Json]:
    assembly = assemble()
    events = _hello(assembly)
    call = assembly.open_item({"type": "function_call", "call_id": "c", "name": "f"})
    call.texts[0].write("{}")
    return _parsed(events + assembly.finish(Ending("completed"), now=1))


def _check(events: list[Json]) -> None:
    lifecycle = LifecycleCheck()
    for event in events:
        lifecycle.feed(event)
    lifecycle.close()


def test_the_check_passes_what_the_assembly_makes(assemble: Assemble) -> None:
    _check(_valid(assemble))


@given(place=st.integers(0, 2**16))
def test_the_check_finds_any_event_that_is_missing(place: int, assemble: Assemble) -> None:
    events = _valid(assemble)
    del events[place % len(events)]
    with pytest.raises(LifecycleError):
        _check([{**event, "sequence_number": number} for number, event in enumerate(events)])


@given(place=st.integers(0, 2**16))
def test_the_check_finds_any_event_that_comes_twice(place: int, assemble: Assemble) -> None:
    events = _valid(assemble)
    events.insert(place % len(events), events[place % len(events)])
    with pytest.raises(LifecycleError):
        _check([{**event, "sequence_number": number} for number, event in enumerate(events)])


@given(place=st.integers(0, 2**16))
def test_the_check_finds_any_two_events_of_one_item_that_are_swapped(place: int, assemble: Assemble) -> None:
    assembly = assemble()
    events = _parsed(_hello(assembly) + assembly.finish(Ending("completed"), now=1))
    first = place % (len(events) - 1)
    events[first], events[first + 1] = events[first + 1], events[first]
    with pytest.raises(LifecycleError):
        _check([{**event, "sequence_number": number} for number, event in enumerate(events)])


@pytest.mark.parametrize(
    ("event_type", "change"),
    [
        ("response.in_progress", {"sequence_number": 7}),
        ("response.output_text.delta", {"item_id": "other"}),
        ("response.output_text.delta", {"output_index": 1}),
        ("response.output_text.delta", {"content_index": 1}),
        ("response.output_text.done", {"text": "Hell"}),
        ("response.output_item.added", {"output_index": 5}),
        ("response.function_call_arguments.done", {"arguments": ""}),
        ("response.content_part.done", {"part": {"type": "output_text", "text": "?"}}),
        ("response.output_item.done", {"item": {"type": "message", "id": "other"}}),
        ("response.completed", {"response": {"id": "resp_r1"}}),
    ],
)
def test_the_check_finds_what_disagrees(event_type: str, change: Json, assemble: Assemble) -> None:
    events = _valid(assemble)
    place = next(number for number, event in enumerate(events) if event["type"] == event_type)
    events[place] = {**events[place], **change}
    with pytest.raises(LifecycleError):
        _check(events)
