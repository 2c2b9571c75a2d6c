"""The Responses shape: the event stream of one answer, numbered from 0, and the plain resource.

Order (Open Responses 2026-04-24): created, queued where it runs in the background, in_progress, then for each item:
output_item.added, for each part added, deltas, text done and part done, then output_item.done; at last one of completed
and incomplete. Calls of provider tools have their progress events between added and done.
"""

from collections.abc import Callable, Iterable, Sequence
from functools import partial
from itertools import repeat
from typing import NamedTuple

import orjson

from tokenbus_simulator.asked import Asked
from tokenbus_simulator.faults import INSUFFICIENT_QUOTA, Fault
from tokenbus_simulator.ids import Ids
from tokenbus_simulator.parts import Choice, FunctionCall, ProviderCall, Reasoning, Refusal, Text, Usage
from tokenbus_simulator.responses_events import EventWriter
from tokenbus_simulator.responses_item import (
    Item,
    Status,
    annotations,
    reasoning_part,
    refusal_part,
    summary_part,
    text_part,
)
from tokenbus_simulator.responses_resource import INCOMPLETE_REASONS, Resource
from tokenbus_simulator.tokens import padding
from tokenbus_simulator.wire import Frame, JsonObject, is_list


class ResponsesShape:
    """One answer as OpenAI's Responses API gives it."""

    def __init__(
        self, choice: Choice, *, usage: Usage, asked: Asked, resource: Resource, ids: Ids, background: bool = False
    ) -> None:
        self._choice = choice
        self._usage = usage
        self._asked = asked
        self._resource = resource
        self._opening = ("created", "queued") if background else ("created", "in_progress")
        self._items = [Item.of(part, ids=ids) for part in choice.parts]

    def opening(self) -> Sequence[Frame]:
        """`response.created` and `response.in_progress`; in the background `response.queued` instead of the latter."""
        events = EventWriter(0)
        response = self._resource.state(self._opening[1])
        for kind in self._opening:
            events.add(f"response.{kind}", {"response": response})
        return events.frames

    def body(self) -> Sequence[Frame]:
        """The items and the terminal event."""
        events = EventWriter(len(self._opening))
        if "in_progress" not in self._opening:
            events.add("response.in_progress", {"response": self._resource.state("in_progress")})
        for index, item in enumerate(self._items):
            opened = item.opened(asked=self._asked)
            events.add("response.output_item.added", {"output_index": index, "item": opened})
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
                written = partial(text_part, asked=self._asked)
                notes = annotations(part.tokens, cited=part.cited)
                text = _Spoken("output_text", "content_part", "text", written, notes, [at for at, _ in part.cited])
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
                # OpenAI's OpenAPI document wants `name` in done; the SDK's type does not have it.
                done: JsonObject = {"name": part.name, "arguments": "".join(part.tokens)}
                self._add_written(events, "function_call_arguments", part.tokens, where=where, done=done)
            case ProviderCall():
                self._add_provided(events, part, where=where)

    def _add_provided(self, events: EventWriter, part: ProviderCall, *, where: JsonObject) -> None:
        kind = part.tool.kind
        first, *later = kind.steps
        events.add(f"response.{kind.item}.{first}", where)
        if kind.streamed:
            done: JsonObject = {kind.streamed.key: "".join(part.tokens)}
            self._add_written(events, kind.streamed.name, part.tokens, where=where, done=done)
        for step in later[:-1]:
            events.add(f"response.{kind.item}.{step}", where)
        for preview in part.tool.previews():
            events.add(f"response.{kind.item}.partial_image", {**where, **preview})
        events.add(f"response.{kind.item}.{later[-1]}", where)

    def _add_written(
        self, events: EventWriter, name: str, tokens: Sequence[str], *, where: JsonObject, done: JsonObject
    ) -> None:
        tails = _tails(tokens, obfuscated=self._asked.obfuscation)
        events.add_deltas(f"response.{name}.delta", tokens, at=where, tails=tails)
        events.add(f"response.{name}.done", {**where, **done})

    def _add_spoken(self, events: EventWriter, kind: "_Spoken", tokens: Sequence[str], *, at: JsonObject) -> None:
        whole = kind.part(tokens)
        events.add(f"response.{kind.frame}.added", {**at, "part": kind.part(())})
        tails = iter(_tails(tokens, obfuscated=self._asked.obfuscation, probabilities=whole.get("logprobs")))
        sent = 0
        for index, (note, after) in enumerate(zip(kind.notes, kind.after, strict=True)):
            cited = tokens[sent:after]
            events.add_deltas(f"response.{kind.name}.delta", cited, at=at, tails=tails)
            sent = after
            noted = {**at, "annotation_index": index, "annotation": note}
            events.add(f"response.{kind.name}.annotation.added", noted)
        events.add_deltas(f"response.{kind.name}.delta", tokens[sent:], at=at, tails=tails)
        # Text has log probabilities in deltas and in `done`, where the SDK's types require the list.
        probabilities = {"logprobs": whole["logprobs"]} if "logprobs" in whole else {}
        events.add(f"response.{kind.name}.done", {**at, kind.key: whole[kind.key], **probabilities})
        noted_part = {**whole, "annotations": list(kind.notes)} if kind.notes else whole
        events.add(f"response.{kind.frame}.done", {**at, "part": noted_part})


class _Spoken(NamedTuple):
    """How one kind of text is told: `response.<name>.delta` and `.done` inside `response.<frame>.added` and `.done`."""

    name: str
    frame: str
    key: str
    """Where `done` and the part hold the whole text."""
    part: Callable[[Sequence[str]], JsonObject]
    notes: Sequence[JsonObject] = ()
    after: Sequence[int] = ()
    """How many tokens come before each note."""


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
