"""An Open Responses body of `to_responses` → the request for a Responses upstream."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from tokenbus_translate.items import CHOICE, ID_PREFIXES
from tokenbus_translate.json_value import JsonObject, as_objects, as_text
from tokenbus_translate.parameters import CHAT_ONLY, OURS
from tokenbus_translate.request_errors import need_list, need_object, unsupported_parameter, unsupported_value

MIN_OUTPUT_TOKENS: Final = 16
"""OpenAI's Responses API refuses less; clamping would change what was asked for."""

_OUR_FIELDS: Final = frozenset({CHOICE, "extra_content"})
_CHAT_FIELDS: Final = ("name", "audio")
_IDS_CHECKED: Final = frozenset({"message", "function_call", "custom_tool_call", "reasoning"})


@dataclass(frozen=True, slots=True)
class ResponsesDialect:
    """How a Responses server differs from OpenAI's."""

    chat_parameters: frozenset[str] = frozenset()
    """Chat-only parameters that it takes: Open Responses has both penalties, vLLM more."""
    keeps_plain_reasoning: bool = False
    """Whether it takes reasoning items whose text is open. OpenAI takes back only what it wrote and can decrypt."""
    min_output_tokens: int = MIN_OUTPUT_TOKENS


def responses_body(body: Mapping[str, object], *, model: str, dialect: ResponsesDialect | None = None) -> JsonObject:
    """The request, streamed; `model` is the upstream's name. Raises `RequestError` naming what can not be said."""
    dialect = dialect or ResponsesDialect()
    given = {name: value for name, value in body.items() if value is not None and name not in OURS}
    for name, nothing in CHAT_ONLY.items():
        if name in given and name not in dialect.chat_parameters:
            if given[name] != nothing:
                raise unsupported_parameter(
                    name, "the Responses API has no such parameter; remove it or use a target with Chat Completions"
                )
            del given[name]
    limit, least = given.get("max_output_tokens"), dialect.min_output_tokens
    if isinstance(limit, int) and limit < least:
        raise unsupported_value(
            "max_output_tokens",
            f"the Responses API takes {least} or more; send that or use a target with Chat Completions",
        )
    if not isinstance(given.get("input"), str):
        given["input"] = _items(given.get("input", []), dialect=dialect)
    return {"model": model, **given, "stream": True, "stream_options": {"include_obfuscation": False}}


def _items(items: object, *, dialect: ResponsesDialect) -> list[JsonObject]:
    said: list[JsonObject] = []
    for index, raw in enumerate(need_list(items, "input")):
        path = f"input[{index}]"
        item = need_object(raw, path)
        if item.get("type") == "reasoning" and not dialect.keeps_plain_reasoning and _is_plain(item):
            continue
        said.append(_item(item, path))
    return said


def _item(item: JsonObject, path: str) -> JsonObject:
    kind = as_text(item.get("type")) or "message"
    said = {name: value for name, value in item.items() if name not in _OUR_FIELDS}
    if kind == "reasoning":
        return {name: value for name, value in said.items() if not (name == "status" and value is None)}
    item_id = as_text(said.get("id"))
    if kind == "function_call_output" or (kind in _IDS_CHECKED and not (item_id or "").startswith(ID_PREFIXES[kind])):
        said.pop("id", None)  # an id is optional here, and refused if its prefix is not OpenAI's
    if kind != "message":
        return said
    for name in _CHAT_FIELDS:
        if said.get(name) is not None:
            raise unsupported_parameter(
                f"{path}.{name}", "a message of the Responses API has no such field; remove it or use Chat Completions"
            )
    for index, part in enumerate(as_objects(said.get("content"))):
        if part.get("type") == "input_audio":
            raise unsupported_value(
                f"{path}.content[{index}].type", "the Responses API takes no audio; use a target with Chat Completions"
            )
    if said.get("role") == "assistant" and isinstance(said.get("content"), list):
        said["content"] = [_assistant_part(part) for part in as_objects(said["content"])]
    return said


def _assistant_part(part: JsonObject) -> JsonObject:
    """An assistant's text is output: OpenAI refuses it as input, which livekit-plugins-openai 1.8.9 calls it."""
    if part.get("type") in {"input_text", "text"}:
        return {**part, "type": "output_text", "annotations": part.get("annotations") or []}
    return part


def _is_plain(item: JsonObject) -> bool:
    """Reasoning whose text is open and that nothing ties to the provider which wrote it."""
    return not item.get("encrypted_content") and bool(as_objects(item.get("content")))
