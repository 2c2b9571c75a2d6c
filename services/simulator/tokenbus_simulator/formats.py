"""The form an answer is to have: structured output in both APIs' spelling, checked as OpenAI checks it.

Source: https://developers.openai.com/api/docs/guides/structured-outputs (2026-08). Responses has the schema flat under
`text.format`, chat inside `response_format.json_schema`; each API refuses the other's form.
"""

from collections.abc import Iterable
from typing import Final

from tokenbus_simulator.asked import RefusedError, missing, unsupported
from tokenbus_simulator.strictness import strict_problem
from tokenbus_simulator.wire import JsonObject, is_object, object_of

_TYPES: Final = ("json_object", "json_schema", "text")


def responses_schema(text: JsonObject | None, *, said: Iterable[str]) -> JsonObject | None:
    """The schema that `text.format` asks for, empty for any object, None for prose. Raises `RefusedError`."""
    form = object_of((text or {}).get("format"))
    return _schema(form, form, at="text.format", code="invalid_json_schema", schema_at="text.format.schema", said=said)


def chat_schema(response_format: JsonObject | None, *, said: Iterable[str]) -> JsonObject | None:
    """The schema that `response_format` asks for, empty for any object, None for prose. Raises `RefusedError`."""
    form = response_format or {}
    named = form.get("json_schema")
    if form.get("type") == "json_schema" and not is_object(named):
        raise missing("response_format.json_schema")
    at = "response_format.json_schema" if named else "response_format"
    return _schema(form, object_of(named), at=at, code=None, schema_at="response_format", said=said)


def _schema(
    form: JsonObject, named: JsonObject, *, at: str, code: str | None, schema_at: str, said: Iterable[str]
) -> JsonObject | None:
    kind = form.get("type", "text")
    if kind not in _TYPES:
        raise unsupported(kind, param=f"{at}.type", supported=_TYPES)
    if kind == "json_object":
        if not any("json" in text.lower() for text in said):
            words = "must contain the word 'json' in some form to use"
            raise RefusedError(f"Input messages {words} '{at}' of type 'json_object'.", param=at.partition(".")[0])
        return {}
    if kind == "text":
        return None
    for key in ("name", "schema"):
        if key not in named:
            raise missing(f"{at}.{key}")
    schema = object_of(named["schema"])
    # Responses holds a schema for strict unless told otherwise, and then makes it so itself where it is not.
    problem = strict_problem(schema) if named.get("strict") is True else None
    if problem:
        message = f"Invalid schema for response_format '{named['name']}': {problem}"
        raise RefusedError(message, param=schema_at, code=code)
    return schema
