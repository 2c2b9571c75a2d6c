"""What tools return, as the model reads it."""

import json
from dataclasses import dataclass
from datetime import UTC, date, datetime
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel

from tokenbus_toolkit import File, Image
from tokenbus_toolkit.outputs import OutputError, tool_output


class Model(BaseModel):
    day: date


@dataclass
class Plain:
    number: int


@given(st.text())
def test_text_goes_as_it_is(text: str) -> None:
    assert tool_output(text) == text


def test_nothing_is_the_empty_text() -> None:
    assert tool_output(None) == ""


@pytest.mark.parametrize(
    ("value", "output"),
    [
        ({"a": [1, None, "ü"]}, '{"a":[1,null,"ü"]}'),
        ([], "[]"),
        (True, "true"),
        (3, "3"),
        (float("nan"), "null"),
        (Model(day=date(2026, 11, 22)), '{"day":"2026-11-22"}'),
        (Plain(1), '{"number":1}'),
        (datetime(2026, 1, 2, tzinfo=UTC), '"2026-01-02T00:00:00Z"'),
        (UUID(int=1), '"00000000-0000-0000-0000-000000000001"'),
        ((1, "two"), '[1,"two"]'),
        ({1}, "[1]"),
    ],
)
def test_everything_else_is_json(value: object, output: str) -> None:
    assert tool_output(value) == output
    json.loads(output)


def test_image_and_file_are_content_parts() -> None:
    assert tool_output(["Look:", Image.of(b"png", media_type="image/png"), {"a": 1}]) == [
        {"type": "input_text", "text": "Look:"},
        {"type": "input_image", "image_url": "data:image/png;base64,cG5n", "detail": "auto"},
        {"type": "input_text", "text": '{"a":1}'},
    ]
    assert tool_output(File("a.pdf", "https://example.com/a.pdf")) == [
        {"type": "input_file", "filename": "a.pdf", "file_url": "https://example.com/a.pdf"}
    ]
    assert tool_output(File.of(b"x", name="x.bin", media_type="application/x")) == [
        {"type": "input_file", "filename": "x.bin", "file_data": "data:application/x;base64,eA=="}
    ]


def recursive() -> list[object]:
    inside: list[object] = []
    inside.append(inside)
    return inside


@pytest.mark.parametrize("value", [object(), lambda: 1, b"\xff", recursive(), {object(): 1}, {"a": object()}])
def test_value_without_a_json_form_is_refused_and_not_quoted(value: object) -> None:
    with pytest.raises(OutputError) as caught:
        tool_output(value)

    assert str(caught.value) == f"a {type(value).__name__} that can not be written as JSON"


def test_half_a_surrogate_pair_becomes_a_question_mark() -> None:
    assert tool_output("a\ud83d") == "a?"
