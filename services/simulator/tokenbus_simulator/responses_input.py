"""Input items of the Responses API: their shapes, checked as OpenAI checks them, and what they say.

Types: openai 3.54 `ResponseInputItemParam`. Words: recorded refusals in github.com/vercel/ai,
packages/openai/src/responses/__fixtures__ (2026-10), and github.com/Wei-Shaw/sub2api/issues/3785 (2026-07).
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import Final, NamedTuple

from tokenbus_simulator.asked import RefusedError, Speaker, missing, unsupported
from tokenbus_simulator.wire import JsonObject, is_list, is_object, objects_of


class ItemShape(NamedTuple):
    """What an item of one type must have."""

    required: tuple[str, ...] = ()
    prefix: str = ""
    """Of its id, if it has one; OpenAI checks the prefix, not the rest."""


ITEM_SHAPES: Final[Mapping[str, ItemShape]] = MappingProxyType(
    {
        "message": ItemShape(("role", "content"), "msg"),
        "function_call": ItemShape(("call_id", "name", "arguments"), "fc"),
        "function_call_output": ItemShape(("call_id", "output")),
        "custom_tool_call": ItemShape(("call_id", "name", "input"), "ctc"),
        "custom_tool_call_output": ItemShape(("call_id", "output")),
        "reasoning": ItemShape(("id", "summary"), "rs"),
        "item_reference": ItemShape(("id",)),
        "web_search_call": ItemShape(("id",), "ws"),
        "file_search_call": ItemShape(("id", "queries"), "fs"),
        "code_interpreter_call": ItemShape(("id", "code", "container_id"), "ci"),
        "image_generation_call": ItemShape(("id",), "ig"),
        "mcp_list_tools": ItemShape(("id", "server_label", "tools"), "mcpl"),
        "mcp_call": ItemShape(("id", "server_label", "name", "arguments"), "mcp"),
        "mcp_approval_request": ItemShape(("id", "server_label", "name", "arguments"), "mcpr"),
        "mcp_approval_response": ItemShape(("approval_request_id", "approve")),
        "compaction": ItemShape(("encrypted_content",)),
        **dict.fromkeys(
            (
                *("computer_call", "computer_call_output", "local_shell_call", "local_shell_call_output"),
                *("shell_call", "shell_call_output", "apply_patch_call", "apply_patch_call_output"),
                *("tool_search_call", "tool_search_output", "additional_tools", "configuration_update"),
                *("program", "program_output", "compaction_trigger"),
            ),
            ItemShape(),
        ),
    }
)
_ROLES: Final = ("assistant", "system", "developer", "user")
_SPOKEN_TO: Final = ("input_text", "input_image", "input_file")
_SPOKEN: Final = ("output_text", "refusal")


def check_items(items: Sequence[JsonObject]) -> None:
    """Raises `RefusedError` at the first item OpenAI would not take."""
    for index, item in enumerate(items):
        _check_item(item, at=f"input[{index}]")


def said(items: Iterable[JsonObject]) -> Iterator[tuple[Speaker, str]]:
    """Who says what, item by item."""
    for item in items:
        match item.get("type", "message"):
            case "message":
                yield "user" if item.get("role") == "user" else "other", _text(item.get("content"))
            case "function_call_output" | "custom_tool_call_output":
                yield "tool", _text(item.get("output"))
            case _:
                yield "other", ""


def attachments(items: Iterable[JsonObject]) -> tuple[str, ...]:
    """The images and files of the last user message, in words."""
    found: tuple[str, ...] = ()
    for item in items:
        if item.get("role") == "user":
            parts = objects_of(item.get("content"))
            found = tuple(_in_words(part) for part in parts if part.get("type") != "input_text")
    return found


def _in_words(part: JsonObject) -> str:
    if part.get("type") == "input_image":
        return "an image"
    name = part.get("filename")
    return f"the file “{name}”" if isinstance(name, str) else "a file"


def _check_item(item: JsonObject, *, at: str) -> None:
    kind = item.get("type", "message")
    shape = ITEM_SHAPES.get(kind) if isinstance(kind, str) else None
    if shape is None:
        raise unsupported(kind, param=at, supported=ITEM_SHAPES)
    for key in shape.required:
        if key not in item:
            raise missing(f"{at}.{key}")
    item_id = item.get("id")
    if isinstance(item_id, str) and not item_id.startswith(shape.prefix):
        message = f"Invalid '{at}.id': '{item_id}'. Expected an ID that begins with '{shape.prefix}'."
        raise RefusedError(message, param=f"{at}.id", code="invalid_value")
    if kind == "message":
        role = item.get("role")
        if role not in _ROLES:
            raise unsupported(role, param=at, supported=_ROLES)
        _check_parts(item.get("content"), at=f"{at}.content", allowed=_SPOKEN if role == "assistant" else _SPOKEN_TO)
    elif kind == "function_call_output":
        _check_parts(item.get("output"), at=f"{at}.output", allowed=_SPOKEN_TO)
    elif kind == "function_call" and not isinstance(item.get("arguments"), str):
        raise _wrong_type(f"{at}.arguments", "a string", item.get("arguments"))


def _check_parts(parts: object, *, at: str, allowed: tuple[str, ...]) -> None:
    if isinstance(parts, str):
        return
    if not is_list(parts):
        raise _wrong_type(at, "one of an array of objects or string", parts)
    for index, part in enumerate(parts):
        where = f"{at}[{index}]"
        if not is_object(part):
            raise _wrong_type(where, "an object", part)
        if part.get("type") not in allowed:
            raise unsupported(part.get("type"), param=where, supported=allowed)
        _check_part(part, at=where)


def _check_part(part: JsonObject, *, at: str) -> None:
    match part.get("type"):
        case "input_text" | "output_text":
            if not isinstance(part.get("text"), str):
                raise missing(f"{at}.text")
        case "input_image":
            image = part.get("image_url")
            if image is not None and not isinstance(image, str):
                raise _wrong_type(f"{at}.image_url", "an image URL", image)
            if image is None and part.get("file_id") is None:
                raise missing(f"{at}.image_url")
        case "input_file":
            if all(part.get(key) is None for key in ("file_id", "file_data", "file_url")):
                raise missing(f"{at}.file_id")
            if part.get("file_data") is not None and part.get("filename") is None:
                raise missing(f"{at}.filename")
        case _:
            pass


def _wrong_type(param: str, expected: str, value: object) -> RefusedError:
    names = ((dict, "an object"), (list, "an array"), (str, "a string"), (type(None), "null"))
    got = next((name for kind, name in names if isinstance(value, kind)), "a value")
    message = f"Invalid type for '{param}': expected {expected}, but got {got} instead."
    return RefusedError(message, param=param, code="invalid_type")


def _text(content: object) -> str:
    if isinstance(content, str):
        return content
    texts = (part.get("text") for part in objects_of(content))
    return "\n".join(text for text in texts if isinstance(text, str) and text)
