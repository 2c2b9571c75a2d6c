"""Streams of real providers' shapes; recorded/README.md says which are recordings and which are written by hand."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tokenbus_schemas import Event
from tokenbus_translate import ChatStream, ResponseAssembly, ResponsesStream

Json = dict[str, Any]
Assemble = Callable[..., ResponseAssembly]
Checked = Callable[[list[Event]], list[Json]]

_FOLDER = Path(__file__).parent / "recorded"
_TOLD: dict[str, tuple[list[str], int]] = {
    "handwritten_openai_responses_text": (["message: Hi there!"], 48),
    "handwritten_openai_responses_web_search": (["reasoning: ", "web_search_call: ", "message: News (a)."], 15),
    "handwritten_vllm_responses_reasoning": (["reasoning: Simple.", "message: 4"], 15),
    "handwritten_llama_cpp_responses": (["message: Let me look", 'function_call: {"city":"Rome"}'], 32),
    "handwritten_openai_chat_tools": (['function_call: {"city":"Rome"}', "function_call: {}"], 113),
    "handwritten_deepseek_chat_reasoning": (["reasoning: Two and two", "message: 4"], 26),
}


def _told(item: Json) -> str:
    parts: list[Json] = item.get("content") or []
    return f"{item['type']}: {item.get('arguments', '')}" + "".join(part["text"] for part in parts)


def test_every_stream_in_the_folder_is_expected() -> None:
    assert {path.stem for path in _FOLDER.glob("*.sse")} == _TOLD.keys()


@pytest.mark.parametrize("name", _TOLD)
def test_a_stream_of_this_shape_arrives_whole(name: str, assemble: Assemble, checked: Checked) -> None:
    body = (_FOLDER / f"{name}.sse").read_bytes()
    assembly = assemble()
    stream = ChatStream(assembly) if "_chat_" in name else ResponsesStream(assembly)
    events = stream.feed(body) + stream.close()
    assert stream.ending is not None
    response = checked(events + assembly.finish(stream.ending, now=1_790_000_009))[-1]["response"]
    output, tokens = _TOLD[name]
    assert [_told(item) for item in response["output"]] == output
    assert response["usage"]["total_tokens"] == tokens
