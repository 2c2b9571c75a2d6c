"""What a model wrote as arguments, read: right JSON as it is, bad spelling mended, everything else refused."""

import contextlib
import json
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tokenbus_toolkit import ArgumentsError
from tokenbus_toolkit.arguments import read_arguments

SCALARS = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text()
VALUES = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3), max_leaves=8
)
OBJECTS = st.dictionaries(st.text(), VALUES, max_size=4)
WORDS = st.text("abcxyz", min_size=1, max_size=6).filter(lambda word: word != "null")
PLAIN_OBJECTS = st.dictionaries(
    WORDS, WORDS | st.integers() | st.booleans() | st.none() | st.lists(WORDS, max_size=3), min_size=1, max_size=4
)


@given(OBJECTS)
def test_json_is_read_as_it_is(value: dict[str, object]) -> None:
    assert read_arguments(json.dumps(value)) == value


@given(OBJECTS, st.integers(1, 3))
def test_json_inside_a_string_is_read_too(value: dict[str, object], times: int) -> None:
    text = json.dumps(value)
    for _ in range(times):
        text = json.dumps(text)

    assert read_arguments(text) == value


@given(
    OBJECTS, st.sampled_from(["<|im_end|>", "</tool_call>", "\n```", "<\uff5ctool\u2581call\u2581end\uff5c>", "</s>"])
)
def test_marks_around_it_are_left_out(value: dict[str, object], mark: str) -> None:
    assert read_arguments(f"```json\n{json.dumps(value)}{mark}") == value


@given(PLAIN_OBJECTS)
def test_python_spelling_is_mended(value: dict[str, object]) -> None:
    assert read_arguments(repr(value)) == value


@given(PLAIN_OBJECTS)
def test_trailing_commas_are_mended(value: dict[str, object]) -> None:
    text = json.dumps(value).replace("]", ",]").replace("[,]", "[]")

    assert read_arguments(f"{text[:-1]},}}") == value


@given(OBJECTS.filter(bool), st.data())
def test_text_that_was_cut_off_is_never_mended(value: dict[str, object], data: st.DataObject) -> None:
    text = json.dumps(value)
    end = data.draw(st.integers(1, len(text) - 1))

    with pytest.raises(ArgumentsError):
        read_arguments(text[:end])


@given(PLAIN_OBJECTS, st.data())
def test_python_spelling_that_was_cut_off_is_never_mended(value: dict[str, object], data: st.DataObject) -> None:
    text = repr(value)
    end = data.draw(st.integers(1, len(text) - 1))

    with pytest.raises(ArgumentsError):
        read_arguments(text[:end])


@given(st.text())
def test_any_text_is_read_or_refused(text: str) -> None:
    with contextlib.suppress(ArgumentsError):
        assert isinstance(read_arguments(text), dict)


@pytest.mark.parametrize("text", ["", "  \n", "null", "{}"])
def test_nothing_means_no_arguments(text: str) -> None:
    assert read_arguments(text) == {}


def test_line_break_inside_a_string_is_kept() -> None:
    assert read_arguments('{"text": "one\ntwo"}') == {"text": "one\ntwo"}


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("{city: Paris}", {"city": "Paris"}),
        ("{'it': 'it\\'s'}", {"it": "it's"}),
        ("{'deep': {'list': [1, 'two', True,],},}", {"deep": {"list": [1, "two", True]}}),
        ("{'a': -5, 'b': 1.5}", {"a": -5, "b": 1.5}),
    ],
)
def test_bad_spelling_is_mended(text: str, meant: dict[str, object]) -> None:
    assert read_arguments(text) == meant


@pytest.mark.parametrize(
    "text",
    [
        '{"amount": 10',
        '{"path": "/home/us',
        '{"q": "say "hi" now"}',
        '{"q": "a" "b"}',
        '{"a": 1} {"b": 2}',
        '{"a": 1]',
        "{'pattern': '\\d+'}",
        '{"a": NaN}',
        '{"a": 007}',
        '{"a": 1, /* two */ "b": 2}',
        "{'a': 1, 'a': 2}",
        "rm -rf",
        "[" * 100_000,
        "{'a': " + "9" * 70_000 + "}",
    ],
)
def test_what_may_be_a_guess_is_refused(text: str) -> None:
    with pytest.raises(ArgumentsError, match="send one complete JSON object"):
        read_arguments(text)


@pytest.mark.parametrize("text", ["[1]", '"text"', "5", "true"])
def test_json_that_is_no_object_is_refused(text: str) -> None:
    with pytest.raises(ArgumentsError):
        read_arguments(text)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ('{"x":NaN}', "NaN is no JSON value"),
        ('{"x":-Infinity}', "-Infinity is no JSON value"),
        ('{"x":1e999}', "1e999, which is beyond all floating-point numbers, is no JSON value"),
        ('{"x":' + "9" * 5000 + "}", "a number of 5000 digits is no JSON value"),
        ('{"x":' + "[" * 100_000 + "]" * 100_000 + "}", "this is nested too deeply"),
    ],
)
def test_value_that_can_not_be_had_is_refused_and_not_mended(text: str, problem: str) -> None:
    with pytest.raises(ArgumentsError, match=problem):
        read_arguments(text)


@pytest.mark.parametrize(
    "text",
    [
        "{" + " " * 500_000 + "x",
        "{'a':'" + "\\\\n" * 20_000 + "'}",
        "{'a':'" + "\\\\n" * 100 + '"' * 30_000 + "'}",
        "{'a':[" + "1," * 16_000 + "]}",
        "{'a':" * 6_000 + "1" + "}" * 6_000,
        "```" * 300_000,
        "<|" * 500_000,
        "{}" + "</s>" * 20_000,
        "{a:" + "b" * 32_000 + "}",
        '{"x":"' + "y" * 1_000_000 + '"}',
    ],
    ids=["spaces", "escapes", "quotes", "numbers", "nested", "fences", "half marks", "marks", "word", "long text"],
)
def test_no_text_takes_long(text: str) -> None:
    """It runs on the event loop. The limit is of this thread's own time, so that a busy machine does not count."""
    started = time.thread_time()
    with contextlib.suppress(ArgumentsError):
        read_arguments(text)
    assert time.thread_time() - started < 1.0
