"""Events → Chat Completions chunks.

Rules:

1. A choice begins with one chunk that holds its role; it ends with one that holds its finish reason, made of the
   terminal event. Usage follows in a chunk without choices, if it was asked for.
2. A tool call is numbered by its place among the calls of its choice, never by its output index: the first chunk has
   its id and name, the others only pieces of its arguments.
3. What an item's deltas left out comes with its `done` event. When events were lost for good, nothing more is told
   before the terminal event, which has the whole text: then the rest follows, once.
4. A function that may be run on the bus (`tokenbus.functions` of the response) is the client's to call only if nobody
   ran it. That shows in the end, so all calls are told then, in one piece, in their order, without those answered.
5. A failed or cancelled response has no chunk: what a client is told then is the business of whoever writes the body.

A delta costs one parse; everything around its text is encoded when its item is opened. Pure.
"""

from dataclasses import dataclass
from typing import Final

from tokenbus_schemas import EventLine
from tokenbus_schemas.vocabulary import REWOUND
from tokenbus_translate.json_value import JsonObject, as_index, as_object, as_objects, as_text, parse_object
from tokenbus_translate.response_to_chat import (
    ChatHead,
    answered_calls,
    bus_functions,
    chat_annotation,
    chat_call,
    chat_usage,
    choice_items,
    choice_of,
    finish_reason,
    text_of,
)
from tokenbus_translate.text import dumps

GAP_TYPE: Final = "tokenbus:response.gap"
"""A reader's note that events were lost for good (`tokenbus.sequencer`)."""

_TEXT_DELTA: Final = "response.output_text.delta"
_REFUSAL_DELTA: Final = "response.refusal.delta"

# Event → the field of chat's delta. No field of OpenAI's holds reasoning; the name is DeepSeek's and most took it over.
_TEXTS: Final = {
    _TEXT_DELTA: "content",
    _REFUSAL_DELTA: "refusal",
    "response.reasoning_text.delta": "reasoning_content",
    "response.reasoning_summary_text.delta": "reasoning_content",
}
_CALLS: Final = {
    "function_call": ("response.function_call_arguments.delta", "function", "arguments"),
    "custom_tool_call": ("response.custom_tool_call_input.delta", "custom", "input"),
}
_CREATED: Final = "response.created"
_DELTAS: Final = frozenset({*_TEXTS, *(row[0] for row in _CALLS.values())})
_PLACE: Final = b'"@@"'


@dataclass(slots=True)
class _Growing:
    """One text of an item: everything of its chunks but the delta, and how many characters were told."""

    prefix: bytes
    suffix: bytes
    choice: int
    told: int = 0

    def chunk(self, delta: str) -> bytes:
        self.told += len(delta)
        return self.prefix + dumps(delta) + self.suffix


class EventsToChat:
    """The events of one answer in, its chunks out, each as JSON text."""

    def __init__(self, head: ChatHead, *, include_usage: bool) -> None:
        self._head: JsonObject = {
            "id": head.completion_id,
            "object": "chat.completion.chunk",
            "created": head.created,
            "model": head.model,
        }
        self._include_usage = include_usage
        self._growing: dict[tuple[str, int], _Growing] = {}
        self._item_choices: dict[int, int] = {}
        self._begun = 0
        self._call_counts: dict[int, int] = {}
        self._functions: frozenset[str] = frozenset()
        self._has_gap = False
        self.rewound = False
        """The answer was begun anew. A chat stream can not take back what it told: nothing follows, not even an end."""

    def feed(self, line: EventLine) -> list[bytes]:
        """The chunks of the next event; often none. Events must come in order. A line that is no JSON has none."""
        event_type = line.type
        if self.rewound:
            return []
        if event_type in _DELTAS:
            return [] if self._has_gap else self._delta(event_type, parse_object(line.raw) or {})
        if event_type == GAP_TYPE:
            self._has_gap = True
        elif event_type == REWOUND:
            self.rewound = True
        elif line.is_terminal:
            return self._end((parse_object(line.raw) or {}).get("response"))
        elif event_type == _CREATED:
            self._functions = bus_functions((parse_object(line.raw) or {}).get("response"))
        elif event_type.startswith(("response.output_item.", "response.output_text.annotation.")) and not self._has_gap:
            return self._other(event_type, parse_object(line.raw) or {})
        return []

    def _delta(self, event_type: str, event: JsonObject) -> list[bytes]:
        index, delta = as_index(event.get("output_index")) or 0, as_text(event.get("delta")) or ""
        chunks: list[bytes] = []
        growing = self._growing.get((event_type, index))
        if growing is None:
            if event_type not in _TEXTS:
                return []  # arguments of a call that was never opened: its `done` tells it whole
            growing = self._open_text(event_type, index, choice=self._item_choices.get(index, 0), chunks=chunks)
        logprobs = event.get("logprobs")
        if logprobs and event_type == _TEXT_DELTA:
            growing.told += len(delta)
            chunks.append(self._choice(growing.choice, {"content": delta}, logprobs={"content": logprobs}))
        else:
            chunks.append(growing.chunk(delta))
        return chunks

    def _other(self, event_type: str, event: JsonObject) -> list[bytes]:
        index = as_index(event.get("output_index")) or 0
        if event_type == "response.output_text.annotation.added":
            annotation = chat_annotation(as_object(event.get("annotation")) or {})
            choice = self._item_choices.get(index, 0)
            return [] if annotation is None else [self._choice(choice, {"annotations": [annotation]})]
        item = as_object(event.get("item")) or {}
        self._item_choices[index] = choice_of(item)
        if self._is_open_question(item):
            return []
        if event_type == "response.output_item.added":
            return self._item_added(index, item)
        return self._complete(index, item)

    def _is_open_question(self, item: JsonObject) -> bool:
        """A call, and it is not known yet whose."""
        return bool(self._functions) and item.get("type") in _CALLS

    def _item_added(self, index: int, item: JsonObject) -> list[bytes]:
        chunks: list[bytes] = []
        choice, item_type = choice_of(item), str(item.get("type"))
        if item_type == "message":
            self._open_text(_TEXT_DELTA, index, choice=choice, chunks=chunks)
        elif item_type == "reasoning":
            for event_type in ("response.reasoning_text.delta", "response.reasoning_summary_text.delta"):
                self._open_text(event_type, index, choice=choice, chunks=chunks)
        elif item_type in _CALLS:
            self._open_call(index, item, choice=choice, chunks=chunks)
        return chunks

    def _open_text(self, event_type: str, index: int, *, choice: int, chunks: list[bytes]) -> _Growing:
        field = _TEXTS[event_type]
        # Content is null where there may be none, so that what clients accumulate equals the plain message.
        self._begin(choice, content="" if field == "content" else None, chunks=chunks)
        growing = self._growing[event_type, index] = self._template(choice, {field: "@@"})
        return growing

    def _open_call(self, index: int, item: JsonObject, *, choice: int, chunks: list[bytes]) -> None:
        event_type, field, key = _CALLS[str(item["type"])]
        self._begin(choice, content=None, chunks=chunks)
        number = self._call_counts.get(choice, 0)
        self._call_counts[choice] = number + 1
        chunks.append(self._choice(choice, {"tool_calls": [{"index": number, **chat_call({**item, key: ""})}]}))
        self._growing[event_type, index] = self._template(
            choice, {"tool_calls": [{"index": number, field: {key: "@@"}}]}
        )

    def _complete(self, index: int, item: JsonObject) -> list[bytes]:
        """What the item's deltas left out."""
        choice, item_type = choice_of(item), str(item.get("type"))
        chunks: list[bytes] = []
        if item_type == "message":
            for event_type, part_type, key in (
                (_TEXT_DELTA, "output_text", "text"),
                (_REFUSAL_DELTA, "refusal", "refusal"),
            ):
                text = text_of(item, part_type=part_type, key=key)
                growing = self._growing.get((event_type, index))
                if growing is None and (text or event_type == _TEXT_DELTA):
                    growing = self._open_text(event_type, index, choice=choice, chunks=chunks)
                if growing is not None and len(text) > growing.told:
                    chunks.append(growing.chunk(text[growing.told :]))
        elif item_type in _CALLS:
            event_type, _, key = _CALLS[item_type]
            if (event_type, index) not in self._growing:
                self._open_call(index, item, choice=choice, chunks=chunks)
            growing, arguments = self._growing[event_type, index], as_text(item.get(key)) or ""
            if len(arguments) > growing.told:
                chunks.append(growing.chunk(arguments[growing.told :]))
        return chunks

    def _end(self, raw: object) -> list[bytes]:
        response = as_object(raw) or {}
        if response.get("status") not in ("completed", "incomplete"):
            return []
        chunks: list[bytes] = []
        output = as_objects(response.get("output"))
        answered = answered_calls(output)
        for index, item in enumerate(output):
            if (self._has_gap or self._is_open_question(item)) and item.get("call_id") not in answered:
                chunks += self._complete(index, item)
        for choice, items in choice_items(response).items():
            self._begin(choice, content=None, chunks=chunks)
            chunks.append(self._choice(choice, {}, reason=finish_reason(response, items)))
        if self._include_usage:
            tier = {"service_tier": response.get("service_tier")}
            chunks.append(dumps({**self._head, **tier, "choices": [], "usage": chat_usage(response.get("usage"))}))
        return chunks

    def _begin(self, choice: int, *, content: str | None, chunks: list[bytes]) -> None:
        # Clients put choices into a list in the order of their first chunks (openai 3.54), so none may be overtaken.
        for begun in range(self._begun, choice + 1):
            said = content if begun == choice else None
            chunks.append(self._choice(begun, {"role": "assistant", "content": said, "refusal": None}))
        self._begun = max(self._begun, choice + 1)

    def _template(self, choice: int, delta: JsonObject) -> _Growing:
        prefix, _, suffix = self._choice(choice, delta).rpartition(_PLACE)
        return _Growing(prefix, suffix, choice)

    def _choice(
        self, choice: int, delta: JsonObject, *, logprobs: JsonObject | None = None, reason: str | None = None
    ) -> bytes:
        if logprobs is not None:
            logprobs = {"refusal": None, **logprobs}
        entry: JsonObject = {"index": choice, "delta": delta, "logprobs": logprobs, "finish_reason": reason}
        usage: JsonObject = {"usage": None} if self._include_usage else {}
        return dumps({**self._head, "choices": [entry], **usage})
