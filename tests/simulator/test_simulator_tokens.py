"""Tokens and made-up arguments."""

from typing import Any

import jsonschema
import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tokenbus_simulator.json_examples import example_arguments
from tokenbus_simulator.tokens import filler, logprobs, padding, split


@given(st.text())
def test_tokens_joined_are_the_text(text: str) -> None:
    assert "".join(split(text)) == text


@given(st.integers(0, 300))
def test_filler_has_exactly_the_tokens_asked_for_and_none_is_empty(count: int) -> None:
    tokens = filler(count)
    assert len(tokens) == count
    assert all(tokens)


@given(st.text(min_size=1, max_size=40))
def test_padding_brings_a_token_to_a_multiple_of_sixteen_characters(token: str) -> None:
    assert len(token + padding(token)) % 16 == 0


def test_log_probabilities_list_the_token_first_and_the_likeliest_alternatives_in_order() -> None:
    alternatives: Any = logprobs([" bus"], top=3)[0]["top_logprobs"]
    assert alternatives[0]["token"] == " bus"
    probabilities = [one["logprob"] for one in alternatives]
    assert len(probabilities) == 3
    assert probabilities == sorted(probabilities, reverse=True)


@pytest.mark.parametrize(
    "schema",
    [
        {},
        {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
        {
            "properties": {"unit": {"enum": ["C", "F"]}, "n": {"type": "integer", "minimum": 5}},
            "required": ["unit", "n"],
        },
        {"properties": {"x": {"anyOf": [{"type": "null"}, {"type": "string"}]}}, "required": ["x"]},
        {"properties": {"x": {"type": ["boolean", "null"]}, "y": {"type": "array"}}, "required": ["x", "y"]},
        {
            "properties": {"deep": {"type": "object", "properties": {"a": {"const": 7}}, "required": ["a"]}},
            "required": ["deep"],
        },
    ],
)
def test_made_up_arguments_fit_the_schema(schema: dict[str, object]) -> None:
    arguments = orjson.loads(example_arguments(schema))
    jsonschema.validate(arguments, {"type": "object", **schema})
    assert set(arguments) == set(schema.get("required", ()))  # pyright: ignore[reportArgumentType] # a list of names
