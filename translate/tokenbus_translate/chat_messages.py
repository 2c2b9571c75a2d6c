"""Responses items → chat messages.

Contiguous assistant-side items become ONE assistant message: its reasoning, its text, its calls (vLLM #37167, LiteLLM
#22578: two messages in a row are refused). Anything else ends the run; tool outputs follow in order. Reasoning goes
along only to providers that want it back; an item that leaves nothing makes no message.
"""

from collections.abc import Callable, Mapping
from typing import Final

from tokenbus_translate.items import CHOICE
from tokenbus_translate.json_value import JsonObject, as_list, as_objects, as_text
from tokenbus_translate.request_errors import need_list, need_object, need_text, unsupported_value

_CALLS: Final[Mapping[str, tuple[str, str]]] = {
    "function_call": ("function", "arguments"),
    "custom_tool_call": ("custom", "input"),
}
_OUTPUTS: Final = frozenset({"function_call_output", "custom_tool_call_output"})
_NOT_CHAT: Final = frozenset({"type", "id", "status", "role", "content", "phase", CHOICE})


def to_messages(
    items: object, *, instructions: object, reasoning_field: str | None, developer_role: str
) -> list[JsonObject]:
    """The messages that say what `items` (a string or a list) say, led by the instructions if there are any.

    `reasoning_field` is where the provider wants earlier reasoning (`reasoning_content`, `reasoning`), None to leave it
    out. `developer_role` is what the provider calls developer messages. Raises `RequestError` with a path.
    """
    writer = _Writer(reasoning_field=reasoning_field, developer_role=developer_role)
    if instructions is not None:
        writer.messages.append({"role": "system", "content": need_text(instructions, "instructions")})
    if isinstance(items, str):
        return [*writer.messages, {"role": "user", "content": items}]
    for index, item in enumerate(need_list(items, "input")):
        path = f"input[{index}]"
        writer.write(need_object(item, path), path)
    return writer.messages


class _Writer:
    def __init__(self, *, reasoning_field: str | None, developer_role: str) -> None:
        self.messages: list[JsonObject] = []
        self._reasoning_field = reasoning_field
        self._developer_role = developer_role
        self._reasoning = ""  # waits for the message it belongs to
        self._assistant: JsonObject | None = None

    def write(self, item: JsonObject, path: str) -> None:
        kind = as_text(item.get("type")) or "message"
        role = item.get("role")
        if kind == "reasoning":
            self._reasoning += _reasoning_text(item)
        elif kind == "message" and role == "assistant":
            self._say(item, path)
        elif kind in _CALLS:
            self._call(item, kind, path)
        else:
            self._assistant = None
            self._reasoning = ""
            if kind == "message":
                self.messages.append(self._message(item, path))
            elif kind in _OUTPUTS:
                self.messages.append(_output(item, path))
            else:
                raise unsupported_value(
                    f"{path}.type", f"{kind} has no form in Chat Completions; use a target with the Responses API"
                )

    def _say(self, item: JsonObject, path: str) -> None:
        text, refusal = _assistant_text(item, path)
        extra = {name: value for name, value in item.items() if name not in _NOT_CHAT and value is not None}
        message = self._assistant_message()
        message |= extra
        if refusal:
            message["refusal"] = (as_text(message.get("refusal")) or "") + refusal
        if text or not refusal:
            message["content"] = (as_text(message.get("content")) or "") + text

    def _call(self, item: JsonObject, kind: str, path: str) -> None:
        form, field = _CALLS[kind]
        body = {
            "name": need_text(item.get("name"), f"{path}.name"),
            field: need_text(item.get(field), f"{path}.{field}"),
        }
        call: JsonObject = {"id": need_text(item.get("call_id"), f"{path}.call_id"), "type": form, form: body}
        if (extra := item.get("extra_content")) is not None:
            call["extra_content"] = extra
        message = self._assistant_message()
        message["tool_calls"] = [*as_list(message.get("tool_calls")), call]

    def _assistant_message(self) -> JsonObject:
        """The message of this run of assistant-side items."""
        if self._assistant is None:
            self._assistant = {"role": "assistant"}
            self.messages.append(self._assistant)
        if self._reasoning_field is not None and self._reasoning:
            told = as_text(self._assistant.get(self._reasoning_field)) or ""
            self._assistant[self._reasoning_field] = told + self._reasoning
        self._reasoning = ""
        return self._assistant

    def _message(self, item: JsonObject, path: str) -> JsonObject:
        role = need_text(item.get("role"), f"{path}.role")
        if role not in {"user", "system", "developer"}:
            raise unsupported_value(f"{path}.role", "no such role; use user, system, developer or assistant")
        extra = {name: value for name, value in item.items() if name not in _NOT_CHAT and value is not None}
        content = _content(item.get("content"), f"{path}.content")
        return {"role": self._developer_role if role == "developer" else role, **extra, "content": content}


def _reasoning_text(item: JsonObject) -> str:
    parts = as_objects(item.get("content")) or as_objects(item.get("summary"))
    return "".join(as_text(part.get("text")) or "" for part in parts)


def _assistant_text(item: JsonObject, path: str) -> tuple[str, str]:
    content = item.get("content")
    if isinstance(content, str):
        return content, ""
    text = refusal = ""
    for index, raw in enumerate(need_list(content, f"{path}.content")):
        part_path = f"{path}.content[{index}]"
        part = need_object(raw, part_path)
        kind = part.get("type")
        if kind in {"output_text", "input_text", "text"}:
            text += need_text(part.get("text"), f"{part_path}.text")
        elif kind == "refusal":
            refusal += need_text(part.get("refusal"), f"{part_path}.refusal")
        else:
            raise unsupported_value(
                f"{part_path}.type", "an assistant message holds output_text and refusal parts only"
            )
    return text, refusal


def _output(item: JsonObject, path: str) -> JsonObject:
    content = _content(item.get("output"), f"{path}.output")
    for index, part in enumerate(as_objects(content)):
        if part.get("type") != "text":
            raise unsupported_value(
                f"{path}.output[{index}].type", "Chat Completions takes text only as the output of a tool"
            )
    return {"role": "tool", "tool_call_id": need_text(item.get("call_id"), f"{path}.call_id"), "content": content}


def _content(content: object, path: str) -> object:
    if isinstance(content, str):
        return content
    raw_parts = need_list(content, path, wanted="a string or a list of parts")
    parts = [_part(part, f"{path}[{index}]") for index, part in enumerate(raw_parts)]
    # Many compatible servers take strings only.
    return parts[0]["text"] if len(parts) == 1 and parts[0].keys() == {"type", "text"} else parts


def _part(raw: object, path: str) -> JsonObject:
    part = need_object(raw, path)
    kind = need_text(part.get("type"), f"{path}.type")
    writer = _PARTS.get(kind)
    if writer is None:
        raise unsupported_value(f"{path}.type", f"{kind} has no form in Chat Completions; use {', '.join(_PARTS)}")
    return writer(part, path)


def _rest(part: JsonObject, *read: str) -> JsonObject:
    return {name: value for name, value in part.items() if name not in {"type", *read} and value is not None}


def _text(part: JsonObject, path: str) -> JsonObject:
    text = need_text(part.get("text"), f"{path}.text")
    return {"type": "text", "text": text, **_rest(part, "text", "annotations", "logprobs")}


def _image(part: JsonObject, path: str) -> JsonObject:
    if as_text(part.get("image_url")) is None and part.get("file_id") is not None:
        raise unsupported_value(f"{path}.file_id", "Chat Completions takes images by URL; send image_url")
    image: JsonObject = {"url": need_text(part.get("image_url"), f"{path}.image_url")}
    if (detail := part.get("detail")) is not None:
        image["detail"] = detail
    return {"type": "image_url", "image_url": image, **_rest(part, "image_url", "detail", "file_id")}


def _file(part: JsonObject, path: str) -> JsonObject:
    if part.get("file_url") is not None:
        raise unsupported_value(f"{path}.file_url", "Chat Completions takes no file by URL; send file_data or file_id")
    file = {name: part[name] for name in ("file_id", "filename", "file_data") if part.get(name) is not None}
    if not file.keys() & {"file_id", "file_data"}:
        raise unsupported_value(f"{path}.file_data", "Chat Completions needs file_data or file_id; send one of them")
    return {"type": "file", "file": file, **_rest(part, "file_id", "filename", "file_data", "file_url", "detail")}


def _as_it_is(part: JsonObject, _path: str) -> JsonObject:
    return part


_PARTS: Final[Mapping[str, Callable[[JsonObject, str], JsonObject]]] = {
    "input_text": _text,
    "output_text": _text,
    "input_image": _image,
    "input_file": _file,
    "input_audio": _as_it_is,
    # Chat's own parts in an item say the same.
    "text": _text,
    "image_url": _as_it_is,
    "file": _as_it_is,
}
