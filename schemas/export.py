"""Write the JSON Schemas and the AsyncAPI document from the models: `python schemas/export.py [--check]`.

`--check` writes nothing and exits 1 where a file differs, naming it.
"""

import json
import sys
from pathlib import Path
from typing import Any, Final

import yaml
from pydantic import BaseModel

from asyncapi_document import build_document
from tokenbus_schemas import (
    CatalogReport,
    ChatRequest,
    ControlReply,
    ControlRequest,
    CoolDown,
    ModelList,
    PayloadReply,
    ProviderTable,
    ReplayPage,
    ReplayRequest,
    Response,
    ResponseCall,
    ResponseReply,
    StopReply,
    StoredRequest,
    WorkOrder,
)
from tokenbus_schemas.vocabulary import EVENT_FIELDS, RESPONSE_KEYS, FieldKind

HERE: Final = Path(__file__).parent
VERSION: Final = "0.1.0"
DIALECT: Final = "https://json-schema.org/draft/2020-12/schema"

MODELS: Final[tuple[type[BaseModel], ...]] = (
    ChatRequest,
    WorkOrder,
    ProviderTable,
    ReplayRequest,
    ReplayPage,
    PayloadReply,
    ControlRequest,
    ControlReply,
    ResponseCall,
    ResponseReply,
    StopReply,
    ModelList,
    CatalogReport,
    CoolDown,
    StoredRequest,
    Response,
)

_KINDS: Final[dict[FieldKind, dict[str, Any]]] = {
    "string": {"type": "string"},
    "index": {"type": "integer", "minimum": 0},
    "object": {"type": "object"},
    "list": {"type": "array"},
    "item": {"type": "object", "required": ["type"]},
    "response": {"type": "object", "required": list(RESPONSE_KEYS)},
}


def event_schema() -> dict[str, Any]:
    """One event: the documented types with their fields; any other type is an extension with just the first two."""
    return {
        "$schema": DIALECT,
        "title": "Event",
        "description": "One event of a response stream; types that are not listed must be ignored by readers.",
        "type": "object",
        "required": ["type", "sequence_number"],
        "properties": {"type": {"type": "string"}, "sequence_number": {"type": "integer", "minimum": 0}},
        "allOf": [
            {
                "if": {"properties": {"type": {"const": name}}, "required": ["type"]},
                "then": {
                    "required": list(fields),
                    "properties": {field: _KINDS[kind] for field, kind in fields.items()},
                },
            }
            for name, fields in EVENT_FIELDS.items()
        ],
    }


class _PlainDumper(yaml.SafeDumper):
    """Writes every value out: anchors and aliases are hard to read in a contract."""

    def ignore_aliases(self, data: object) -> bool:
        return True


def documents() -> dict[Path, str]:
    """Every exported file with its text."""
    schemas: dict[str, dict[str, Any]] = {
        model.__name__: {"$schema": DIALECT, **model.model_json_schema()} for model in MODELS
    }
    schemas["Event"] = event_schema()
    files = {
        HERE / "json" / f"{name}.json": json.dumps(schema, indent=2, ensure_ascii=False) + "\n"
        for name, schema in schemas.items()
    }
    files[HERE / "asyncapi.yaml"] = yaml.dump(
        build_document(VERSION), Dumper=_PlainDumper, sort_keys=False, allow_unicode=True, width=120
    )
    return files


def main(arguments: list[str]) -> int:
    """Exit code 0, or 1 where `--check` found a difference."""
    files = documents()
    if "--check" in arguments:
        stale = [path for path, text in files.items() if not path.exists() or path.read_text() != text]
        extra = [path for path in (HERE / "json").glob("*.json") if path not in files]
        for path in stale + extra:
            sys.stderr.write(f"{path.relative_to(HERE.parent)} differs from the models: run `make schemas`\n")
        return 1 if stale or extra else 0
    (HERE / "json").mkdir(exist_ok=True)
    for path, text in files.items():
        path.write_text(text)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
