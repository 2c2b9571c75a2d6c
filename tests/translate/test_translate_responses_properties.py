"""Random Responses upstreams, tidy and sloppy: the events are valid, and text survives whatever can be survived."""

from collections.abc import Callable
from itertools import pairwise
from typing import Any

import orjson
from hypothesis import given, settings
from hypothesis import strategies as st

from tokenbus_schemas import Event, encode
from tokenbus_translate import LifecycleCheck, ResponseAssembly, ResponsesStream

Json = dict[str, Any]
Assemble = Callable[..., ResponseAssembly]
Checked = Callable[[list[Event]], list[Json]]

_text = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=5)
_pieces = st.lists(_text, min_size=1, max_size=3)
_KEYS = {"output_text": "text", "refusal": "refusal", "reasoning_text": "text", "summary_text": "text"}
_NAMES = {
    "output_text": "response.output_text",
    "refusal": "response.refusal",
    "reasoning_text": "response.reasoning_text",
    "summary_text": "response.reasoning_summary_text",
}


def _part_events(item_id: str, index: int, place: int, kind: str, pieces: list[str]) -> list[Json]:
    where = {"item_id": item_id, "output_index": index}
    where |= {"summary_index" if kind == "summary_text" else "content_index": place}
    added = "response.reasoning_summary_part" if kind == "summary_text" else "response.content_part"
    key, name = _KEYS[kind], _NAMES[kind]
    return [
        {"type": f"{added}.added", **where, "part": {"type": kind, key: ""}},
        *({"type": f"{name}.delta", **where, "delta": piece, "logprobs": [], "obfuscation": "x"} for piece in pieces),
        {"type": f"{name}.done", **where, key: "".join(pieces), "logprobs": []},
        {"type": f"{added}.done", **where, "part": {"type": kind, key: "".join(pieces)}},
    ]


def _parts_of(kinds: list[tuple[str, list[str]]]) -> list[Json]:
    return [{"type": kind, _KEYS[kind]: "".join(pieces)} for kind, pieces in kinds]


def _wrapped(index: int, first: Json, inner: list[Json], final: Json) -> list[Json]:
    return [
        {"type": "response.output_item.added", "output_index": index, "item": first},
        *inner,
        {"type": "response.output_item.done", "output_index": index, "item": final},
    ]


@st.composite
def _item(draw: st.DrawFn, index: int) -> tuple[list[Json], Json]:
    """An item's events as OpenAI sends them, and the item."""
    kind = draw(st.sampled_from(["message", "reasoning", "function_call", "custom_tool_call", "web_search_call"]))
    item_id = f"{kind[:4]}_{index}"
    base: Json = {"id": item_id, "type": kind, "status": "in_progress"}
    if kind in {"message", "reasoning"}:
        part = st.sampled_from(["output_text", "refusal"] if kind == "message" else ["reasoning_text"])
        content = draw(st.lists(st.tuples(part, _pieces), max_size=2))
        summary = [("summary_text", pieces) for pieces in draw(st.lists(_pieces, max_size=2 * (kind == "reasoning")))]
        inner = [e for n, (k, pieces) in enumerate(summary) for e in _part_events(item_id, index, n, k, pieces)]
        inner += [e for n, (k, pieces) in enumerate(content) for e in _part_events(item_id, index, n, k, pieces)]
        extra: Json = {"role": "assistant"} if kind == "message" else {"summary": [], "encrypted_content": "secret"}
        final = {**base, **extra, "content": _parts_of(content), "status": "completed"}
        if kind == "reasoning":
            final["summary"] = _parts_of(summary)
        return _wrapped(index, {**base, **extra, "content": []}, inner, final), final
    where = {"item_id": item_id, "output_index": index}
    if kind == "web_search_call":
        final = {**base, "status": "completed", "action": {"type": "search", "query": "q", "queries": ["q"]}}
        names = draw(st.lists(st.sampled_from(["in_progress", "searching", "completed"]), max_size=3))
        inner = [{"type": f"response.web_search_call.{name}", **where} for name in names]
        return _wrapped(index, {**final, "status": "in_progress"}, inner, final), final
    field, name = (
        ("arguments", "function_call_arguments") if kind == "function_call" else ("input", "custom_tool_call_input")
    )
    pieces = draw(_pieces)
    extra = {"call_id": f"call_{index}", "name": "tool"}
    inner = [{"type": f"response.{name}.delta", **where, "delta": piece} for piece in pieces]
    inner.append({"type": f"response.{name}.done", **where, field: "".join(pieces), "name": "tool"})
    final = {**base, **extra, field: "".join(pieces), "status": "completed"}
    return _wrapped(index, {**base, **extra, field: ""}, inner, final), final


@st.composite
def _answers(draw: st.DrawFn, max_items: int = 4) -> tuple[list[Json], list[Json]]:
    """Events between in_progress and the terminal one, and the output."""
    count = draw(st.integers(0, max_items))
    items = [draw(_item(index)) for index in range(count)]
    return [event for events, _ in items for event in events], [final for _, final in items]


def _sse(events: list[Json]) -> bytes:
    lines = [b"event: %b\ndata: %b\n\n" % (e.get("type", "x").encode(), orjson.dumps(e)) for e in events]
    return b"".join(lines)


def _with_ends(events: list[Json], output: list[Json] | None, ending: str = "completed") -> list[Json]:
    response: Json = {"id": "resp_up", "status": ending, "usage": {"input_tokens": 1, "output_tokens": 2}}
    if output is not None:
        response["output"] = output
    if ending == "incomplete":
        response["incomplete_details"] = {"reason": "max_output_tokens"}
    start = [{"type": name, "response": {"id": "resp_up"}} for name in ("response.created", "response.in_progress")]
    return [*start, *events, {"type": f"response.{ending}", "response": response}]


def _run(assembly: ResponseAssembly, body: bytes, cuts: list[int] | None = None) -> list[Event]:
    stream = ResponsesStream(assembly)
    places = [0, *sorted(cut % (len(body) + 1) for cut in cuts or []), len(body)]
    events = [event for a, b in pairwise(places) for event in stream.feed(body[a:b])]
    events += stream.close()
    if stream.ending is not None:
        return events + assembly.finish(stream.ending, now=1_790_000_009)
    assert stream.failure is not None
    return events + assembly.fail(stream.failure.error)


def _told(output: list[Json]) -> list[tuple[str, str]]:
    """What the items of an output say, without what is ours to choose."""
    told: list[tuple[str, str]] = []
    for item in output:
        parts: list[Json] = [*item.get("summary", []), *(item.get("content") or [])]
        text = "".join(part.get("text", part.get("refusal", "")) for part in parts)
        told.append((item["type"], text + item.get("arguments", "") + item.get("input", "")))
    return told


@given(answer=_answers(), ending=st.sampled_from(["completed", "incomplete"]))
def test_a_tidy_upstream_arrives_whole_with_its_item_ids(
    answer: tuple[list[Json], list[Json]], ending: str, assemble: Assemble, checked: Checked
) -> None:
    events, output = answer
    response = checked(_run(assemble(), _sse(_with_ends(events, output, ending))))[-1]["response"]
    assert response["status"] == ending
    assert [item["id"] for item in response["output"]] == [item["id"] for item in output]
    assert _told(response["output"]) == _told(output)
    assert [item.get("encrypted_content") for item in response["output"]] == [
        i.get("encrypted_content") for i in output
    ]
    assert response["usage"]["total_tokens"] == 3


@given(answer=_answers(), data=st.data())
def test_missing_names_and_numbers_lose_no_text(
    answer: tuple[list[Json], list[Json]], data: st.DataObject, assemble: Assemble, checked: Checked
) -> None:
    events, output = answer
    missing = data.draw(
        st.sets(st.sampled_from(["item_id", "output_index", "content_index", "summary_index", "logprobs", "id"]))
    )
    stripped: list[Json] = []
    for event in events:
        kept = {name: value for name, value in event.items() if name not in missing}
        if "id" in missing and "item" in kept:
            kept["item"] = {name: value for name, value in kept["item"].items() if name != "id"}
        stripped.append(kept)
    final = data.draw(st.sampled_from([output, [], None]))
    response = checked(_run(assemble(), _sse(_with_ends(stripped, final))))[-1]["response"]
    assert _told(response["output"]) == _told(output)


_DROPPABLE = (".added", "_text.done", ".refusal.done", "_part.done", "arguments.done", "input.done")


@given(answer=_answers(), data=st.data())
def test_missing_events_are_repaired_from_those_that_came(
    answer: tuple[list[Json], list[Json]], data: st.DataObject, assemble: Assemble, checked: Checked
) -> None:
    events, output = answer
    dropped = tuple(data.draw(st.sets(st.sampled_from([*_DROPPABLE, ".delta"]))))
    kept = [e for e in events if not e["type"].endswith(dropped)] if dropped else events
    response = checked(_run(assemble(), _sse(_with_ends(kept, data.draw(st.sampled_from([output, []]))))))[-1][
        "response"
    ]
    assert sorted(_told(response["output"])) == sorted(_told(output))


@given(answer=_answers())
def test_an_upstream_that_only_completes_tells_everything(
    answer: tuple[list[Json], list[Json]], assemble: Assemble, checked: Checked
) -> None:
    response = checked(_run(assemble(), _sse(_with_ends([], answer[1]))))[-1]["response"]
    assert _told(response["output"]) == _told(answer[1])


@given(answer=_answers(), data=st.data())
@settings(max_examples=200)
def test_a_sloppy_upstream_can_not_make_an_invalid_sequence(
    answer: tuple[list[Json], list[Json]], data: st.DataObject, assemble: Assemble, checked: Checked
) -> None:
    events, output = answer
    sloppy: list[Json] = []
    for original in events:
        event: Json = orjson.loads(orjson.dumps(original))
        for _ in range(data.draw(st.sampled_from([0, 1, 1, 1, 2]))):
            change = data.draw(st.sampled_from(["none", "none", "strip", "zero", "other", "null"]))
            name = data.draw(st.sampled_from(sorted(event)))
            if change == "strip" and name != "type":
                event = {key: value for key, value in event.items() if key != name}
            elif change == "null" and name != "type":
                event = {**event, name: None}
            elif change == "zero" and "output_index" in event:
                event = {**event, "output_index": 0}
            elif change == "other" and "item_id" in event:
                event = {**event, "item_id": "other"}
            elif change == "other" and isinstance(event.get("item"), dict):
                event = {**event, "item": {**event["item"], "id": data.draw(st.sampled_from(["other", "", None]))}}
            sloppy.append(event)
    if data.draw(st.booleans()):
        sloppy = data.draw(st.permutations(sloppy))
    final = data.draw(st.sampled_from([output, [], None, output[::-1]]))
    checked(
        _run(
            assemble(),
            _sse(_with_ends(sloppy, final, data.draw(st.sampled_from(["completed", "incomplete", "failed"])))),
        )
    )


@given(answer=_answers(), cuts=st.lists(st.integers(0, 2**16), max_size=30))
def test_any_chunking_of_the_bytes_gives_the_same_events(
    answer: tuple[list[Json], list[Json]], cuts: list[int], assemble: Assemble
) -> None:
    body = _sse(_with_ends(*answer))
    assert _run(assemble(), body, cuts) == _run(assemble(), body)


@given(answer=_answers(), cut=st.integers(0, 2**16))
def test_a_cut_anywhere_fails_and_keeps_what_came(
    answer: tuple[list[Json], list[Json]], cut: int, assemble: Assemble, checked: Checked
) -> None:
    body = _sse(_with_ends(*answer))
    assembly = assemble()
    stream = ResponsesStream(assembly)
    events = stream.feed(body[: cut % (len(body) - 2)]) + stream.close()
    assert stream.committed == bool(events)
    assert assembly.started == bool(events)
    assert stream.failure is not None
    checked(events + assembly.fail(stream.failure.error))


@given(answer=_answers())
def test_a_whole_body_gives_the_same_output_as_the_stream(
    answer: tuple[list[Json], list[Json]], assemble: Assemble, checked: Checked
) -> None:
    events, output = answer
    assembly = assemble()
    stream = ResponsesStream(assembly)
    whole = stream.whole(orjson.dumps({"id": "resp_up", "status": "completed", "output": output}))
    assert stream.ending is not None
    plain = checked(whole + assembly.finish(stream.ending, now=1))[-1]["response"]["output"]
    streamed = checked(_run(assemble(), _sse(_with_ends(events, output))))[-1]["response"]["output"]
    assert plain == streamed


_json: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers(-2, 3) | st.text(max_size=3),
    lambda inner: (
        st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from(["id", "type", "text"]), inner, max_size=2)
    ),
    max_leaves=4,
)
_EVENT_TYPES = [
    *(f"{name}{end}" for name in _NAMES.values() for end in (".delta", ".done")),
    *("response.content_part.added", "response.content_part.done", "response.output_item.added"),
    *("response.output_item.done", "response.function_call_arguments.delta", "response.mcp_call_arguments.delta"),
    *("response.reasoning_part.added", "response.output_text.annotation.added", "response.x.y", 'bad"type', "ping"),
]
_ITEM_FIELDS = ("id", "content", "role", "call_id", "name", "arguments", "summary", "tokenbus:choice")
_FIELDS = ("delta", "text", "item_id", "output_index", "content_index", "annotation", "logprobs")
_garbage: st.SearchStrategy[Json] = st.fixed_dictionaries(
    {"type": st.sampled_from(_EVENT_TYPES)},
    optional={
        **{name: _json for name in _FIELDS},  # noqa: C420 fromkeys would lose the types
        "part": st.fixed_dictionaries({"type": st.sampled_from([*_KEYS, "other"])}, optional={"text": _json}),
        "item": st.fixed_dictionaries(
            {"type": st.sampled_from(["message", "reasoning", "function_call", "tokenbus:forged"])},
            optional={name: _json for name in _ITEM_FIELDS},  # noqa: C420 as above
        ),
    },
)


@given(events=st.lists(_garbage, max_size=12))
@settings(max_examples=200)
def test_garbage_raises_nothing_and_makes_no_invalid_sequence(events: list[Json], assemble: Assemble) -> None:
    made = _run(assemble(), _sse(_with_ends(events, [])))
    lifecycle = LifecycleCheck()
    for number, event in enumerate(made):
        lifecycle.feed(orjson.loads(encode(event, number)))
    lifecycle.close()
