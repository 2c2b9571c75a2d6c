"""Replies: from a request to the plan that answers it. Pure: the same request in the same second has the same plan."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

import orjson

from tokenbus_simulator.answers import answer
from tokenbus_simulator.asked import BadRequestError, read_body
from tokenbus_simulator.chat_body import ChatBody
from tokenbus_simulator.chat_shape import ChatShape
from tokenbus_simulator.faults import ErrorReply
from tokenbus_simulator.ids import Ids
from tokenbus_simulator.plan import Plan, plan_answer, plan_error, plan_plain
from tokenbus_simulator.responses_body import ResponsesBody
from tokenbus_simulator.responses_resource import Resource
from tokenbus_simulator.responses_shape import ResponsesShape
from tokenbus_simulator.script import PRESETS, SCRIPT_HEADER, Script, ScriptError, parse_script, script_of_model

MODELS: Final = ("gpt-4.1-mini", "sim", *(f"sim-{preset}" for preset in PRESETS))
"""What `GET /v1/models` lists; every other name works too."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Received:
    """A request, with all that a reply depends on."""

    body: bytes
    script: Script
    """What the scripts in model name and header are put on top of."""
    header: str
    """The header `x-simulator-script`; may be empty."""
    now: int
    """Unix seconds, for `created`."""


def reply_to_responses(received: Received) -> Plan:
    """Answers `POST /v1/responses`. Raises `BadRequestError`."""
    body = read_body(ResponsesBody, parsed(received.body))
    asked, ids = body.asked(), Ids()
    script = _script(received, model=body.model)
    answered = answer(script, asked=asked)
    resource = Resource(ids.mint("resp_"), received.now, body.model, body.echo())
    shape = ResponsesShape(answered.choices[0], usage=answered.usage, asked=asked, resource=resource, ids=ids)
    return plan_answer(script, shape=shape, stream=asked.stream)


def reply_to_chat(received: Received) -> Plan:
    """Answers `POST /v1/chat/completions`. Raises `BadRequestError`."""
    body = read_body(ChatBody, parsed(received.body))
    asked = body.asked()
    script = _script(received, model=body.model)
    shape = ChatShape(
        answer(script, asked=asked),
        asked=asked,
        model=body.model,
        created=received.now,
        include_usage=body.include_usage,
        ids=Ids(),
    )
    return plan_answer(script, shape=shape, stream=asked.stream)


def reply_to_models(received: Received) -> Plan:
    """Answers `GET /v1/models`."""
    listed = [{"id": name, "object": "model", "created": received.now, "owned_by": "simulator"} for name in MODELS]
    return plan_plain(orjson.dumps({"object": "list", "data": listed}))


def reply_to_unknown(received: Received) -> Plan:
    """Answers any other request, as OpenAI does."""
    del received
    return plan_error(ErrorReply(404, "invalid_request_error", "unknown_url", "Unknown request URL."))


Reply = Callable[[Received], Plan]


def plan_for(reply: Reply, *, received: Received) -> Plan:
    """The plan of `reply`, or for a bad request the plan to refuse it.

    The latest plans are kept: to render a long answer costs several times what it costs to send it.
    """
    return (_kept_plan if len(received.body) <= _LARGEST_KEPT_BODY else _new_plan)(reply, received)


def _new_plan(reply: Reply, received: Received) -> Plan:
    try:
        return reply(received)
    except BadRequestError as error:
        return plan_error(ErrorReply(400, "invalid_request_error", error.code, error.message), param=error.param)


_kept_plan = lru_cache(maxsize=16)(_new_plan)
_LARGEST_KEPT_BODY: Final = 65536


def parsed(body: bytes) -> object:
    """The JSON value in `body`. Raises `BadRequestError`."""
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError:
        raise BadRequestError("We could not parse the JSON body of your request.") from None


def _script(received: Received, *, model: str) -> Script:
    try:
        script = script_of_model(model, base=received.script)
    except ScriptError as error:
        raise BadRequestError(f"The script in the model name is wrong: {error}.", param="model") from error
    try:
        return parse_script(received.header, base=script)
    except ScriptError as error:
        raise BadRequestError(f"The script in the header {SCRIPT_HEADER} is wrong: {error}.") from error
