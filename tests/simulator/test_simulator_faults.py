"""Every fault, seen by a raw client: exactly what is sent, and how the connection ends."""

import asyncio
import contextlib
import json
import sys
from collections.abc import Callable
from typing import Any

import aiohttp
import openai as sdk
import pytest
from openai import AsyncOpenAI

from tokenbus_simulator import Fault, Script, Simulator
from tokenbus_simulator.faults import ERROR_REPLIES

Events = Callable[[bytes], list[dict[str, Any]]]

BODIES: dict[str, dict[str, object]] = {
    "/v1/responses": {"model": "sim", "input": "Hi"},
    "/v1/chat/completions": {"model": "sim", "messages": [{"role": "user", "content": "Hi"}]},
}
APIS = pytest.mark.parametrize("path", BODIES)
WAYS = pytest.mark.parametrize("stream", [True, False], ids=["stream", "plain"])
LAST_CHUNK = b"\r\n0\r\n\r\n"


async def read_raw(
    simulator: Simulator, path: str, *, script: str, stream: bool, silence_s: float = 5, enough: int = sys.maxsize
) -> tuple[bytes, str]:
    """The bytes of an answer and how it ended: closed, reset, silent for `silence_s`, or going on after `enough`."""
    reader, writer = await asyncio.open_connection("127.0.0.1", simulator.port)
    body = json.dumps({**BODIES[path], "stream": stream}).encode()
    head = f"POST {path} HTTP/1.1\r\nhost: sim\r\nconnection: close\r\nx-simulator-script: {script}\r\n"
    writer.write(f"{head}content-length: {len(body)}\r\n\r\n".encode() + body)
    received = b""
    try:
        while len(received) < enough:
            async with asyncio.timeout(silence_s):
                data = await reader.read(65536)
            if not data:
                return received, "closed"
            received += data
        return received, "going on"
    except TimeoutError:
        return received, "silent"
    except ConnectionResetError:
        return received, "reset"
    finally:
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()


def payload(answer: bytes) -> bytes:
    """The body of a chunked HTTP answer, put together; what is cut off stays cut off."""
    rest, body = answer.partition(b"\r\n\r\n")[2], b""
    while b"\r\n" in rest:
        size, _, rest = rest.partition(b"\r\n")
        body, rest = body + rest[: int(size, 16)], rest[int(size, 16) + 2 :]
    return body


def deltas(events: list[dict[str, Any]]) -> int:
    """How many tokens of text the events carry."""
    chat = [event["choices"][0]["delta"] for event in events if event.get("choices")]
    return sum(event.get("type") == "response.output_text.delta" for event in events) + sum(
        bool(delta.get("content")) for delta in chat
    )


@APIS
@WAYS
@pytest.mark.parametrize("fault", [fault for fault in ERROR_REPLIES if ERROR_REPLIES[fault].type != "html"])
async def test_an_http_error_has_its_status_and_openais_body(
    simulator: Simulator, path: str, stream: bool, fault: Fault
) -> None:
    expected = ERROR_REPLIES[fault]
    async with (
        aiohttp.ClientSession() as session,
        session.post(
            f"http://127.0.0.1:{simulator.port}{path}",
            json={**BODIES[path], "stream": stream},
            headers={"x-simulator-script": f"fault={fault};retry=3"},
        ) as answer,
    ):
        error = (await answer.json())["error"]
        assert answer.status == expected.status
        assert answer.headers.get("retry-after") == ("3" if expected.waitable else None)
    assert (error["type"], error["code"]) == (expected.type, expected.code)


@pytest.mark.parametrize(
    ("model", "error"),
    [
        ("sim-400", sdk.BadRequestError),
        ("sim-401", sdk.AuthenticationError),
        ("sim-403", sdk.PermissionDeniedError),
        ("sim-404", sdk.NotFoundError),
        ("sim-409", sdk.ConflictError),
        ("sim-429", sdk.RateLimitError),
        ("sim-quota", sdk.RateLimitError),
        ("sim-500", sdk.InternalServerError),
        ("sim-502", sdk.InternalServerError),
        ("sim-503", sdk.InternalServerError),
    ],
)
async def test_the_sdk_raises_the_error_that_belongs_to_the_status(
    openai: AsyncOpenAI, model: str, error: type[sdk.APIStatusError]
) -> None:
    with pytest.raises(error) as caught:
        await openai.responses.create(model=model, input="Hi")
    assert caught.value.request_id is not None
    assert caught.value.request_id.startswith("req_")


async def test_a_bad_gateway_answers_with_a_page_instead_of_json(simulator: Simulator) -> None:
    answer, _ = await read_raw(simulator, "/v1/responses", script="fault=502", stream=True)
    assert answer.startswith(b"HTTP/1.1 502 ")
    assert b"content-type: text/html" in answer.lower()
    assert payload(answer).startswith(b"<html>")


@APIS
@WAYS
async def test_silent_sends_not_a_single_byte(simulator: Simulator, path: str, stream: bool) -> None:
    answer, end = await read_raw(simulator, path, script="fault=silent", stream=stream, silence_s=0.2)
    assert (answer, end) == (b"", "silent")


@APIS
@WAYS
async def test_headers_come_alone(simulator: Simulator, path: str, stream: bool) -> None:
    answer, end = await read_raw(simulator, path, script="fault=headers", stream=stream, silence_s=0.2)
    assert answer.startswith(b"HTTP/1.1 200 OK\r\n")
    assert answer.endswith(b"\r\n\r\n")
    assert (payload(answer), end) == (b"", "silent")


@APIS
@pytest.mark.parametrize(("stream", "sign"), [(True, b": keep-alive\n\n"), (False, b"\n")], ids=["stream", "plain"])
async def test_signs_of_life_go_on_for_ever_without_an_event(
    simulator: Simulator, path: str, stream: bool, sign: bytes
) -> None:
    script = "fault=comments;repeat=1"
    answer, end = await read_raw(simulator, path, script=script, stream=stream, enough=1000)
    assert payload(answer).startswith(sign * 20)
    assert payload(answer).replace(sign, b"") in sign
    assert end == "going on"


@APIS
async def test_stall_without_tokens_sends_only_the_opening(simulator: Simulator, path: str, parse_sse: Events) -> None:
    answer, end = await read_raw(simulator, path, script="fault=stall", stream=True, silence_s=0.2)
    opening = [event.get("type") or event["choices"][0]["delta"]["role"] for event in parse_sse(payload(answer))]
    assert opening in (["response.created", "response.in_progress"], ["assistant"])
    assert end == "silent"


@APIS
@pytest.mark.parametrize(
    ("fault", "end", "complete"),
    [("stall", "silent", False), ("cut", "closed", False), ("reset", "reset", False), ("eof", "closed", True)],
)
async def test_exactly_so_many_tokens_come_before_the_end(
    simulator: Simulator, path: str, parse_sse: Events, fault: str, end: str, complete: bool
) -> None:
    script = f"fault={fault};after=7;tokens=20;rate=1000"
    answer, ended = await read_raw(simulator, path, script=script, stream=True, silence_s=0.3)
    events = parse_sse(payload(answer))
    assert deltas(events) == 7
    assert ended == end
    assert answer.endswith(LAST_CHUNK) == complete
    assert b'finish_reason":"stop' not in answer
    assert b"response.completed" not in answer
    assert b"[DONE]" not in answer


@APIS
@pytest.mark.parametrize(
    ("fault", "end", "complete"),
    [("stall", "silent", False), ("cut", "closed", False), ("reset", "reset", False), ("eof", "closed", True)],
)
async def test_a_plain_answer_loses_its_second_half(
    simulator: Simulator, path: str, fault: str, end: str, complete: bool
) -> None:
    answer, ended = await read_raw(simulator, path, script=f"fault={fault}", stream=False, silence_s=0.3)
    body = payload(answer)
    assert body.startswith(b"{")
    with pytest.raises(json.JSONDecodeError):
        json.loads(body)
    assert ended == end
    assert answer.endswith(LAST_CHUNK) == complete


@pytest.mark.parametrize(
    ("fault", "last"),
    [
        ("error", ["error", "response.failed"]),
        ("error-flat", ["error", "response.failed"]),
        ("failed", ["response.failed"]),
    ],
)
async def test_a_responses_stream_fails_in_the_form_asked_for(
    simulator: Simulator, parse_sse: Events, fault: str, last: list[str]
) -> None:
    answer, _ = await read_raw(simulator, "/v1/responses", script=f"fault={fault};after=2", stream=True)
    events = parse_sse(payload(answer))
    assert deltas(events) == 2
    assert [event["type"] for event in events[-len(last) :]] == last
    assert [event["sequence_number"] for event in events] == list(range(len(events)))
    assert events[-1]["response"]["status"] == "failed"
    if fault == "error":
        assert events[-2]["error"]["code"] == "insufficient_quota"
    elif fault == "error-flat":
        assert events[-2]["code"] == "insufficient_quota"


@pytest.mark.parametrize("fault", ["error", "failed"])
async def test_a_chat_stream_fails_with_an_error_object_and_without_done(
    openai: AsyncOpenAI, simulator: Simulator, fault: str
) -> None:
    script = f"fault={fault};after=2"
    answer, _ = await read_raw(simulator, "/v1/chat/completions", script=script, stream=True)
    assert b"[DONE]" not in answer
    messages: Any = BODIES["/v1/chat/completions"]["messages"]
    stream = await openai.chat.completions.create(model=f"sim;{script}", messages=messages, stream=True)
    with pytest.raises(sdk.APIError, match="quota"):
        async for _ in stream:
            pass


@APIS
async def test_malformed_breaks_one_event_and_goes_on(simulator: Simulator, path: str) -> None:
    answer, _ = await read_raw(simulator, path, script="fault=malformed;after=2;tokens=5", stream=True)
    lines = [line[6:] for line in payload(answer).split(b"\n") if line.startswith(b"data: {")]
    broken: list[int] = []
    for number, line in enumerate(lines):
        try:
            json.loads(line)
        except json.JSONDecodeError:
            broken.append(number)
    assert len(broken) == 1
    assert deltas([json.loads(line) for number, line in enumerate(lines) if number not in broken]) == 4


@APIS
async def test_empties_repeat_the_opening_without_progress(simulator: Simulator, path: str, parse_sse: Events) -> None:
    script = "fault=empties;after=1;repeat=1"
    answer, end = await read_raw(simulator, path, script=script, stream=True, enough=20_000)
    events = parse_sse(payload(answer).rpartition(b"\n\n")[0])
    assert deltas(events) == 1
    assert events[-1] == events[-2]
    assert end == "going on"


async def test_drip_is_slow_without_being_told_a_rate(simulator: Simulator, parse_sse: Events) -> None:
    answer, end = await read_raw(simulator, "/v1/responses", script="fault=drip", stream=True, silence_s=0.3)
    assert deltas(parse_sse(payload(answer))) == 1
    assert end == "silent"


async def test_scripts_from_code_serve_the_next_requests_in_order(simulator: Simulator, openai: AsyncOpenAI) -> None:
    simulator.then(Script(fault=Fault.RATE_LIMIT), Script(text="Second"))
    with pytest.raises(sdk.RateLimitError):
        await openai.responses.create(model="gpt-4.1-mini", input="Hi")
    second = await openai.responses.create(model="gpt-4.1-mini", input="Hi")
    third = await openai.responses.create(model="gpt-4.1-mini", input="Hi")
    assert second.output_text == "Second"
    assert third.output_text != "Second"
