"""The Chat Completions shape: the chunks of one answer, and the plain completion.

Chunks of several choices come in turn. The first chunk of a choice holds its role, the last its finish reason; usage
comes in a chunk without choices if it was asked for. Source: openai 3.54 `types/chat/chat_completion_chunk.py`.
"""

from collections.abc import Iterator, Sequence
from itertools import chain, zip_longest

import orjson

from tokenbus_simulator.asked import Asked
from tokenbus_simulator.faults import INSUFFICIENT_QUOTA, Fault
from tokenbus_simulator.ids import Ids
from tokenbus_simulator.parts import Answer, Choice, FunctionCall, ProviderCall, Reasoning, Refusal, Text
from tokenbus_simulator.tokens import logprobs, padding
from tokenbus_simulator.wire import DONE, Frame, JsonObject


class ChatShape:
    """One answer as OpenAI's Chat Completions API gives it."""

    def __init__(
        self, answer: Answer, *, asked: Asked, model: str, created: int, include_usage: bool, ids: Ids
    ) -> None:
        self._answer = answer
        self._asked = asked
        self._include_usage = include_usage
        self._facts: JsonObject = {
            "id": ids.mint("chatcmpl-"),
            "created": created,
            "model": model,
            "service_tier": "default",
            "system_fingerprint": "fp_simulator",
        }
        self._call_ids = [
            [ids.mint("call_") for part in choice.parts if isinstance(part, FunctionCall)] for choice in answer.choices
        ]

    def opening(self) -> Sequence[Frame]:
        """The chunks with the roles."""
        return [self._chunk(index, _role(choice)) for index, choice in enumerate(self._answer.choices)]

    def body(self) -> Sequence[Frame]:
        """All further chunks and `[DONE]`."""
        choices = [self._choice_chunks(index, choice) for index, choice in enumerate(self._answer.choices)]
        frames = choices[0] if len(choices) == 1 else list(_in_turn(choices))
        if self._include_usage:
            frames.append(self._frame({"choices": [], "usage": self._usage()}))
        frames.append(DONE)
        return frames

    def failure(self, fault: Fault, /, *, number: int) -> Sequence[Frame]:
        """A chunk with an `error` object; flat, it has the form of older vLLM servers. No `[DONE]` follows."""
        del number  # chunks are not numbered
        error = INSUFFICIENT_QUOTA.error()
        if fault is Fault.ERROR_FLAT:
            return [Frame(b"", orjson.dumps({"object": "error", **error}))]
        return [Frame(b"", orjson.dumps({"error": error}))]

    def plain(self) -> JsonObject:
        """The whole completion."""
        return {
            **self._facts,
            "object": "chat.completion",
            "choices": [self._whole_choice(index, choice) for index, choice in enumerate(self._answer.choices)],
            "usage": self._usage(),
        }

    def _choice_chunks(self, index: int, choice: Choice) -> list[Frame]:
        frames = list[Frame]()
        calls = 0
        for part in choice.parts:
            match part:
                case Text():
                    frames += self._deltas(index, "content", part.tokens)
                case Refusal():
                    frames += self._deltas(index, "refusal", part.tokens)
                case Reasoning():
                    # No field of OpenAI's; the name is DeepSeek's and most others took it over.
                    frames += self._deltas(index, "reasoning_content", part.text)
                case FunctionCall():
                    frames += self._call_chunks(index, calls, part)
                    calls += 1
                case ProviderCall():
                    raise AssertionError("chat requests with provider tools are refused")
        frames.append(self._chunk(index, {}, finish_reason=_finish_reason(choice)))
        return frames

    def _deltas(self, index: int, key: str, tokens: Sequence[str]) -> list[Frame]:
        """The fast path: deltas differ in their token only, so their JSON is cut out of a chunk encoded once."""
        head, _, tail = self._chunk(index, {key: ""}).data.partition(b'"%b":""' % key.encode())
        head += b'"%b":' % key.encode()
        if self._asked.logprobs and key in ("content", "refusal"):
            return [self._spoken_chunk(index, key, token) for token in tokens]
        dumps = orjson.dumps
        if self._asked.obfuscation:
            return [
                Frame(b"", b'%b%b%b,"obfuscation":"%b"}' % (head, dumps(token), tail[:-1], padding(token).encode()), 1)
                for token in tokens
            ]
        return [Frame(b"", b"%b%b%b" % (head, dumps(token), tail), 1) for token in tokens]

    def _spoken_chunk(self, index: int, key: str, token: str) -> Frame:
        listed: JsonObject = {"content": None, "refusal": None}
        listed[key] = logprobs([token], top=self._asked.top_logprobs)
        return self._chunk(index, {key: token}, logprobs=listed, token=token)

    def _call_chunks(self, index: int, call: int, part: FunctionCall) -> Iterator[Frame]:
        identity = {"id": self._call_ids[index][call], "type": "function"}
        first = {"index": call, **identity, "function": {"name": part.name, "arguments": ""}}
        yield self._chunk(index, {"tool_calls": [first]})
        for token in part.tokens:
            fragment = {"index": call, "function": {"arguments": token}}
            yield self._chunk(index, {"tool_calls": [fragment]}, token=token)

    def _chunk(
        self,
        index: int,
        delta: JsonObject,
        *,
        finish_reason: str | None = None,
        logprobs: JsonObject | None = None,
        token: str | None = None,
    ) -> Frame:
        choice = {"index": index, "delta": delta, "logprobs": logprobs, "finish_reason": finish_reason}
        fields: JsonObject = {"choices": [choice]}
        if self._include_usage:
            fields["usage"] = None
        if self._asked.obfuscation and token is not None:
            fields["obfuscation"] = padding(token)
        return self._frame(fields, tokens=int(token is not None))

    def _frame(self, fields: JsonObject, *, tokens: int = 0) -> Frame:
        return Frame(b"", orjson.dumps({**self._facts, "object": "chat.completion.chunk", **fields}), tokens)

    def _whole_choice(self, index: int, choice: Choice) -> JsonObject:
        text = [token for part in choice.parts if isinstance(part, Text) for token in part.tokens]
        refused = [token for part in choice.parts if isinstance(part, Refusal) for token in part.tokens]
        thought = [token for part in choice.parts if isinstance(part, Reasoning) for token in part.text]
        calls = [part for part in choice.parts if isinstance(part, FunctionCall)]
        message: JsonObject = {
            "role": "assistant",
            "content": "".join(text) if any(isinstance(part, Text) for part in choice.parts) else None,
            "refusal": "".join(refused) if refused else None,
            "annotations": [],
        }
        if thought:
            message["reasoning_content"] = "".join(thought)
        if calls:
            message["tool_calls"] = [
                {"id": id_, "type": "function", "function": {"name": call.name, "arguments": "".join(call.tokens)}}
                for id_, call in zip(self._call_ids[index], calls, strict=True)
            ]
        top = self._asked.top_logprobs
        listed = {"content": logprobs(text, top=top), "refusal": logprobs(refused, top=top)}
        return {
            "index": index,
            "message": message,
            "logprobs": listed if self._asked.logprobs else None,
            "finish_reason": _finish_reason(choice),
        }

    def _usage(self) -> JsonObject:
        usage = self._answer.usage
        return {
            "prompt_tokens": usage.input_tokens,
            "completion_tokens": usage.output_tokens,
            "total_tokens": usage.input_tokens + usage.output_tokens,
            "prompt_tokens_details": {"cached_tokens": 0, "cache_write_tokens": 0, "audio_tokens": 0},
            "completion_tokens_details": {
                "reasoning_tokens": usage.reasoning_tokens,
                "audio_tokens": 0,
                "accepted_prediction_tokens": 0,
                "rejected_prediction_tokens": 0,
            },
        }


def _role(choice: Choice) -> JsonObject:
    # Content is null where there will be none, so that what clients accumulate equals the plain message.
    spoken = any(isinstance(part, Text) for part in choice.parts)
    return {"role": "assistant", "content": "" if spoken else None, "refusal": None}


def _finish_reason(choice: Choice) -> str:
    called = any(isinstance(part, FunctionCall) for part in choice.parts)
    return "tool_calls" if called and choice.finish == "stop" else choice.finish


def _in_turn(choices: Sequence[Sequence[Frame]]) -> Iterator[Frame]:
    """One chunk of each choice after the other; the longer ones go on alone."""
    for frame in chain.from_iterable(zip_longest(*choices)):
        if frame is not None:
            yield frame
