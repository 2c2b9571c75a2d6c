"""What the simulator takes as a request, and how it refuses the rest."""

import typing

import aiohttp
import pytest
from openai.types.chat.completion_create_params import CompletionCreateParamsStreaming
from openai.types.responses.response_create_params import ResponseCreateParamsStreaming

from tokenbus_simulator.asked import Turn
from tokenbus_simulator.chat_body import ChatBody
from tokenbus_simulator.responses_body import ResponsesBody

OPEN_RESPONSES_ONLY = {"presence_penalty", "frequency_penalty"}


def test_the_chat_parameters_are_those_of_the_sdk() -> None:
    assert set(ChatBody.model_fields) == set(typing.get_type_hints(CompletionCreateParamsStreaming))


def test_the_responses_parameters_are_those_of_the_sdk_and_open_responses() -> None:
    sdk = set(typing.get_type_hints(ResponseCreateParamsStreaming))
    assert set(ResponsesBody.model_fields) == sdk | OPEN_RESPONSES_ONLY


@pytest.mark.parametrize(
    ("path", "body", "param", "message"),
    [
        ("responses", {"input": "Hi"}, "model", "Missing required parameter: 'model'."),
        ("responses", {"model": "m", "colour": 1}, "colour", "Unknown parameter: 'colour'."),
        ("responses", {"model": "m", "max_output_tokens": 15}, "max_output_tokens", "Invalid value for "),
        ("responses", {"model": "m", "stream": "yes"}, "stream", "Invalid value for 'stream'"),
        ("chat/completions", {"model": "m"}, "messages", "Missing required parameter: 'messages'."),
        ("chat/completions", {"model": "m", "messages": []}, "messages", "Invalid value for 'messages'"),
        (
            "chat/completions",
            {"model": "m", "messages": [{"role": "poet"}]},
            "messages[0].role",
            "Invalid value: 'poet'. ",
        ),
        ("responses", {"model": "sim;speed=1"}, "model", "The script in the model name is wrong: unknown setting "),
        ("responses", [], None, "Invalid value for"),
    ],
)
async def test_a_wrong_request_is_refused_by_parameter_as_openai_does(
    http: aiohttp.ClientSession, path: str, body: object, param: str | None, message: str
) -> None:
    async with http.post(path, json=body) as answer:
        error = (await answer.json())["error"]
        assert answer.status == 400
    assert error["type"] == "invalid_request_error"
    assert error["param"] == param
    assert error["message"].startswith(message)


async def test_a_body_that_is_not_json_is_refused(http: aiohttp.ClientSession) -> None:
    async with http.post("responses", data=b"{model") as answer:
        assert answer.status == 400
        assert (await answer.json())["error"]["message"] == "We could not parse the JSON body of your request."


async def test_a_wrong_script_header_is_refused_with_its_name(http: aiohttp.ClientSession) -> None:
    async with http.post("responses", json={"model": "m"}, headers={"x-simulator-script": "rate=x"}) as answer:
        assert answer.status == 400
        assert "x-simulator-script is wrong: setting 'rate'" in (await answer.json())["error"]["message"]


async def test_an_unknown_path_gives_404_in_openais_form(http: aiohttp.ClientSession) -> None:
    async with http.get("nothing/here") as answer:
        assert answer.status == 404
        assert (await answer.json())["error"]["code"] == "unknown_url"


def test_the_turn_of_a_responses_request_counts_rounds_of_outputs_since_the_last_user_message() -> None:
    def call(number: int) -> dict[str, object]:
        return {"type": "function_call", "call_id": f"c{number}", "name": "f", "arguments": "{}"}

    def output(number: int) -> dict[str, object]:
        return {"type": "function_call_output", "call_id": f"c{number}", "output": f"o{number}"}

    before: list[dict[str, object]] = [
        {"role": "user", "content": "old"},
        call(0),
        output(0),
        {"role": "assistant", "content": "done"},
    ]
    now: list[dict[str, object]] = [{"role": "user", "content": [{"type": "input_text", "text": "new"}]}]
    rounds = [call(1), call(2), output(1), output(2), call(3), output(3)]
    body = ResponsesBody.model_validate({"model": "m", "input": before + now + rounds})
    assert body.asked(body.items()).turn == Turn("new", ("o1", "o2", "o3"), 2)


def test_the_turn_of_a_chat_request_counts_the_same() -> None:
    def calls(*numbers: int) -> list[dict[str, object]]:
        asking: dict[str, object] = {"role": "assistant", "tool_calls": [{"id": f"c{number}"} for number in numbers]}
        return [asking, *({"role": "tool", "tool_call_id": f"c{n}", "content": f"o{n}"} for n in numbers)]

    messages = [{"role": "user", "content": "old"}, *calls(0), {"role": "user", "content": "new"}]
    body = ChatBody.model_validate({"model": "m", "messages": messages + calls(1, 2) + calls(3)})
    assert body.asked().turn == Turn("new", ("o1", "o2", "o3"), 2)
