"""One output item while it is written: it is added first, holds its texts in order, one open at a time, and is done."""

from typing import Final, Literal

from tokenbus_schemas import Event
from tokenbus_translate.json_value import JsonObject, parse_object
from tokenbus_translate.text import FIELD_KINDS, Text, TextKind, dumps

ItemStatus = Literal["completed", "incomplete"]

CHOICE: Final = "tokenbus:choice"
"""Field of an item when a request asked for several choices (`n`): 0, 1, …"""

# What an item must have from its first event on, besides id, type and status (Open Responses 2026-04-24, streaming).
_ZERO: Final[dict[str, JsonObject]] = {
    "message": {"role": "assistant", "content": []},
    "reasoning": {"summary": []},
    "function_call": {"call_id": "", "name": "", "arguments": ""},
    "custom_tool_call": {"call_id": "", "name": "", "input": ""},
    "function_call_output": {"call_id": "", "output": ""},
}
STANDARD_TYPES: Final = frozenset(_ZERO)
"""Items whose shape we own. All others are the provider's and pass as they are."""

_GROWING: Final = frozenset({"content", "summary", "arguments", "input", "output"})
_IDENTITY: Final = frozenset({"id", "type"})
_OWNED: Final = _IDENTITY | _GROWING - {"output"} | {"status", "role", "call_id", "name", CHOICE}

CALL_TYPES: Final = frozenset({"function_call", "custom_tool_call"})

# How a provider's item ends that was cut; openai 3.54 has no `incomplete` for these two.
_CUT_STATUS: Final = {"web_search_call": "failed", "image_generation_call": "failed"}

ID_PREFIXES: Final = {
    "message": "msg",
    "reasoning": "rs",
    "function_call": "fc",
    "function_call_output": "fco",
    "custom_tool_call": "ctc",
    "web_search_call": "ws",
    "file_search_call": "fs",
    "code_interpreter_call": "ci",
    "image_generation_call": "ig",
    "mcp_call": "mcp",
    "mcp_list_tools": "mcpl",
    "call": "call",
}
"""OpenAI's item id prefixes; on input it checks them (llm-rosetta #403)."""


class Item:
    """An output item and the events that tell its life. Made by `ResponseAssembly.open_item`."""

    __slots__ = ("_open", "_out", "_owned", "address", "closed", "fields", "id", "index", "texts", "type")

    def __init__(self, fields: JsonObject, *, item_id: str, index: int, out: list[Event]) -> None:
        self.type = str(fields["type"])
        self.id = item_id
        self.index = index
        self.closed = False
        self.fields = dict(fields)
        """The item but for its texts: what the last look at it showed."""
        self._owned = _OWNED if self.type in STANDARD_TYPES else _IDENTITY
        self.texts: list[Text] = []
        self.address = b',"item_id":%b,"output_index":%d' % (dumps(item_id), index)
        self._open: Text | None = None
        self._out = out
        self._emit("response.output_item.added", self._first_look())
        if self.type in STANDARD_TYPES and self.type in FIELD_KINDS:
            self.open_text(FIELD_KINDS[self.type])

    def open_text(self, kind: TextKind, *, part: JsonObject | None = None) -> Text:
        """A new text of this item; the one open until now is closed."""
        self.close_text()
        index = sum(text.kind.place == kind.place for text in self.texts)
        text = Text(kind, item_address=self.address, index=index, part=part, out=self._out)
        self.texts.append(text)
        self._open = text
        return text

    def close_text(self) -> None:
        """Nothing more comes for the open text; without one, nothing happens."""
        if self._open is not None:
            self._open.close()
            self._open = None

    def close(self, status: ItemStatus, *, final: JsonObject | None = None) -> None:
        """The item is done. `final` is the provider's last word on it; its texts and identity stay as they were told.

        A provider's own item ends with the status of `final`, if there is one.
        """
        if self.closed:
            return
        self.close_text()
        self.closed = True
        if final is not None:
            self.note(final)
        if self.type in STANDARD_TYPES:
            self.fields["status"] = status
        elif final is None and "status" in self.fields:
            self.fields["status"] = status if status == "completed" else _CUT_STATUS.get(self.type, status)
        self._emit("response.output_item.done", self.snapshot())

    @property
    def choice(self) -> object:
        """Which of several choices the item belongs to; None where there is one."""
        return self.fields.get(CHOICE)

    def is_cut_call(self) -> bool:
        """Whether this is a function call whose arguments stop in the middle."""
        return self.type == "function_call" and parse_object(self.text_of("arguments").encode()) is None

    def text_of(self, place: str) -> str:
        """All text in `content`, `summary` or a field of the item, joined."""
        return "".join(text.value for text in self.texts if text.kind.place == place)

    def snapshot(self) -> JsonObject:
        """The item as it stands."""
        item: JsonObject = {**self.fields, "id": self.id}
        for place in dict.fromkeys(text.kind.place for text in self.texts):
            texts = [text for text in self.texts if text.kind.place == place]
            item[place] = [text.as_part() for text in texts] if texts[0].kind.part_events else self.text_of(place)
        return item

    def note(self, fields: JsonObject) -> None:
        """A later word of the provider on the item; its identity and texts stay as they were told."""
        self.fields |= {name: value for name, value in fields.items() if name not in self._owned}

    def _first_look(self) -> JsonObject:
        zero = _ZERO.get(self.type)
        if zero is not None:
            self.fields = {"id": self.id, "type": self.type, "status": "in_progress", **zero, **self.fields}
            for name, empty in zero.items():
                if name in _GROWING or self.fields[name] is None:
                    self.fields[name] = empty
            if self.type == "reasoning" and isinstance(self.fields.get("content"), list):
                self.fields["content"] = []
            self.fields["status"] = "in_progress"
        return self.snapshot()

    def _emit(self, event_type: str, item: JsonObject) -> None:
        self._out.append(Event(event_type, b',"output_index":%d,"item":' % self.index + dumps(item)))
