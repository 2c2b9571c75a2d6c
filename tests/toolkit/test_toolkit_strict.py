"""The strict form of a schema: allows the same arguments, with null where one is not given."""

import json
from typing import Any, Literal, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator
from pydantic import BaseModel

from tokenbus.strict_schema import NotStrictError, strict_schema
from tokenbus_toolkit.parameters import without_titles
from tokenbus_toolkit.schema_fit import fit


class Node(BaseModel):
    """May hold itself."""

    name: str
    child: "Node | None" = None
    size: int = 1


class Cat(BaseModel):
    kind: Literal["cat"]
    lives: int = 9


class Dog(BaseModel):
    kind: Literal["dog"]
    tricks: list[str] = []


class Everything(BaseModel):
    pet: Cat | Dog
    tree: Node
    count: int = 3
    word: Literal["a", "b"] = "a"
    note: str | None = None
    more: list[Node] = []


SCHEMA = without_titles(Everything.model_json_schema())
STRICT = strict_schema(SCHEMA)
VALIDATOR = cast("Any", Draft202012Validator(STRICT))

NODES: st.SearchStrategy[dict[str, Any]] = st.deferred(
    lambda: st.fixed_dictionaries({"name": st.text()}, optional={"child": st.none() | NODES, "size": st.integers()})
)
EVERYTHING: st.SearchStrategy[dict[str, Any]] = st.fixed_dictionaries(
    {
        "pet": st.fixed_dictionaries({"kind": st.just("cat")}, optional={"lives": st.integers()})
        | st.fixed_dictionaries({"kind": st.just("dog")}, optional={"tricks": st.lists(st.text(), max_size=2)}),
        "tree": NODES,
    },
    optional={
        "count": st.integers(),
        "word": st.sampled_from("ab"),
        "note": st.none() | st.text(),
        "more": st.lists(NODES, max_size=2),
    },
)


def objects(schema: Any) -> list[dict[str, Any]]:
    """Every object schema in it."""
    if isinstance(schema, list):
        return [found for item in cast("list[Any]", schema) for found in objects(item)]
    if not isinstance(schema, dict):
        return []
    node = cast("dict[str, Any]", schema)
    inner = [found for value in node.values() for found in objects(value)]
    return [node, *inner] if node.get("type") == "object" else inner


def completed(value: Any, like: type[BaseModel]) -> Any:
    """What a model that is held to the strict form writes: null for what it does not give."""
    given = {name: value.get(name) for name in like.model_fields}
    inner: dict[str, type[BaseModel]] = {"tree": Node, "child": Node}
    for name, kind in inner.items():
        if given.get(name) is not None:
            given[name] = completed(given[name], kind)
    if given.get("more") is not None:
        given["more"] = [completed(node, Node) for node in given["more"]]
    if "pet" in given:
        given["pet"] = completed(given["pet"], Cat if given["pet"]["kind"] == "cat" else Dog)
    return given


def test_every_object_names_and_requires_all_its_properties() -> None:
    Draft202012Validator.check_schema(STRICT)
    for schema in objects(STRICT):
        assert schema["additionalProperties"] is False
        assert schema["required"] == list(schema["properties"])


def test_keywords_that_no_provider_takes_are_gone() -> None:
    text = json.dumps(STRICT)

    assert not any(f'"{word}":' in text for word in ("title", "default", "oneOf", "discriminator"))


def test_the_source_is_not_changed() -> None:
    assert without_titles(Everything.model_json_schema()) == SCHEMA


@given(EVERYTHING)
def test_arguments_mean_the_same_in_both_forms(arguments: dict[str, Any]) -> None:
    written = completed(arguments, Everything)

    VALIDATOR.validate(written)
    assert Everything.model_validate(fit(written, SCHEMA)) == Everything.model_validate(arguments)


@pytest.mark.parametrize(
    ("schema", "path"),
    [
        ({"properties": {"a": {}}}, "a"),
        ({"properties": {"a": {"type": "object"}}}, "a"),
        ({"properties": {"a": {"type": "object", "additionalProperties": {"type": "string"}}}}, "a"),
        ({"properties": {"a": {"type": "array"}}}, "a"),
        ({"properties": {"a": {"type": "array", "items": {"not": {}}}}}, "a.items"),
        ({"properties": {"a": {"type": "array", "prefixItems": [{"type": "string"}]}}}, "a"),
        ({"properties": {"a": {"allOf": [{"type": "string"}, {"type": "string"}]}}}, "a"),
        ({"properties": {"a": {"$ref": "#/$defs/missing"}}}, "a"),
        ({"additionalProperties": True}, ""),
    ],
)
def test_what_has_no_strict_form_is_refused_with_its_place(schema: Any, path: str) -> None:
    with pytest.raises(NotStrictError) as caught:
        strict_schema(schema)

    assert caught.value.path == path


def test_reference_with_a_description_is_written_out() -> None:
    schema = strict_schema(
        {
            "properties": {"a": {"$ref": "#/$defs/A", "description": "An a."}},
            "required": ["a"],
            "$defs": {"A": {"type": "string"}},
        }
    )

    assert schema["properties"] == {"a": {"type": "string", "description": "An a."}}


def test_optional_enum_allows_null_beside_its_values() -> None:
    schema = strict_schema({"properties": {"a": {"enum": ["x", "y"], "type": "string", "description": "A."}}})

    assert schema["properties"] == {
        "a": {"anyOf": [{"enum": ["x", "y"], "type": "string"}, {"type": "null"}], "description": "A."}
    }
