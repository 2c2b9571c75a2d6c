"""Where in a request a certain kind of tool or content is: the path of the first one, as the caller wrote it."""

from collections.abc import Iterator, Mapping
from typing import Final, cast

from tokenbus_schemas.requests import ChatRequest

_FUNCTION_TOOLS: Final = frozenset({"function", "custom"})

_Object = Mapping[str, object]


def function_tool(request: ChatRequest) -> str | None:
    """A function, in either spelling."""
    for index, tool in enumerate(request.tools or ()):
        if tool.get("type") == "function":
            return f"tools[{index}]"
    return "functions[0]" if request.functions else None


def custom_tool(request: ChatRequest) -> str | None:
    """A tool that takes text instead of JSON."""
    tools = enumerate(request.tools or ())
    return next((f"tools[{index}]" for index, tool in tools if tool.get("type") == "custom"), None)


def provider_tool(request: ChatRequest) -> tuple[str, str] | None:
    """A tool that runs at the provider, and its type."""
    for index, tool in enumerate(request.tools or ()):
        kind: object = tool.get("type")
        if isinstance(kind, str) and kind not in _FUNCTION_TOOLS:
            return f"tools[{index}]", kind[:64]
    return None


def mixed_strict(request: ChatRequest) -> str | None:
    """The first function that is strict where another is not, or the other way round."""
    seen: bool | None = None
    for index, tool in enumerate(request.tools or ()):
        if tool.get("type") != "function":
            continue
        strict = bool(cast("_Object", tool.get("function") or tool).get("strict"))
        if seen is not None and strict != seen:
            return f"tools[{index}]"
        seen = strict
    return None


def image(request: ChatRequest) -> str | None:
    return _content_part(request, kinds=frozenset({"image_url", "input_image"}))


def file(request: ChatRequest) -> str | None:
    return _content_part(request, kinds=frozenset({"file", "input_file"}))


def audio(request: ChatRequest) -> str | None:
    return _content_part(request, kinds=frozenset({"input_audio"}))


def speaker_name(request: ChatRequest) -> str | None:
    """The name of who speaks, on a message that is no tool's output."""
    messages = enumerate(request.messages or ())
    for index, message in messages:
        if message.get("name") is not None and message.get("role") != "function":
            return f"messages[{index}].name"
    items = request.input if isinstance(request.input, list) else []
    return next((f"input[{index}].name" for index, item in enumerate(items) if _has_name(item)), None)


def leave_out_speaker_names(body: dict[str, object]) -> None:
    """Of a body in Responses' words."""
    items = body.get("input")
    if isinstance(items, list):
        body["input"] = [
            {key: value for key, value in item.items() if key != "name"} if _has_name(item) else item
            for item in cast("list[dict[str, object]]", items)
        ]


def _has_name(item: _Object) -> bool:
    return item.get("type", "message") == "message" and item.get("name") is not None


def _content_part(request: ChatRequest, *, kinds: frozenset[str]) -> str | None:
    for holder, content in _contents(request):
        if not isinstance(content, list):
            continue
        for index, part in enumerate(cast("list[object]", content)):
            if isinstance(part, dict) and cast("_Object", part).get("type") in kinds:
                return f"{holder}[{index}]"
    return None


def _contents(request: ChatRequest) -> Iterator[tuple[str, object]]:
    for index, message in enumerate(request.messages or ()):
        yield f"messages[{index}].content", message.get("content")
    for index, item in enumerate(request.input if isinstance(request.input, list) else ()):
        yield f"input[{index}].content", item.get("content")
        yield f"input[{index}].output", item.get("output")
