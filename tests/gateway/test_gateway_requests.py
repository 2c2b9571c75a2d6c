"""What the gateway reads of a request before it asks the bus, and what it puts on the bus."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.client.answerer import Answerer
from tests.gateway.answers import queued, whole
from tests.gateway.conftest import ScriptedGateway
from tests.gateway.http_wire import connected
from tokenbus_gateway.asked import parse_body, payload_of, take_asked
from tokenbus_gateway.wishes import read_wishes, trace_attributes
from tokenbus_schemas import ErrorCode, RequestError

Json = dict[str, Any]
MODEL = "openai/gpt-4.1-mini"
RESPONSES: Json = {"model": MODEL, "input": "Hi"}
CHAT: Json = {"model": MODEL, "messages": [{"role": "user", "content": "Hi"}]}

_json = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53), 2**53)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


async def refused(gateway: ScriptedGateway, path: str, body: object, **headers: str) -> tuple[int, Json]:
    async with connected(gateway.port) as wire:
        await wire.post(path, body, headers=headers)
        status, found, error = await wire.reply()
    assert "x-request-id" in found
    return status, error["error"]


async def test_a_request_goes_onto_the_bus_as_it_came(gateway: ScriptedGateway, answerer: Answerer) -> None:
    body = {**RESPONSES, "temperature": 0.5, "tools": [{"type": "function", "name": "f"}], "tokenbus": {"api": "auto"}}
    async with connected(gateway.port) as wire:
        await wire.post("/v1/responses", {**body, "stream": True, "stream_options": {"include_obfuscation": False}})
        request = await answerer.requests.get()
    assert request.body == body
    assert (request.priority_class, request.headers.timeout_s) == ("priority", 600)


async def test_headers_choose_provider_class_and_time(gateway: ScriptedGateway, answerer: Answerer) -> None:
    headers = {
        "X-LiveKit-Inference-Provider": "azure",
        "X-LiveKit-Inference-Priority": "low",
        "Tokenbus-Timeout": "12.5",
        "traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        "X-LiveKit-Room-ID": "RM_1",
    }
    async with connected(gateway.port) as wire:
        await wire.post("/v1/chat/completions", CHAT, headers=headers)
        request = await answerer.requests.get()
    assert request.body == {**CHAT, "tokenbus": {"provider": "azure"}}
    assert request.priority_class == "low"
    assert request.headers.timeout_s == 12.5
    assert request.headers.traceparent == headers["traceparent"]
    assert "RM_1" not in json.dumps(request.body)


async def test_a_pin_in_the_body_is_stronger(gateway: ScriptedGateway, answerer: Answerer) -> None:
    async with connected(gateway.port) as wire:
        body = {**CHAT, "tokenbus": {"provider": "openai", "api": "auto"}}
        await wire.post("/v1/chat/completions", body, headers={"X-LiveKit-Inference-Provider": "azure"})
        request = await answerer.requests.get()
    assert request.body["tokenbus"] == {"provider": "openai", "api": "auto"}


@pytest.mark.parametrize(
    ("path", "body", "code", "param"),
    [
        ("/v1/responses", b"{", "invalid_json", None),
        ("/v1/responses", b"", "invalid_json", None),
        ("/v1/responses", b"\xff\xfe", "invalid_json", None),
        ("/v1/responses", b'{"model": "\\ud800"}', "invalid_json", None),
        ("/v1/responses", b"[" * 100_000, "invalid_json", None),
        ("/v1/responses", [], "invalid_json", None),
        ("/v1/responses", {"input": "Hi"}, "missing_required_parameter", "model"),
        ("/v1/responses", {**RESPONSES, "model": 5}, "invalid_value", "model"),
        ("/v1/responses", {**RESPONSES, "stream": "yes"}, "invalid_value", "stream"),
        ("/v1/responses", {**RESPONSES, "stream_options": []}, "invalid_value", "stream_options"),
        ("/v1/responses", CHAT, "unknown_parameter", "messages"),
        ("/v1/chat/completions", RESPONSES, "unknown_parameter", "input"),
        (
            "/v1/chat/completions",
            {**CHAT, "stream_options": {"include_usage": 1}},
            "invalid_value",
            "stream_options.include_usage",
        ),
    ],
)
async def test_a_wrong_body_is_refused_with_its_field(
    gateway: ScriptedGateway, answerer: Answerer, path: str, body: object, code: str, param: str | None
) -> None:
    status, error = await refused(gateway, path, body)
    assert (status, error["code"], error["param"]) == (400, code, param)
    assert answerer.requests.empty()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("X-LiveKit-Inference-Priority", "urgent"),
        ("Tokenbus-Timeout", "soon"),
        ("Tokenbus-Timeout", "0"),
        ("Tokenbus-Timeout", "1e9"),
        ("Tokenbus-Timeout", "nan"),
        ("Tokenbus-On-Disconnect", "maybe"),
        ("Tokenbus-On-Disconnect", "grace"),
        ("Tokenbus-On-Disconnect", "grace:-1"),
        ("Tokenbus-On-Disconnect", "grace:nan"),
        ("Content-Type", "text/plain"),
        ("Content-Type", ""),
        ("Content-Encoding", "gzip"),
    ],
)
async def test_a_wrong_header_is_refused_with_its_name(gateway: ScriptedGateway, name: str, value: str) -> None:
    status, error = await refused(gateway, "/v1/responses", RESPONSES, **{name: value})
    assert (status, error["code"], error["param"]) == (400, "invalid_header", name)


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/", 404),
        ("GET", "/v1/unknown", 404),
        ("GET", "/v1/responses", 405),
        ("PUT", "/v1/chat/completions", 405),
        ("GET", "/v1/responses/resp_nobody", 404),
        ("GET", "/v1/responses/not-an-id", 404),
        ("GET", "/v1/responses/resp_a%20b", 404),
        ("GET", "/v1/responses/resp_x?stream=true&starting_after=-5", 400),
        ("GET", "/v1/responses/resp_x?stream=true&starting_after=x", 400),
        ("POST", "/v1/responses/resp_nobody/cancel", 404),
        ("DELETE", "/v1/responses/resp_x", 404),
        ("DELETE", "/v1/responses/x", 404),
        ("GET", "/v1/responses/resp_x/input_items", 404),
        ("GET", "/v1/responses/resp_x/input_items?limit=0", 400),
        ("GET", "/v1/responses/resp_x/input_items?limit=ten", 400),
        ("GET", "/v1/responses/resp_x/input_items?order=up", 400),
        ("POST", "/v1/responses/compact", 400),
        ("GET", "/v1/models/nobody/knows-it", 404),
    ],
)
async def test_what_is_not_there_is_refused_in_openais_shape(
    gateway: ScriptedGateway, answerer: Answerer, method: str, path: str, status: int
) -> None:
    answerer.cancel_status = "unknown"
    async with connected(gateway.port) as wire:
        await wire.send(method, path, headers={"Host": "test", "Content-Length": "0"})
        found, _, body = await wire.reply()
    assert found == status
    assert body["error"].keys() == {"message", "type", "param", "code"}


async def test_a_whole_response_is_the_resource_of_its_last_event(gateway: ScriptedGateway, answerer: Answerer) -> None:
    async with connected(gateway.port) as wire:
        await wire.post("/v1/responses", RESPONSES)
        request = (await answerer.requests.get()).headers
        lines = whole(request, ["a ", "b }"])
        for line in lines:
            await answerer.publish(request, [line])
        status, headers, body = await wire.reply()
    assert (status, body) == (200, lines[-1].data["response"])
    assert headers["x-request-id"] == request.request_id


async def test_the_models_of_the_catalog_are_listed(gateway: ScriptedGateway) -> None:
    async with connected(gateway.port) as wire:
        _, _, listed = await (await wire.get("/v1/models")).reply()
        _, _, one = await (await wire.get(f"/v1/models/{MODEL}")).reply()
    assert listed == {"object": "list", "data": [one]}
    assert one == {
        "id": MODEL,
        "object": "model",
        "created": 0,
        "owned_by": "openai",
        "tokenbus": {"providers": ["openai", "azure"]},
    }


async def test_a_cancel_answers_with_the_response_as_it_ended(gateway: ScriptedGateway, answerer: Answerer) -> None:
    async with connected(gateway.port) as asking, connected(gateway.port) as cancelling:
        await asking.post("/v1/responses", {**RESPONSES, "stream": True})
        request = (await answerer.requests.get()).headers
        lines = whole(request, ["Hi"])
        await answerer.publish(request, lines[:6])
        await asking.head()
        await cancelling.post(f"/v1/responses/resp_{request.request_id}/cancel", {})
        assert await answerer.cancels.get() == request.request_id
        await answerer.publish(request, lines[6:])
        status, _, body = await cancelling.reply()
    assert (status, body) == (200, lines[-1].data["response"])


async def test_a_head_request_has_no_body(gateway: ScriptedGateway, answerer: Answerer) -> None:
    async with connected(gateway.port) as wire:
        await wire.post("/v1/responses", {**RESPONSES, "stream": True})
        request = (await answerer.requests.get()).headers
        await answerer.publish(request, whole(request, ["Hi"]))
        await wire.head()
        await wire.chunks()
        path = f"/v1/responses/resp_{request.request_id}"
        for query in ("", "?stream=true"):
            await wire.send("HEAD", path + query, headers={"Host": "test"})
            assert (await wire.head())[0] == 200
        status, _, body = await (await wire.get(path)).reply()
    assert (status, body["status"]) == (200, "completed")


async def test_a_response_that_is_being_written_can_be_read(gateway: ScriptedGateway, answerer: Answerer) -> None:
    async with connected(gateway.port) as asking, connected(gateway.port) as reading:
        await asking.post("/v1/responses", {**RESPONSES, "stream": True})
        request = (await answerer.requests.get()).headers
        await answerer.publish(request, whole(request, ["Hi"])[:6])
        await asking.head()
        _, _, body = await (await reading.get(f"/v1/responses/resp_{request.request_id}")).reply()
    assert (body["id"], body["status"]) == (f"resp_{request.request_id}", "in_progress")


async def test_input_items_come_in_pages(gateway: ScriptedGateway, answerer: Answerer) -> None:
    async with connected(gateway.port) as wire:
        await wire.post("/v1/responses", {**RESPONSES, "stream": True})
        request = (await answerer.requests.get()).headers
        await answerer.publish(request, whole(request, ["Hi"]))
        await wire.head()
        await wire.chunks()
        path = f"/v1/responses/resp_{request.request_id}/input_items"
        pages: list[Json] = []
        for query in ("?limit=2&order=asc", "?after=b&include[]=reasoning.encrypted_content"):
            await wire.get(path + query)
            pages.append((await wire.reply())[2])
    assert [(page["object"], page["first_id"], page["last_id"], page["has_more"]) for page in pages] == [
        ("list", "a", "b", True),
        ("list", "c", "c", False),
    ]


async def test_a_background_request_is_answered_when_it_is_queued(gateway: ScriptedGateway, answerer: Answerer) -> None:
    """And its client may go: nobody cancels it."""
    async with connected(gateway.port) as wire:
        await wire.post("/v1/responses", {**RESPONSES, "background": True})
        request = await answerer.requests.get()
        assert request.body["background"] is True
        assert request.headers.timeout_s == 3600
        lines = queued(request.headers)
        await answerer.publish(request.headers, lines)
        status, _, body = await wire.reply()
    assert (status, body) == (200, lines[-1].data["response"])
    async with connected(gateway.port) as wire:
        await wire.post("/v1/responses", {**RESPONSES, "background": True, "stream": True})
        request = await answerer.requests.get()
        await answerer.publish(request.headers, queued(request.headers))
        assert (await wire.head())[0] == 200
    async with connected(gateway.port) as wire:
        await wire.get("/v1/models")
        await wire.reply()
    assert answerer.cancels.empty()


@given(
    st.dictionaries(
        st.text().filter(lambda name: name not in {"stream", "stream_options", "messages", "model", "background"}),
        _json,
    )
)
def test_any_other_field_passes_unread(fields: Json) -> None:
    body = parse_body(json.dumps({**fields, "model": MODEL}))
    asked = take_asked(body, api="responses", provider=None)
    assert (asked.model, asked.stream, asked.include_usage) == (MODEL, False, False)
    assert json.loads(payload_of(body)) == {**fields, "model": MODEL}


def test_what_is_checked_is_what_is_sent() -> None:
    body = parse_body(b'{"model": "openai/cheap", "model": "openai/dear", "input": "x"}')
    asked = take_asked(body, api="responses", provider=None)
    assert json.loads(payload_of(body))["model"] == asked.model


def test_a_body_nested_too_deep_is_refused_by_name() -> None:
    nested: object = []
    for _ in range(300):
        nested = [nested]
    with pytest.raises(RequestError) as caught:
        payload_of({"model": MODEL, "input": nested})
    assert caught.value.body.code is ErrorCode.INVALID_VALUE


def test_the_ids_of_an_agent_become_trace_attributes_bounded_in_length() -> None:
    headers = {"x-livekit-room-id": "R" * 1000, "x-livekit-job-id": "J", "x-livekit-session-id": ""}
    assert trace_attributes(headers) == {"lk.room_id": "R" * 256, "lk.job_id": "J"}
    assert read_wishes({}).on_disconnect == "cancel"
