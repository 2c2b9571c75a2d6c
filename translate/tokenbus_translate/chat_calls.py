"""The tool calls of one chat choice, put together from fragments.

Rules:

1. `index` tells calls apart, not `id`: fragments after the first have neither id nor name. Where `index` is missing
   (ollama #7881), the id does, and without an id the last call goes on.
2. Endpoints that number every call 0 (ollama #15457, dynamo #4723) begin a new one with another id, another name, or a
   name after arguments that are a whole JSON object.
3. An id is taken from a call's first fragment and minted if missing; one that comes later or again changes nothing.
4. A call is opened when its name is known; arguments that came earlier wait. One that gets none can't be run.
5. A whole call without arguments has `{}`: sent back as it was, an empty string is refused by several providers.
"""

from dataclasses import dataclass, field

from tokenbus_translate.assembly import ResponseAssembly
from tokenbus_translate.items import Item
from tokenbus_translate.json_value import JsonObject, as_index, as_object, as_text, parse_object
from tokenbus_translate.text import Text, dumps


@dataclass(slots=True)
class _Call:
    call_id: str | None
    name: str | None = None
    item: Item | None = None
    waiting: list[str] = field(default_factory=list[str])
    extra: JsonObject = field(default_factory=dict[str, object])

    def has_whole_arguments(self) -> bool:
        text = "".join(self.waiting) if self.item is None else self.item.texts[0].value
        return parse_object(text.encode()) is not None


class ChatCalls:
    """Fragments in, function_call and custom_tool_call items out."""

    def __init__(self, assembly: ResponseAssembly, *, extra: JsonObject) -> None:
        """`extra` are fields that every item gets."""
        self._assembly = assembly
        self._extra = extra
        self._calls: list[_Call] = []
        self._by_index: dict[int, _Call] = {}

    def __len__(self) -> int:
        return len(self._calls)

    @property
    def items(self) -> list[Item]:
        """The calls that were opened, in order."""
        return [call.item for call in self._calls if call.item is not None]

    @property
    def nameless(self) -> bool:
        """Whether a call still waits for its name."""
        return any(call.item is None for call in self._calls)

    def read(self, fragment: JsonObject) -> tuple[bool, Text | None]:
        """Take one entry of `delta.tool_calls`. Returns whether it was useful, and the text of its call once open."""
        custom = as_object(fragment.get("custom"))
        function = custom or as_object(fragment.get("function")) or {}
        name = as_text(function.get("name")) or None
        arguments = _arguments(function.get("input" if custom else "arguments"))
        call = self._call_of(fragment, name=name, arguments=arguments)
        if extra_content := fragment.get("extra_content"):  # Gemini's thought signatures, wanted back with the call
            call.extra["extra_content"] = extra_content
        if call.name is None and name is not None:
            call.name = name
            call.item = self._open(call, custom=custom is not None)
        if call.item is None:
            call.waiting.append(arguments)
        elif arguments:
            call.item.texts[0].write(arguments)
        return bool(name or arguments), None if call.item is None else call.item.texts[0]

    def end(self) -> None:
        """The answer is whole: every call has arguments."""
        for item in self.items:
            if item.type == "function_call" and not item.closed and not item.texts[0].value:
                item.texts[0].write("{}")

    def _open(self, call: _Call, *, custom: bool) -> Item:
        item_type = "custom_tool_call" if custom else "function_call"
        fields: JsonObject = {
            "type": item_type,
            "call_id": call.call_id,
            "name": call.name,
            **call.extra,
            **self._extra,
        }
        item = self._assembly.open_item(fields)
        for arguments in call.waiting:
            if arguments:
                item.texts[0].write(arguments)
        return item

    def _call_of(self, fragment: JsonObject, *, name: str | None, arguments: str) -> _Call:
        index, call_id = as_index(fragment.get("index")), as_text(fragment.get("id")) or None
        if index is not None:
            call = self._by_index.get(index)
        elif call_id is not None:
            call = next((known for known in self._calls if known.call_id == call_id), None)
        else:
            call = self._calls[-1] if self._calls else None
        if call is None or _begins_anew(call, call_id=call_id, name=name, arguments=arguments):
            call = _Call(call_id)
            self._calls.append(call)
        if index is not None:
            self._by_index[index] = call
        return call


def _begins_anew(call: _Call, *, call_id: str | None, name: str | None, arguments: str) -> bool:
    if name is None or call.name is None:
        return False
    if call_id is not None and call.call_id is not None:
        return call_id != call.call_id
    return name != call.name or (bool(arguments) and call.has_whole_arguments())


def _arguments(value: object) -> str:
    if value is None:
        return ""
    return value if isinstance(value, str) else dumps(value).decode()  # some servers send the object itself
