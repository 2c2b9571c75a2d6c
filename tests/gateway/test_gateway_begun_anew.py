"""An answer that was begun anew, which only a request can ask for: Responses clients see it, chat ends in an error."""

import orjson

from tests.gateway.answers import assembly, text_events
from tokenbus_gateway.sse import ChatSSE, ResponsesSSE
from tokenbus_schemas import Event, EventLine, RequestHeaders, RequestId, encode
from tokenbus_schemas.vocabulary import REWOUND
from tokenbus_translate import ChatHead, Ending, EventsToChat


def begun_anew() -> list[EventLine]:
    answer = assembly(RequestHeaders(request_id=RequestId("r1")))
    events: list[Event] = text_events(answer, ["Once"])
    answer.rewind(to=0)
    events += text_events(answer, ["Twice"])
    events += answer.finish(Ending("completed"), now=1)
    return [EventLine(encode(event, number)) for number, event in enumerate(events)]


def test_a_responses_stream_shows_the_rewind() -> None:
    body = ResponsesSSE().encode(begun_anew())
    assert b"event: " + REWOUND.encode() in body
    assert body.endswith(b"data: [DONE]\n\n")


def test_a_chat_stream_ends_in_an_error() -> None:
    head = ChatHead("chatcmpl-r1", "openai/gpt-4.1-mini", 1)
    body = ChatSSE(EventsToChat(head, include_usage=True)).encode(begun_anew())
    chunks = [orjson.loads(chunk.removeprefix(b"data: ")) for chunk in body.split(b"\n\n") if chunk]
    assert "Twice" not in str(chunks)
    assert "begun anew" in chunks[-1]["error"]["message"]
    assert b"[DONE]" not in body
