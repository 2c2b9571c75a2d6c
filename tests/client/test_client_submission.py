"""Publishing a request: what is refused, what is repeated, and what its headers say."""

import asyncio
import math

import pytest
from opentelemetry import context, trace
from opentelemetry.trace import NonRecordingSpan, SpanContext, TraceFlags
from pydantic import BaseModel

import tokenbus
from tests.client.answerer import Answerer
from tokenbus.bus import Bus, Message, StreamSpec
from tokenbus.params import with_recovery
from tokenbus_schemas import MAX_REQUEST_BYTES, ErrorCode
from tokenbus_schemas.requests import Recovery

MODEL = "openai/gpt-4.1-mini"


async def test_without_a_stream_the_error_asks_for_the_router(nats_url: str, root: str) -> None:
    async with tokenbus.connect(nats_url, root=root) as client:
        with pytest.raises(tokenbus.NoRouterError, match="is the router running") as caught:
            await client.respond(model=MODEL, input="Hi")
    assert caught.value.subject == f"{root}.requests.default.standard"


async def test_a_request_over_the_limit_is_refused_before_it_is_sent(
    client: tokenbus.Client, answerer: Answerer
) -> None:
    with pytest.raises(tokenbus.RequestTooLargeError) as caught:
        await client.respond(model=MODEL, input="x" * MAX_REQUEST_BYTES)
    assert caught.value.code is ErrorCode.PAYLOAD_TOO_LARGE
    assert caught.value.size > caught.value.limit == MAX_REQUEST_BYTES
    assert answerer.requests.empty()
    assert answerer.cancels.empty(), "what never ran needs no cancel"


async def test_a_full_queue_is_refused_with_advice(nats_url: str, root: str, bus: Bus) -> None:
    subjects = (f"{root}.requests.>",)
    await bus.ensure_stream(StreamSpec(f"{root.upper()}_REQUESTS", subjects, max_messages=1, discard="new"))
    async with tokenbus.connect(nats_url, root=root) as client:
        await leave_running(client)
        with pytest.raises(tokenbus.OverloadedError, match="the request queue is full") as caught:
            await client.respond(model=MODEL, input="second")
    assert caught.value.retry_after_s > 0


async def test_a_lost_acknowledgement_is_answered_by_sending_the_same_again(nats_url: str, root: str, bus: Bus) -> None:
    sent: list[Message] = []

    async def lose_the_first_ack(message: Message) -> None:
        sent.append(message)
        if len(sent) > 1:
            await bus.publish(message.reply, b'{"stream":"REQUESTS","seq":1}')

    await bus.subscribe(f"{root}.requests.>", lose_the_first_ack)
    await bus.flush()
    async with tokenbus.connect(nats_url, root=root) as client:
        await leave_running(client)
    assert len(sent) == 2
    assert sent[0].data == sent[1].data
    assert sent[0].headers == sent[1].headers


async def test_a_request_joins_the_current_trace(client: tokenbus.Client, answerer: Answerer) -> None:
    span = NonRecordingSpan(SpanContext(0xA1, 0xB2, is_remote=False, trace_flags=TraceFlags(1)))
    token = context.attach(trace.set_span_in_context(span))
    try:
        stream = client.stream(model=MODEL, input="Hi")
    finally:
        context.detach(token)
    async with stream:
        request = await answerer.requests.get()
    assert request.headers.traceparent == f"00-{0xA1:032x}-{0xB2:016x}-01"


async def test_without_a_trace_no_trace_header_is_sent(client: tokenbus.Client, answerer: Answerer) -> None:
    async with client.stream(model=MODEL, input="Hi"):
        assert (await answerer.requests.get()).headers.traceparent is None


async def test_models_of_other_libraries_are_taken_as_input(client: tokenbus.Client, answerer: Answerer) -> None:
    class Item(BaseModel):
        role: str
        content: str

    async with client.stream(model=MODEL, input=[Item(role="user", content="Hi")]):
        assert (await answerer.requests.get()).body["input"] == [{"role": "user", "content": "Hi"}]


async def test_a_value_that_json_has_not_is_refused(client: tokenbus.Client) -> None:
    with pytest.raises(tokenbus.InvalidRequestError, match="request: holds a value that JSON has not"):
        client.stream({"model": MODEL, "input": object()})


@pytest.mark.parametrize("timeout_s", [0, -1, 3601, math.nan, math.inf])
async def test_a_timeout_out_of_range_is_refused(client: tokenbus.Client, timeout_s: float) -> None:
    with pytest.raises(tokenbus.InvalidRequestError, match="timeout_s: must be more than 0 and at most 3600 seconds"):
        client.stream(model=MODEL, input="Hi", timeout_s=timeout_s)


@pytest.mark.parametrize("request_id", ["", "a b", "a.b", "*", ">", "ä", "x" * 65])
async def test_a_request_id_that_is_no_subject_token_is_refused(client: tokenbus.Client, request_id: str) -> None:
    with pytest.raises(tokenbus.InvalidRequestError, match="request_id: request id"):
        client.stream(model=MODEL, input="Hi", request_id=request_id)


async def test_request_ids_are_random_and_different(client: tokenbus.Client, answerer: Answerer) -> None:
    streams = [client.stream(model=MODEL, input="Hi") for _ in range(100)]
    assert len({stream.request_id for stream in streams}) == 100
    assert all(len(stream.request_id) >= 32 for stream in streams)


async def test_a_client_that_is_not_open_says_so(bus: Bus, root: str) -> None:
    with pytest.raises(RuntimeError, match="inside `async with`"):
        tokenbus.Client(bus, root=root).stream(model=MODEL, input="Hi")


async def test_models_come_with_their_providers(client: tokenbus.Client) -> None:
    (model,) = await client.models()
    assert (model.id, model.providers) == ("openai/gpt-4.1-mini", ["openai", "azure"])


async def test_no_server_is_an_error_that_names_it(unused_tcp_port: int) -> None:
    options = tokenbus.BusOptions(connect_timeout_s=0.2)
    with pytest.raises(tokenbus.BusUnavailableError, match=f"127.0.0.1:{unused_tcp_port}"):
        async with tokenbus.connect(f"nats://127.0.0.1:{unused_tcp_port}", bus_options=options):
            pass


async def test_a_stream_that_has_no_leader_for_a_moment_takes_the_request_later(bus: Bus, root: str) -> None:
    async with tokenbus.Client(bus, root=root) as client, asyncio.TaskGroup() as tasks:
        asking = tasks.create_task(leave_running(client))
        await asyncio.sleep(0)
        await bus.flush()  # the first try has come to nothing
        await bus.ensure_stream(StreamSpec(f"{root.upper()}_REQUESTS", (f"{root}.requests.>",)))
        await asking


async def leave_running(client: tokenbus.Client) -> None:
    async with client.stream(model=MODEL, input="Hi", on_exit="continue"):
        pass


@pytest.mark.parametrize(
    ("fields", "keyword", "asked"),
    [
        ({}, None, {"recovery": "restart"}),
        ({"tokenbus": {"api": "auto"}}, None, {"api": "auto", "recovery": "restart"}),
        ({"tokenbus": {"recovery": "fail"}}, None, {"recovery": "fail"}),
        ({"tokenbus": {"recovery": "fail"}}, "resume", {"recovery": "resume"}),
        ({"background": True}, None, None),
        ({"background": True}, "restart", {"recovery": "restart"}),
        ({"tokenbus": "wrong"}, None, "wrong"),
    ],
)
def test_a_restart_is_asked_for_unless_the_caller_wants_another_recovery(
    fields: dict[str, object], keyword: Recovery | None, asked: object
) -> None:
    assert with_recovery({"input": "Hi", **fields}, recovery=keyword).get("tokenbus") == asked
