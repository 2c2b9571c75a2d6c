"""Every quirk, in the stream and in the plain answer."""

from collections.abc import Callable
from typing import Any

import aiohttp
import orjson
import pytest

from tokenbus_simulator.quirks import QUIRKS

Events = Callable[[bytes], list[dict[str, Any]]]

RICH = "sim;reasoning=2;summary=2;tokens=3;call=f;quirk="


async def stream_of(http: aiohttp.ClientSession, quirk: str, *, path: str = "responses") -> bytes:
    request: dict[str, Any] = {"model": RICH + quirk, "stream": True}
    if path == "chat/completions":
        request |= {"messages": [{"role": "user", "content": "Hi"}], "stream_options": {"include_usage": True}}
    async with http.post(path, json=request) as answer:
        assert answer.status == 200
        return await answer.read()


@pytest.mark.parametrize(
    ("quirk", "missing"),
    [
        ("no-item-ids", b'"item_id"'),
        ("no-output-index", b'"output_index"'),
        ("no-sequence", b'"sequence_number"'),
        ("no-logprobs", b'"logprobs"'),
        ("no-usage", b'"usage"'),
        ("done-only", b'.delta"'),
        ("no-event-lines", b"event: "),
    ],
)
async def test_what_a_quirk_leaves_out_of_a_responses_stream_is_gone(
    http: aiohttp.ClientSession, quirk: str, missing: bytes
) -> None:
    assert missing in await stream_of(http, "crlf")
    assert missing not in await stream_of(http, quirk)


async def test_without_item_ids_items_have_none_either_but_the_response_keeps_its_own(
    http: aiohttp.ClientSession, parse_sse: Events
) -> None:
    events = parse_sse(await stream_of(http, "no-item-ids"))
    items = [event["item"] for event in events if "item" in event] + events[-1]["response"]["output"]
    assert len(items) == 9
    assert not any("id" in item for item in items)
    assert events[-1]["response"]["id"].startswith("resp_")


async def test_empty_output_empties_only_what_the_response_holds(
    http: aiohttp.ClientSession, parse_sse: Events
) -> None:
    events = parse_sse(await stream_of(http, "empty-output"))
    assert events[-1]["type"] == "response.completed"
    assert events[-1]["response"]["output"] == []
    assert events[-1]["response"]["usage"]["output_tokens"] > 0
    assert any(event["type"] == "response.output_text.delta" for event in events)


async def test_unknown_events_stand_between_the_known_ones_unnumbered(
    http: aiohttp.ClientSession, parse_sse: Events
) -> None:
    events = parse_sse(await stream_of(http, "unknown-events"))
    unknown = [event for event in events if event["type"] == "acme:trace_event"]
    assert len(unknown) * 2 == len(events)
    assert not any("sequence_number" in event for event in unknown)


async def test_reasoning_parts_have_vllms_event_names(http: aiohttp.ClientSession, parse_sse: Events) -> None:
    kinds = [event["type"] for event in parse_sse(await stream_of(http, "reasoning-part"))]
    assert kinds.count("response.reasoning_part.added") == kinds.count("response.reasoning_part.done") == 1
    assert kinds.count("response.content_part.added") == 1


async def test_sorted_keys_put_the_type_last(http: aiohttp.ClientSession, parse_sse: Events) -> None:
    events = parse_sse(await stream_of(http, "sorted-keys"))
    assert all(list(event)[-1] == "type" for event in events)


async def test_done_marks_the_end_where_openai_has_no_mark_and_lacks_where_it_has_one(
    http: aiohttp.ClientSession,
) -> None:
    assert (await stream_of(http, "done")).endswith(b"data: [DONE]\n\n")
    assert b"[DONE]" not in await stream_of(http, "no-done", path="chat/completions")


async def test_crlf_ends_every_line(http: aiohttp.ClientSession) -> None:
    stream = await stream_of(http, "crlf")
    assert stream.count(b"\n") == stream.count(b"\r\n") > 10


async def test_a_chat_stream_without_usage_lacks_the_usage_chunk(
    http: aiohttp.ClientSession, parse_sse: Events
) -> None:
    chunks = parse_sse(await stream_of(http, "no-usage", path="chat/completions"))
    assert not any("usage" in chunk for chunk in chunks)
    assert all(chunk["choices"] for chunk in chunks)


async def test_keepalives_come_after_the_first_event_and_bring_nothing(
    http: aiohttp.ClientSession, parse_sse: Events
) -> None:
    events = parse_sse(await stream_of(http, "keepalives"))
    assert [event["type"] for event in events[:4]] == [
        *("response.created", "keepalive", "keepalive"),
        "response.in_progress",
    ]
    assert set(events[1]) == {"type", "sequence_number"}


async def test_eos_stands_where_others_say_stop(http: aiohttp.ClientSession, parse_sse: Events) -> None:
    request = {"model": "sim-eos", "messages": [{"role": "user", "content": "Hi"}], "stream": True}
    async with http.post("chat/completions", json=request) as answer:
        chunks = parse_sse(await answer.read())
    assert chunks[-1]["choices"][0]["finish_reason"] == "eos"


@pytest.mark.parametrize("quirk", QUIRKS)
@pytest.mark.parametrize("path", ["responses", "chat/completions"])
async def test_every_quirk_leaves_valid_json_in_streams_and_plain_answers(
    http: aiohttp.ClientSession, parse_sse: Events, quirk: str, path: str
) -> None:
    assert parse_sse(await stream_of(http, quirk, path=path))
    request = {"model": RICH + quirk, "messages": [{"role": "user", "content": "Hi"}]}
    async with http.post(path, json=request if path == "chat/completions" else {"model": RICH + quirk}) as answer:
        assert answer.status == 200
        assert isinstance(orjson.loads(await answer.read()), dict)


async def test_quirks_add_up(http: aiohttp.ClientSession) -> None:
    stream = await stream_of(http, "no-item-ids;quirk=no-output-index")
    assert b'"item_id"' not in stream
    assert b'"output_index"' not in stream
