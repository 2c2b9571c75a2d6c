"""What LiveKit traces and what the services do stand in one trace."""

from livekit.agents import llm, telemetry
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

import tokenbus
from tests.client.answerer import answering
from tests.gateway.answers import whole
from tokenbus.bus import Bus
from tokenbus_livekit import LLM


async def test_the_span_of_an_attempt_is_the_parent_of_its_request(bus: Bus, nats_url: str, root: str) -> None:
    spans, provider = InMemorySpanExporter(), TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(spans))
    telemetry.set_tracer_provider(provider)
    context = llm.ChatContext.empty()
    context.add_message(role="user", content="hi")
    async with (
        answering(bus, root=root) as answerer,
        tokenbus.connect(nats_url, root=root) as client,
        LLM("openai/gpt-4.1-mini", client=client).chat(chat_ctx=context) as stream,
    ):
        request = await answerer.requests.get()
        await answerer.publish(request.headers, whole(request.headers, ["Hi"]))
        said = [chunk.delta.content async for chunk in stream if chunk.delta is not None]
    assert said == ["Hi"]
    (attempt,) = [span for span in spans.get_finished_spans() if span.name == "llm_request_run"]
    assert attempt.context is not None
    parent = f"00-{attempt.context.trace_id:032x}-{attempt.context.span_id:016x}-"
    assert (request.headers.traceparent or "").startswith(parent)
