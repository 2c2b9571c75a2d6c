"""LiveKit's headers, end to end: what an agent says of itself and wishes for, and what it is answered."""

import json

import openai
import pytest
from openai import OpenAI
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from websockets.asyncio.client import connect

from tests.client.answerer import Answerer
from tests.conftest import eventually
from tests.gateway.answers import whole
from tests.gateway.conftest import ScriptedGateway
from tests.gateway.http_wire import connected

IDS = {
    "X-LiveKit-Room-ID": "RM_1",
    "X-LiveKit-Job-ID": "AJ_2",
    "X-LiveKit-Agent-ID": "PA_3",
    "X-LiveKit-Session-ID": "inference_4",
}
ATTRIBUTES = {"lk.room_id": "RM_1", "lk.job_id": "AJ_2", "lk.agent_id": "PA_3", "lk.session_id": "inference_4"}
WISHES = {"X-LiveKit-Inference-Provider": "azure", "X-LiveKit-Inference-Priority": "low"}
SECRET = {"X-LiveKit-Worker-Token": "worker-secret"}
BODIES = {
    "/v1/responses": {"model": "openai/gpt-4.1-mini", "input": "Hi"},
    "/v1/chat/completions": {"model": "openai/gpt-4.1-mini", "messages": [{"role": "user", "content": "Hi"}]},
}


@pytest.fixture
def spans(monkeypatch: pytest.MonkeyPatch) -> InMemorySpanExporter:
    """What the gateway traces. The SDK's own switch holds for a whole process, and so for all tests."""
    exporter, provider = InMemorySpanExporter(), TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    monkeypatch.setattr("tokenbus_gateway.tracing._TRACER", provider.get_tracer("test"))
    return exporter


def check_span(spans: InMemorySpanExporter, traceparent: str | None) -> None:
    """One span has the ids, and the bus carries it on."""
    (span,) = spans.get_finished_spans()
    attributes = dict(span.attributes or {})
    assert {name: attributes[name] for name in ATTRIBUTES} == ATTRIBUTES
    assert "worker-secret" not in span.to_json()
    assert span.context is not None
    assert (traceparent or "").startswith(f"00-{span.context.trace_id:032x}-{span.context.span_id:016x}-")


@pytest.mark.parametrize("path", BODIES)
async def test_over_http_they_pin_class_and_trace(
    gateway: ScriptedGateway, answerer: Answerer, spans: InMemorySpanExporter, path: str
) -> None:
    async with connected(gateway.port) as wire:
        await wire.post(path, BODIES[path], headers={**IDS, **WISHES, **SECRET})
        request = await answerer.requests.get()
        await answerer.publish(request.headers, whole(request.headers, ["Hi"]))
        status, _, _ = await wire.reply()
    assert status == 200
    assert request.body == {**BODIES[path], "tokenbus": {"provider": "azure"}}
    assert request.priority_class == "low"
    check_span(spans, request.headers.traceparent)


async def test_over_a_websocket_those_of_the_handshake_hold_for_each_turn(
    gateway: ScriptedGateway, answerer: Answerer, spans: InMemorySpanExporter
) -> None:
    headers = {**IDS, **WISHES, **SECRET}
    async with connect(f"ws://127.0.0.1:{gateway.port}/v1/responses", additional_headers=headers) as socket:
        for _ in range(2):
            spans.clear()
            await socket.send(json.dumps({"type": "response.create", **BODIES["/v1/responses"]}))
            request = await answerer.requests.get()
            await answerer.publish(request.headers, whole(request.headers, ["Hi"]))
            while json.loads(await socket.recv())["type"] != "response.completed":
                pass
            assert request.body["tokenbus"] == {"provider": "azure"}
            assert request.priority_class == "low"
            await eventually(lambda: bool(spans.get_finished_spans()))
            check_span(spans, request.headers.traceparent)


def test_the_pinned_provider_answers_and_no_other(gateway_url: str) -> None:
    with OpenAI(base_url=gateway_url, api_key="any", max_retries=0, timeout=30) as client:
        pinned = {"X-LiveKit-Inference-Provider": "openai"}
        response = client.responses.create(model="openai/sim@tokens:4", input="x", extra_headers=pinned)
        assert response.model_dump()["tokenbus"]["provider"] == "openai"
        with pytest.raises(openai.APIStatusError) as refused:
            client.responses.create(
                model="openai/sim@tokens:4", input="x", extra_headers={"X-LiveKit-Inference-Provider": "nobody"}
            )
    assert refused.value.status_code in (400, 404)
    assert "nobody" in refused.value.message
