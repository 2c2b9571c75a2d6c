"""The Responses shape: the event stream of one answer, numbered from 0, and the plain resource.

Order (Open Responses 2026-04-24): created, in_progress, then for each item: output_item.added, for each part added,
deltas, text done and part done, then output_item.done; at last one of completed and incomplete.
"""

from collections.abc import Callable, Iterable, Sequence
from functools import partial
from itertools import repeat
from typing import NamedTuple

import orjson

from tokenbus_simulator.answers import Choice, FunctionCall, Reasoning, Refusal, Text, Usage
from tokenbus_simulator.asked import Asked
from tokenbus_simulator.faults import INSUFFICIENT_QUOTA, Fault
from tokenbus_simulator.ids import Ids
from tokenbus_simulator.responses_events import EventWriter
from tokenbus_simulator.responses_resource import (
    INCOMPLETE_REASONS,
    Item,
    Resource,
    Status,
    reasoning_part,
    refusal_part,
    summary_part,
    text_part,
)
from tokenbus_simulator.tokens import padding
from tokenbus_simulator.wire import Frame, JsonObject, is_list


class ResponsesShape:
    """One answer as OpenAI's Responses API gives it."""

    def __init__(self, choice: Choice, *, usage: Usage, asked: Asked, resource: Resource, ids: Ids) -> None:
        self._choice = choice
        self._usage = usage
        self._asked = asked
        self._resource = resource
        self._items = [Item.of(part, ids=ids) for part in choice.parts]

    def opening(self) -> Sequence[Frame]:
        """`response.created` and `response.in_progress`."""
        events = EventWriter(0)
        response = self._resource.state("in_progress")
        events.add("response.created", {"response": response})
        events.add("response.in_progress", {"response": response})
        return events.frames

    def body(self) -> Sequence[Frame]:
        """The items and the terminal event."""
        events = EventWriter(len(self.opening()))
        for index, item in enumerate(self._items):
            events.add("response.output_item.added", {"output_index": index, "item": item.opened()})
            self._add_content(events, item, where={"item_id": item.id, "output_index": index})
            events.add("response.output_item.done", {"output_index": index, "item": self._finished(index)})
        response = self.plain()
        events.add(f"response.{response['status']}", {"response": response})
        return events.frames

    def failure(self, fault: Fault, /, *, number: int) -> Sequence[Frame]:
        """An `error` event in the form the fault names, then `response.failed`."""
        events = EventWriter(number)
        error = INSUFFICIENT_QUOTA.error(param=None)
        if fault is Fault.ERROR:
            events.add("error", {"error": error})
        elif fault is Fault.ERROR_FLAT:
            events.add("error", {key: error[key] for key in ("code", "message", "param")})
        # The resource's `error.code` is a closed set without insufficient_quota.
        response_error: JsonObject = {"code": "rate_limit_exceeded", "message": INSUFFICIENT_QUOTA.message}
        events.add("response.failed", {"response": self._resource.state("failed", error=response_error)})
        return events.frames

    def plain(self) -> JsonObject:
        """The resource in its final state."""
        reason = INCOMPLETE_REASONS.get(self._choice.finish)
        return self._resource.state(
            "incomplete" if reason else "completed",
            output=[self._finished(index) for index in range(len(self._items))],
            usage=self._usage,
            incomplete_reason=reason,
        )

    def _finished(self, index: int) -> JsonObject:
        # Only the last item of an incomplete response is incomplete (Open Responses, Items).
        last = index == len(self._items) - 1
        status: Status = "incomplete" if last and self._choice.finish in INCOMPLETE_REASONS else "completed"
        return self._items[index].finished(status, asked=self._asked)

    def _add_content(self, events: EventWriter, item: Item, *, where: JsonObject) -> None:
        part = item.part
        match part:
            case Text():
                text = _Spoken("output_text", "content_part", "text", partial(text_part, asked=self._asked))
                self._add_spoken(events, text, part.tokens, at={**where, "content_index": 0})
            case Refusal():
                refusal = _Spoken("refusal", "content_part", "refusal", refusal_part)
                self._add_spoken(events, refusal, part.tokens, at={**where, "content_index": 0})
            case Reasoning():
                if part.summary:
                    summary = _Spoken("reasoning_summary_text", "reasoning_summary_part", "text", summary_part)
                    self._add_spoken(events, summary, part.summary, at={**where, "summary_index": 0})
                if part.text:
                    reasoning = _Spoken("reasoning_text", "content_part", "text", reasoning_part)
                    self._add_spoken(events, reasoning, part.text, at={**where, "content_index": 0})
            case FunctionCall():
                kind = "response.function_call_arguments"
                tails = _tails(part.tokens, obfuscated=self._asked.obfuscation)
                events.add_deltas(f"{kind}.delta", part.tokens, at=where, tails=tails)
                # OpenAI's OpenAPI document wants `name` here; the SDK's type does not have it.
                events.add(f"{kind}.done", {**where, "name": part.name, "arguments": "".join(part.tokens)})

    def _add_spoken(self, events: EventWriter, kind: "_Spoken", tokens: Sequence[str], *, at: JsonObject) -> None:
        whole = kind.part(tokens)
        events.add(f"response.{kind.frame}.added", {**at, "part": kind.part(())})
        tails = _tails(tokens, obfuscated=self._asked.obfuscation, probabilities=whole.get("logprobs"))
        events.add_deltas(f"response.{kind.name}.delta", tokens, at=at, tails=tails)
        # Text has log probabilities in deltas and in `done`, where the SDK's types require the list.
        probabilities = {"logprobs": whole["logprobs"]} if "logprobs" in whole else {}
        events.add(f"response.{kind.name}.done", {**at, kind.key: whole[kind.key], **probabilities})
        events.add(f"response.{kind.frame}.done", {**at, "part": whole})


class _Spoken(NamedTuple):
    """How one kind of text is told: `response.<name>.delta` and `.done` inside `response.<frame>.added` and `.done`."""

    name: str
    frame: str
    key: str
    """Where `done` and the part hold the whole text."""
    part: Callable[[Sequence[str]], JsonObject]


def _tails(tokens: Sequence[str], *, obfuscated: bool, probabilities: object = None) -> Iterable[bytes]:
    """What each delta has beside its text: `logprobs` if the kind of text has a list of them, and padding."""
    if not probabilities and not obfuscated:
        return repeat(b"" if probabilities is None else b',"logprobs":[]', len(tokens))
    each = probabilities if is_list(probabilities) else []
    return (
        (b"" if probabilities is None else b',"logprobs":%b' % orjson.dumps(each[n : n + 1]))
        + (b',"obfuscation":"%b"' % padding(token).encode() if obfuscated else b"")
        for n, token in enumerate(tokens)
    )
