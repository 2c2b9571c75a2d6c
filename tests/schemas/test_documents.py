"""The exported contract: equal to the models, and true of its own examples."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any, cast

import pytest
import yaml
from jsonschema import Draft202012Validator

ROOT = Path(__file__).parents[2]
SCHEMAS = ROOT / "schemas"
DOCUMENT: dict[str, Any] = yaml.safe_load((SCHEMAS / "asyncapi.yaml").read_text())
MESSAGES: dict[str, dict[str, Any]] = DOCUMENT["components"]["messages"]


def test_the_exported_files_equal_the_models() -> None:
    done = subprocess.run(
        [sys.executable, SCHEMAS / "export.py", "--check"], capture_output=True, text=True, check=False
    )

    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("path", sorted((SCHEMAS / "json").glob("*.json")), ids=lambda path: path.stem)
def test_every_exported_schema_is_a_json_schema(path: Path) -> None:
    Draft202012Validator.check_schema(json.loads(path.read_text()))


@pytest.mark.parametrize("name", [name for name, message in MESSAGES.items() if "examples" in message])
def test_the_example_of_a_message_matches_its_schema(name: str) -> None:
    message = MESSAGES[name]
    schema = json.loads((SCHEMAS / message["payload"]["$ref"]).read_text())

    for example in message["examples"]:
        problems = [error.message for error in Draft202012Validator(schema).iter_errors(example["payload"])]  # pyright: ignore[reportUnknownMemberType] - half-typed stub
        assert problems == []


def references(node: Any) -> list[str]:
    if isinstance(node, dict):
        fields = cast("dict[str, Any]", node)
        own = [str(fields["$ref"])] if "$ref" in fields else []
        return own + [reference for value in fields.values() for reference in references(value)]
    if isinstance(node, list):
        return [reference for value in cast("list[Any]", node) for reference in references(value)]
    return []


def test_every_reference_inside_the_document_leads_somewhere() -> None:
    for reference in references(DOCUMENT):
        if not reference.startswith("#/"):
            assert (SCHEMAS / reference).is_file(), reference
            continue
        node: Any = DOCUMENT
        for key in reference[2:].split("/"):
            assert key in node, reference
            node = node[key]


def test_every_parameter_of_an_address_is_described() -> None:
    for channel in DOCUMENT["channels"].values():
        address = channel["address"] or ""
        named = {token[1:-1] for token in address.split(".") if token.startswith("{")}
        assert named == set(channel.get("parameters", {}))
