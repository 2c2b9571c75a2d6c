"""One choice of a chat answer: its reasoning, its message, its calls, each in items of the response."""

from typing import Final, NamedTuple

from tokenbus_translate.assembly import Ending, ResponseAssembly
from tokenbus_translate.chat_calls import ChatCalls
from tokenbus_translate.items import CHOICE, Item
from tokenbus_translate.json_value import JsonObject, as_index, as_list, as_object, as_objects, as_text
from tokenbus_translate.logprobs import normal_logprobs
from tokenbus_translate.text import OUTPUT_TEXT, REASONING_TEXT, REFUSAL, Text, TextKind

# DeepSeek, vLLM, xAI say reasoning_content; OpenRouter, Groq and newer vLLM say reasoning; some send both alike.
_REASONING_KEYS: Final = ("reasoning_content", "reasoning")
_REASONING_FIELDS: Final[JsonObject] = {"type": "reasoning", "summary": [], "content": []}
_MESSAGE_FIELDS: Final[JsonObject] = {"type": "message"}


class _Hot(NamedTuple):
    """What the last delta was about: where in a delta more of it stands, and the text that it belongs to."""

    key: str
    text: Text
    call_index: int | None
    """Of the call whose arguments it is."""


class ChatChoice:
    """Deltas of one choice in, items out."""

    def __init__(self, assembly: ResponseAssembly, *, label: int | None) -> None:
        """`label` is the choice's number where there are several."""
        self.ending: Ending | None = None
        """How it ended, once `finish_reason` came."""
        self._extra: JsonObject = {} if label is None else {CHOICE: label}
        self.calls = ChatCalls(assembly, extra=self._extra)
        self._assembly = assembly
        self._hot: _Hot | None = None
        self._items: dict[str, Item] = {}  # the last item of each type
        self._texts: dict[TextKind, Text] = {}

    @property
    def has_output(self) -> bool:
        """Whether an item was opened."""
        return bool(self._items or self.calls.items)

    def goes_on(self, raw: JsonObject) -> bool:
        """The hot path: take a choice of a chunk that only goes on with what the last one was about, or leave it."""
        hot, delta = self._hot, as_object(raw.get("delta"))
        if hot is None or delta is None or raw.get("finish_reason") or raw.get("logprobs") or raw.get("error"):
            return False
        key = hot.key
        if len(delta) > 1 and any(delta[name] for name in delta if name not in (key, "role")):
            return False
        more = delta.get(key) if hot.call_index is None else _more_arguments(delta.get(key), index=hot.call_index)
        if not isinstance(more, str) or not more:
            return False
        hot.text.write(more)
        return True

    def read(self, delta: JsonObject, *, logprobs: object) -> int:
        """Take a delta, or a whole message. Returns how many useful pieces it had."""
        useful = 0
        self._hot = None
        key, reasoning = next(((key, text) for key in _REASONING_KEYS if (text := as_text(delta.get(key)))), ("", ""))
        if reasoning:
            useful += self._write(REASONING_TEXT, reasoning, key=key)
        useful += self._read_content(delta.get("content"), normal_logprobs((as_object(logprobs) or {}).get("content")))
        if refusal := as_text(delta.get("refusal")):
            useful += self._write(REFUSAL, refusal)
        for annotation in as_objects(delta.get("annotations")):
            self.output_text().annotate(_flat_annotation(annotation))
            useful += 1
        for fragment in as_objects(delta.get("tool_calls")):
            useful += self._read_call(fragment)
        if (call := as_object(delta.get("function_call"))) is not None:  # deprecated; there is one, without an id
            useful += self._read_call({"index": 0, "function": call})
        return useful

    def output_text(self) -> Text:
        """The open text of the message, opened if need be."""
        text = self._texts.get(OUTPUT_TEXT)
        return self._open(OUTPUT_TEXT) if text is None or text.finished else text

    def close(self) -> None:
        """The choice is whole: close its items, in order."""
        self.calls.end()
        for item in sorted((*self._items.values(), *self.calls.items), key=lambda item: item.index):
            item.close("completed")

    def _read_content(self, content: object, logprobs: list[JsonObject]) -> int:
        if logprobs or isinstance(content, str):
            text = as_text(content) or ""
            if logprobs:
                # A token may be half a character: its text is empty then, its log probability is not.
                self.output_text().write_with(text, logprobs=logprobs)
                return 1
            return self._write(OUTPUT_TEXT, text, key="content")
        return sum(self._read_part(part) for part in as_objects(content))

    def _read_part(self, part: JsonObject) -> int:
        """A part of content that came as a list, as Mistral sends it (braintrust-sdk-javascript #1857, 2026-11-22)."""
        if (thinking := part.get("thinking")) is not None:
            pieces = [thinking] if isinstance(thinking, str) else [p.get("text") for p in as_objects(as_list(thinking))]
            return sum(self._write(REASONING_TEXT, piece) for piece in pieces if isinstance(piece, str))
        if refusal := as_text(part.get("refusal")):
            return self._write(REFUSAL, refusal)
        return self._write(OUTPUT_TEXT, as_text(part.get("text")) or "")

    def _read_call(self, fragment: JsonObject) -> int:
        if not len(self.calls):
            self._close_others("function_call")
        useful, text = self.calls.read(fragment)
        index = as_index(fragment.get("index"))
        self._hot = None if text is None or index is None else _Hot("tool_calls", text, index)
        return int(useful)

    def _write(self, kind: TextKind, text: str, *, key: str = "") -> int:
        """Write to the open text of a kind. `key` is where in a delta it stands alone."""
        if not text:
            return 0
        open_text = self._texts.get(kind)
        if open_text is None or open_text.finished:
            open_text = self._open(kind)
        open_text.write(text)
        self._hot = _Hot(key, open_text, None) if key else None
        return 1

    def _open(self, kind: TextKind) -> Text:
        fields = _REASONING_FIELDS if kind is REASONING_TEXT else _MESSAGE_FIELDS
        item_type = str(fields["type"])
        self._close_others(item_type)
        item = self._items.get(item_type)
        if item is None or item.closed:
            item = self._items[item_type] = self._assembly.open_item({**fields, **self._extra})
        self._texts[kind] = text = item.open_text(kind)
        return text

    def _close_others(self, item_type: str) -> None:
        # After the first call nothing is closed: an item may only end before one that was begun earlier if it is whole,
        # and which of several calls is still being written is not known before the end.
        if not len(self.calls):
            for other_type, item in self._items.items():
                if other_type != item_type:
                    item.close("completed")


def _more_arguments(tool_calls: object, *, index: int) -> object:
    """The arguments in a fragment that holds nothing else."""
    fragments = as_list(tool_calls)
    fragment = as_object(fragments[0]) if len(fragments) == 1 else None
    if fragment is None or fragment.get("index") != index or fragment.get("id") or fragment.get("extra_content"):
        return None
    function = as_object(fragment.get("function"))
    return None if function is None or function.get("name") else function.get("arguments")


def _flat_annotation(annotation: JsonObject) -> JsonObject:
    """Chat's `{type, url_citation: {…}}` as Responses' `{type, …}`."""
    if annotation.get("type") != "url_citation":
        return annotation
    citation = as_object(annotation.get("url_citation")) or {}
    return {"type": "url_citation", "url": "", "title": "", "start_index": 0, "end_index": 0, **citation}
