"""What every provider must do in every mode, streamed and in one piece, as far as its capabilities are declared."""

from typing import Any

import orjson
import pytest

from tests.conformance.bench import Answered, Bench
from tests.conformance.capabilities import CAPABILITIES, Capabilities
from tests.conformance.parameter_table import TOOL
from tests.conformance.product_tables import Json
from tokenbus_simulator import Call, Script

pytestmark = pytest.mark.asyncio(loop_scope="session")

everywhere = pytest.mark.parametrize("row", CAPABILITIES, ids=str)
PIXEL = "data:image/gif;base64,R0lGODlhAQABAAAAACH5BAEKAAEALAAAAAABAAEAAAICTAEAOw=="
WEATHER: Json = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "Weather of a city.",
        "parameters": {
            "type": "object",
            "properties": {"city": {"type": "string"}},
            "required": ["city"],
            "additionalProperties": False,
        },
    },
}
CALLS = (Call("get_weather", '{"city":"Ål \\"x\\""}'), Call("get_time", "{}"))
SCHEMA: Json = {
    "type": "object",
    "properties": {"city": {"type": "string"}, "ships": {"type": "integer"}},
    "required": ["city", "ships"],
    "additionalProperties": False,
}
QUESTION: Json = {"type": "message", "role": "user", "content": "When does the ship leave?"}


async def _ask(bench: Bench, row: Capabilities, model: str = "sim", **asked: Any) -> Answered:
    return await bench.ask(f"{row.provider}/{model}", provider=row.provider, api=row.api, **asked)


def _refused(answered: Answered, *, param: str) -> None:
    assert answered.error["param"] == param
    assert param in answered.error["message"]
    assert answered.exchanges == []


@everywhere
async def test_text_arrives_whole(answering: Bench, row: Capabilities) -> None:
    text = 'Ships 🚢 leave "with" the tide:\n\ttwice a day. Ü.'
    answered = (await _ask(answering, row, script=Script(text=text))).completed()

    assert answered.text == text
    facts = answered.response["tokenbus"]
    assert (facts["provider"], facts["api"], facts["model"]) == (row.provider, row.api, "sim")


@everywhere
async def test_a_refusal_arrives_as_a_refusal(answering: Bench, row: Capabilities) -> None:
    answered = (await _ask(answering, row, script=Script(refusal="I can't help with that."))).completed()

    [message] = answered.items("message")
    assert [(part["type"], part.get("refusal")) for part in message["content"]] == [
        ("refusal", "I can't help with that.")
    ]


@everywhere
@pytest.mark.parametrize(("finish", "reason"), [("length", "max_output_tokens"), ("content_filter", "content_filter")])
async def test_an_answer_that_is_cut_short_says_why(
    answering: Bench, row: Capabilities, finish: Any, reason: str
) -> None:
    answered = await _ask(answering, row, script=Script(tokens=9, finish=finish))

    assert answered.response["status"] == "incomplete"
    assert answered.response["incomplete_details"] == {"reason": reason}
    assert answered.text


@everywhere
async def test_usage_adds_up(answering: Bench, row: Capabilities) -> None:
    answered = (await _ask(answering, row, script=Script(tokens=25, reasoning=5))).completed()

    usage = answered.response["usage"]
    assert usage["input_tokens"] > 0
    assert usage["output_tokens"] == 30
    assert usage["total_tokens"] == usage["input_tokens"] + usage["output_tokens"]


@everywhere
async def test_a_function_is_called_and_its_output_goes_back(answering: Bench, row: Capabilities) -> None:
    tools = [{"type": "function", **WEATHER["function"], "strict": False}]
    asked = (await _ask(answering, row, script=Script(calls=CALLS[:1]), input=[QUESTION], tools=tools)).completed()
    [call] = asked.items("function_call")
    assert (call["name"], call["arguments"]) == CALLS[0]

    output = {"type": "function_call_output", "call_id": call["call_id"], "output": "Rain."}
    items = [QUESTION, *asked.output, output]
    answered = (await _ask(answering, row, script=Script(text="It rains."), input=items, tools=tools)).completed()
    assert answered.text == "It rains."
    assert _told_calls(answered, row) == [(call["call_id"], *CALLS[0], "Rain.")]


@everywhere
async def test_parallel_calls_stay_apart(answering: Bench, row: Capabilities) -> None:
    script = Script(calls=CALLS, text="One moment.")
    asked = (await _ask(answering, row, script=script, input=[QUESTION], tools=[WEATHER, TOOL])).completed()
    calls = asked.items("function_call")
    assert [(call["name"], call["arguments"]) for call in calls] == list(CALLS)
    assert len({call["call_id"] for call in calls}) == len(CALLS)
    assert asked.text == "One moment."

    outputs = [
        {"type": "function_call_output", "call_id": call["call_id"], "output": f"{call['name']} done"} for call in calls
    ]
    items = [QUESTION, *asked.output, *outputs]
    answered = (await _ask(answering, row, input=items, tools=[WEATHER, TOOL])).completed()
    assert _told_calls(answered, row) == [
        (call["call_id"], call["name"], call["arguments"], f"{call['name']} done") for call in calls
    ]


def _told_calls(answered: Answered, row: Capabilities) -> list[tuple[Any, ...]]:
    """Calls and their outputs as they reached the provider, in order."""
    body = answered.upstream
    if row.api == "responses":
        outputs = {item["call_id"]: item["output"] for item in body["input"] if item["type"] == "function_call_output"}
        made = [item for item in body["input"] if item["type"] == "function_call"]
        return [(call["call_id"], call["name"], call["arguments"], outputs[call["call_id"]]) for call in made]
    outputs = {message["tool_call_id"]: message["content"] for message in body["messages"] if message["role"] == "tool"}
    [assistant] = [message for message in body["messages"] if message["role"] == "assistant"]
    return [
        (call["id"], call["function"]["name"], call["function"]["arguments"], outputs[call["id"]])
        for call in assistant["tool_calls"]
    ]


@everywhere
async def test_an_image_reaches_the_provider(answering: Bench, row: Capabilities) -> None:
    content = [
        {"type": "input_text", "text": "What is that?"},
        {"type": "input_image", "image_url": PIXEL, "detail": "low"},
    ]
    answered = await _ask(answering, row, input=[{**QUESTION, "content": content}])
    if not row.images:
        _refused(answered, param="input[0].content[1]")
        return
    body = answered.completed().upstream
    if row.api == "responses":
        assert body["input"][0]["content"] == content
    else:
        assert body["messages"][0]["content"] == [
            {"type": "text", "text": "What is that?"},
            {"type": "image_url", "image_url": {"url": PIXEL, "detail": "low"}},
        ]


@everywhere
async def test_structured_output_fits_its_schema(answering: Bench, row: Capabilities) -> None:
    described = {"name": "harbour", "schema": SCHEMA, "strict": True}
    wanted = {"type": "json_schema", "json_schema": described}
    answered = await _ask(answering, row, input="In JSON.", response_format=wanted)
    if not row.schemas:
        _refused(answered, param="response_format")
        return
    body = answered.completed().upstream
    if row.api == "responses":
        assert body["text"]["format"] == {"type": "json_schema", **described}
    else:
        assert body["response_format"] == wanted
    said = orjson.loads(answered.text)
    assert {name: type(value) for name, value in said.items()} == {"city": str, "ships": int}


@everywhere
async def test_json_without_a_schema_is_json(answering: Bench, row: Capabilities) -> None:
    form = {"type": "json_object"}
    answered = (await _ask(answering, row, input="Answer in JSON.", text={"format": form})).completed()

    body = answered.upstream
    assert (body["text"]["format"] if row.api == "responses" else body["response_format"]) == form
    assert isinstance(orjson.loads(answered.text), dict)


@everywhere
async def test_log_probabilities_arrive(answering: Bench, row: Capabilities) -> None:
    answered = await _ask(answering, row, script=Script(tokens=6), logprobs=True, top_logprobs=2)
    if not row.logprobs:
        _refused(answered, param="logprobs")
        return
    [message] = answered.completed().items("message")
    told = message["content"][0]["logprobs"]
    assert "".join(entry["token"] for entry in told) == answered.text
    assert all(entry["logprob"] <= 0 and len(entry["top_logprobs"]) == 2 for entry in told)


@everywhere
async def test_choices_arrive_as_messages_that_say_which_they_are(answering: Bench, row: Capabilities) -> None:
    answered = await _ask(answering, row, script=Script(tokens=5), n=3)
    if not row.n:
        _refused(answered, param="n")
        return
    assert [item["tokenbus:choice"] for item in answered.completed().items("message")] == [0, 1, 2]
    assert all(item["content"][0]["text"] for item in answered.output)


@everywhere
async def test_reasoning_goes_back_as_the_provider_wants_it(answering: Bench, row: Capabilities) -> None:
    sealing: Json = {}
    if row.thoughts == "sealed":
        sealing = {"include": ["reasoning.encrypted_content"], "store": False, "reasoning": {"effort": "low"}}
    script = Script(reasoning=12, calls=CALLS[1:])
    asked = await _ask(answering, row, script=script, input=[QUESTION], tools=[TOOL], **sealing)
    thoughts, call = asked.completed().output
    assert (thoughts["type"], call["type"]) == ("reasoning", "function_call")

    output = {"type": "function_call_output", "call_id": call["call_id"], "output": "Noon."}
    items = [QUESTION, thoughts, call, output]
    answered = (await _ask(answering, row, input=items, tools=[TOOL], **sealing)).completed()
    body = answered.upstream
    if row.thoughts == "sealed":
        assert thoughts["encrypted_content"]
        [sent] = [item for item in body["input"] if item["type"] == "reasoning"]
        assert (sent["id"], sent["encrypted_content"]) == (thoughts["id"], thoughts["encrypted_content"])
        return
    assert thoughts["content"][0]["text"]
    [assistant] = [message for message in body["messages"] if message["role"] == "assistant"]
    told = {name: assistant[name] for name in ("reasoning", "reasoning_content") if name in assistant}
    assert told == ({row.thoughts: thoughts["content"][0]["text"]} if row.thoughts else {})


@pytest.mark.parametrize("model", ["deepseek-reasoner", "deepseek-v4-pro"])
async def test_deepseek_gets_its_thoughts_back_with_the_calls_they_led_to(answering: Bench, model: str) -> None:
    [deepseek] = [row for row in CAPABILITIES if row.provider == "deepseek"]
    asked = await _ask(answering, deepseek, model, input=[QUESTION], tools=[TOOL], script=Script(calls=CALLS[1:]))
    [call] = asked.completed().items("function_call")
    output = {"type": "function_call_output", "call_id": call["call_id"], "output": "Noon."}

    kept = await _ask(answering, deepseek, model, input=[QUESTION, *asked.output, output], tools=[TOOL])
    lost = await _ask(answering, deepseek, model, input=[QUESTION, call, output], tools=[TOOL])
    assert kept.completed().text
    assert lost.error["type"] == "upstream_refused"
    assert "reasoning_content" in lost.error["message"]


@pytest.mark.parametrize("row", [row for row in CAPABILITIES if row.thoughts == "sealed"], ids=str)
async def test_a_reasoning_summary_arrives_beside_the_sealed_thoughts(answering: Bench, row: Capabilities) -> None:
    answered = await _ask(
        answering, row, script=Script(reasoning=9, summary=4), reasoning={"effort": "low", "summary": "auto"}
    )

    [thoughts] = answered.completed().items("reasoning")
    assert thoughts["summary"][0]["text"]
    assert answered.upstream["reasoning"] == {"effort": "low", "summary": "auto"}
