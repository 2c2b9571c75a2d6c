"""Chat messages → Responses items.

One assistant message becomes up to one reasoning item, one message and one item per call, in this order. Strings stay
strings. Fields that Responses has no place for (`name`, `audio`, `extra_content`) ride on the item, so that a chat
target gets them back; for a Responses target `responses_body` decides.
"""

from collections.abc import Callable, Mapping
from typing import Final

from tokenbus_translate.json_value import JsonObject, as_text
from tokenbus_translate.request_errors import need_list, need_object, need_text, unsupported_value, wrong_value

_READ: Final = frozenset(
    {"role", "content", "refusal", "tool_calls", "function_call", "reasoning_content", "reasoning", "annotations"}
)
_REASONING_KEYS: Final = ("reasoning_content", "reasoning")


def to_items(messages: object) -> list[JsonObject]:
    """The input items that say what `messages` say. Raises `RequestError` with the path of what can not be said."""
    reader = _Reader()
    for index, message in enumerate(need_list(messages, "messages")):
        path = f"messages[{index}]"
        reader.read(need_object(message, path), path)
    return reader.items


class _Reader:
    def __init__(self) -> None:
        self.items: list[JsonObject] = []
        self._custom_calls: set[str] = set()
        self._functions: dict[str, str] = {}  # the deprecated form pairs a call and its output by name

    def read(self, message: JsonObject, path: str) -> None:
        role = need_text(message.get("role"), f"{path}.role")
        if role in {"user", "system", "developer"}:
            self._add({"type": "message", "role": role, **_rest(message), "content": _content(message, path)})
        elif role == "assistant":
            self._assistant(message, path)
        elif role == "tool":
            self._output(message, need_text(message.get("tool_call_id"), f"{path}.tool_call_id"), path)
        elif role == "function":
            name = need_text(message.get("name"), f"{path}.name")
            if name not in self._functions:
                raise wrong_value(f"{path}.name", "the name of a function called in an earlier assistant message")
            self._output(message, self._functions[name], path)
        else:
            raise unsupported_value(f"{path}.role", "no such role; use system, developer, user, assistant or tool")

    def _add(self, item: JsonObject) -> None:
        self.items.append(item)

    def _assistant(self, message: JsonObject, path: str) -> None:
        reasoning = next((text for key in _REASONING_KEYS if (text := as_text(message.get(key)))), None)
        if reasoning is not None:
            part = {"type": "reasoning_text", "text": reasoning}
            self._add({"type": "reasoning", "summary": [], "content": [part]})
        calls = need_list(message.get("tool_calls") or [], f"{path}.tool_calls")
        function = message.get("function_call")
        content = _assistant_content(message, path)
        if content or not (calls or function):
            self._add({"type": "message", "role": "assistant", **_rest(message), "content": content})
        for index, call in enumerate(calls):
            call_path = f"{path}.tool_calls[{index}]"
            self._call(need_object(call, call_path), call_path)
        if function is not None:
            name = need_text(need_object(function, f"{path}.function_call").get("name"), f"{path}.function_call.name")
            call_id = self._functions[name] = f"call_{len(self.items)}"
            self._call({"id": call_id, "function": function}, f"{path}.function_call")

    def _call(self, call: JsonObject, path: str) -> None:
        call_id = need_text(call.get("id"), f"{path}.id")
        extra = {
            name: value for name, value in call.items() if name not in {"id", "type", "index", "function", "custom"}
        }
        if call.get("type") == "custom":
            custom = need_object(call.get("custom"), f"{path}.custom")
            self._custom_calls.add(call_id)
            self._add(
                {
                    "type": "custom_tool_call",
                    "call_id": call_id,
                    "name": need_text(custom.get("name"), f"{path}.custom.name"),
                    "input": need_text(custom.get("input"), f"{path}.custom.input"),
                    **extra,
                }
            )
            return
        function = need_object(call.get("function"), f"{path}.function")
        self._add(
            {
                "type": "function_call",
                "call_id": call_id,
                "name": need_text(function.get("name"), f"{path}.function.name"),
                "arguments": need_text(function.get("arguments"), f"{path}.function.arguments"),
                **extra,
            }
        )

    def _output(self, message: JsonObject, call_id: str, path: str) -> None:
        item_type = "custom_tool_call_output" if call_id in self._custom_calls else "function_call_output"
        self._add({"type": item_type, "call_id": call_id, "output": _content(message, path)})


def _rest(message: JsonObject) -> JsonObject:
    return {name: value for name, value in message.items() if name not in _READ and value is not None}


def _content(message: JsonObject, path: str) -> object:
    content = message.get("content")
    if isinstance(content, str):
        return content
    parts = need_list(content, f"{path}.content", wanted="a string or a list of parts")
    return [_input_part(part, f"{path}.content[{index}]") for index, part in enumerate(parts)]


def _assistant_content(message: JsonObject, path: str) -> str | list[JsonObject]:
    content = message.get("content")
    refusal = as_text(message.get("refusal"))
    if content is None or isinstance(content, str):
        if refusal is None:
            return content or ""
        text_parts: list[JsonObject] = [{"type": "output_text", "text": content, "annotations": []}] if content else []
        return [*text_parts, {"type": "refusal", "refusal": refusal}]
    parts: list[JsonObject] = []
    for index, raw in enumerate(need_list(content, f"{path}.content", wanted="a string or a list of parts")):
        part_path = f"{path}.content[{index}]"
        part = need_object(raw, part_path)
        kind = need_text(part.get("type"), f"{part_path}.type")
        if kind in {"text", "output_text", "input_text"}:
            text = need_text(part.get("text"), f"{part_path}.text")
            parts.append({"type": "output_text", "text": text, "annotations": [], **_part_rest(part, "text")})
        elif kind == "refusal":
            parts.append({"type": "refusal", "refusal": need_text(part.get("refusal"), f"{part_path}.refusal")})
        else:
            raise unsupported_value(f"{part_path}.type", "an assistant message holds text and refusal parts only")
    return [*parts, {"type": "refusal", "refusal": refusal}] if refusal is not None else parts


def _part_rest(part: JsonObject, *read: str) -> JsonObject:
    return {name: value for name, value in part.items() if name not in {"type", *read} and value is not None}


def _input_part(raw: object, path: str) -> JsonObject:
    part = need_object(raw, path)
    kind = need_text(part.get("type"), f"{path}.type")
    reader = _PARTS.get(kind)
    if reader is None:
        raise unsupported_value(f"{path}.type", f"no such content part; use {', '.join(_PARTS)}")
    return reader(part, path)


def _text(part: JsonObject, path: str) -> JsonObject:
    return {"type": "input_text", "text": need_text(part.get("text"), f"{path}.text"), **_part_rest(part, "text")}


def _image(part: JsonObject, path: str) -> JsonObject:
    image = need_object(part.get("image_url"), f"{path}.image_url")
    url = need_text(image.get("url"), f"{path}.image_url.url")
    detail = image.get("detail") or "auto"  # OpenAI's Responses demands it
    return {"type": "input_image", "image_url": url, "detail": detail, **_part_rest(part, "image_url")}


def _file(part: JsonObject, path: str) -> JsonObject:
    file = need_object(part.get("file"), f"{path}.file")
    return {"type": "input_file", **_part_rest(file), **_part_rest(part, "file")}


def _audio(part: JsonObject, path: str) -> JsonObject:
    need_object(part.get("input_audio"), f"{path}.input_audio")
    return part


def _as_it_is(part: JsonObject, _path: str) -> JsonObject:
    return part


_PARTS: Final[Mapping[str, Callable[[JsonObject, str], JsonObject]]] = {
    "text": _text,
    "image_url": _image,
    "file": _file,
    "input_audio": _audio,
    # Responses' own parts in a chat message say the same.
    "input_text": _as_it_is,
    "input_image": _as_it_is,
    "input_file": _as_it_is,
}
