"""Messages of the Chat Completions API: their shapes, what belongs together, and what they say.

Sources: openai 3.54 `ChatCompletionMessageParam`; for the words about tool messages
github.com/run-llama/llama_index/issues/10493 (2024), the same today.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import Final

from tokenbus_simulator.asked import RefusedError, Speaker, missing, unsupported
from tokenbus_simulator.wire import JsonObject, is_list, object_of, objects_of

_PARTS: Final[Mapping[str, tuple[str, ...]]] = MappingProxyType(
    {
        "system": ("text",),
        "assistant": ("text", "refusal"),
        "user": ("text", "image_url", "input_audio", "file"),
        "function": ("text",),
        "tool": ("text",),
        "developer": ("text",),
    }
)


def check_messages(messages: Sequence[JsonObject]) -> None:
    """Raises `RefusedError` at the first message OpenAI would not take."""
    for index, message in enumerate(messages):
        _check_shape(message, at=f"messages[{index}]")
    _check_calls(messages)


def said(messages: Iterable[JsonObject]) -> Iterator[tuple[Speaker, str]]:
    """Who says what, message by message."""
    for message in messages:
        text = _text(message.get("content"))
        match message.get("role"):
            case "user":
                yield "user", text
            case "tool" | "function":
                yield "tool", text
            case _:
                yield "other", text


def attachments(messages: Iterable[JsonObject]) -> tuple[str, ...]:
    """The images and files of the last user message, in words."""
    found: tuple[str, ...] = ()
    for message in messages:
        if message.get("role") == "user":
            parts = objects_of(message.get("content"))
            found = tuple(_in_words(part) for part in parts if part.get("type") != "text")
    return found


def _in_words(part: JsonObject) -> str:
    match part.get("type"):
        case "image_url":
            return "an image"
        case "input_audio":
            return "a recording"
        case _:
            name = object_of(part.get("file")).get("filename")
            return f"the file “{name}”" if isinstance(name, str) else "a file"


def _check_shape(message: JsonObject, *, at: str) -> None:
    role, content = message.get("role"), message.get("content")
    if "role" not in message:
        raise missing(f"{at}.role")
    if not isinstance(role, str) or role not in _PARTS:
        raise unsupported(role, param=f"{at}.role", supported=_PARTS)
    if role == "tool" and "tool_call_id" not in message:
        raise missing(f"{at}.tool_call_id")
    if content is None and not (role == "assistant" and message.get("tool_calls")):
        raise RefusedError(f"Invalid value for '{at}.content': expected a string, got null.", param=f"{at}.content")
    for index, part in enumerate(content if is_list(content) else []):
        _check_part(object_of(part), at=f"{at}.content[{index}]", role=role)
    for index, call in enumerate(objects_of(message.get("tool_calls"))):
        _check_call(call, at=f"{at}.tool_calls[{index}]")


def _check_part(part: JsonObject, *, at: str, role: str) -> None:
    kind = part.get("type")
    if kind not in _PARTS[role]:
        raise unsupported(kind, param=f"{at}.type", supported=_PARTS[role])
    # A Responses image has its URL as a string; here it is an object.
    if kind == "image_url" and not isinstance(object_of(part.get("image_url")).get("url"), str):
        raise RefusedError(
            f"Invalid type for '{at}.image_url': expected an object.", param=f"{at}.image_url", code="invalid_type"
        )


def _check_call(call: JsonObject, *, at: str) -> None:
    if not isinstance(call.get("id"), str):
        raise missing(f"{at}.id")
    if call.get("type") not in ("function", "custom"):
        raise unsupported(call.get("type"), param=f"{at}.type", supported=("function", "custom"))
    called = object_of(call.get("function") or call.get("custom"))
    if not isinstance(called.get("name"), str):
        raise missing(f"{at}.function.name")


def _check_calls(messages: Sequence[JsonObject]) -> None:
    waiting, at = dict[str, None](), ""
    for index, message in enumerate(messages):
        if message.get("role") == "tool":
            if message.get("tool_call_id") not in waiting:
                text = "messages with role 'tool' must be a response to a preceeding message with 'tool_calls'."
                raise RefusedError(f"Invalid parameter: {text}", param=f"messages.[{index}].role")
            del waiting[str(message["tool_call_id"])]
            continue
        _check_answered(waiting, at=at)
        waiting = {str(call.get("id")): None for call in objects_of(message.get("tool_calls"))}
        at = f"messages.[{index + 1}].role"
    _check_answered(waiting, at=at)


def _check_answered(waiting: Mapping[str, None], *, at: str) -> None:
    if waiting:
        text = (
            "An assistant message with 'tool_calls' must be followed by tool messages responding to each "
            f"'tool_call_id'. The following tool_call_ids did not have response messages: {', '.join(waiting)}"
        )
        raise RefusedError(text, param=at)


def _text(content: object) -> str:
    if isinstance(content, str):
        return content
    texts = (part.get("text") for part in objects_of(content))
    return "\n".join(text for text in texts if isinstance(text, str) and text)
