"""Replies: from a request to the plan that answers it. Pure: the same request in the same second has the same plan."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import lru_cache
from typing import Final

import orjson

from tokenbus_simulator.answers import answer
from tokenbus_simulator.asked import RefusedError, read_body
from tokenbus_simulator.chat_body import ChatBody
from tokenbus_simulator.chat_messages import check_messages
from tokenbus_simulator.chat_shape import ChatShape
from tokenbus_simulator.conversation import check_conversation
from tokenbus_simulator.faults import ErrorReply, Fault
from tokenbus_simulator.ids import Ids
from tokenbus_simulator.kept import Generation, Kept
from tokenbus_simulator.parts import Answer, Text
from tokenbus_simulator.plan import Plan, plan_answer, plan_error, plan_plain, plan_unanswered
from tokenbus_simulator.profiles import PROFILES, Profile
from tokenbus_simulator.quirks import alter_plain, tells_usage
from tokenbus_simulator.reading import Items, Reading, Received, read
from tokenbus_simulator.references import resolved
from tokenbus_simulator.responses_body import ResponsesBody
from tokenbus_simulator.responses_input import check_items
from tokenbus_simulator.responses_resource import Resource
from tokenbus_simulator.responses_shape import ResponsesShape
from tokenbus_simulator.script import PRESETS, Script
from tokenbus_simulator.wire import JsonObject

MODELS: Final = ("gpt-4.1-mini", "sim", *(f"sim-{preset}" for preset in PRESETS))
"""What `GET /v1/models` lists; every other name works too."""


def reply_to_responses(reading: Reading) -> Plan:
    """Answers a request for a response. Raises `RefusedError`."""
    profile, script, received = reading.profile, reading.script, reading.received
    if profile.responses == "absent":
        raise _unknown_url()
    body = read_body(ResponsesBody, reading.known(ResponsesBody.model_fields))
    check_items(body.items())
    conversation = [*_before(body, reading), *resolved(body.items(), known=_in(received.earlier.named))]
    check_conversation(conversation)
    asked, ids, background = body.asked(conversation), Ids(), bool(body.background)
    answered = answer(script, asked=asked)
    resource = Resource(ids.mint("resp_"), received.now, body.model, body.echo())
    shape = ResponsesShape(
        answered.choices[0], usage=answered.usage, asked=asked, resource=resource, ids=ids, background=background
    )
    generation = Generation.of(shape, script=script, streamed=asked.stream) if background else None
    if generation and not asked.stream:
        unanswered = plan_unanswered(script, stream=False, error=profile.error)
        plan = unanswered or plan_plain(orjson.dumps(generation.resource(0)))
    else:
        plan = plan_answer(script, shape=shape, stream=asked.stream, error=profile.error)
    plan = replace(plan, stamps=_stamps(script, answered))
    whole = generation is not None or script.fault in (None, Fault.DRIP)
    if profile.responses != "stateful" or body.store is False or not whole or plan.status not in (200, None):
        return plan
    kept = Kept(
        id=resource.id,
        conversation=conversation,
        final=lambda: alter_plain(shape.plain(), quirks=script.quirks),
        retention_s=script.retention_s,
        stamps=plan.stamps,
        generation=generation,
    )
    return replace(plan, kept=kept)


def reply_to_chat(reading: Reading) -> Plan:
    """Answers a request for a chat completion. Raises `RefusedError`."""
    script = reading.script
    body = read_body(ChatBody, reading.known(ChatBody.model_fields))
    check_messages(body.messages)
    asked = body.asked()
    answered = answer(script, asked=asked)
    shape = ChatShape(
        answered,
        asked=asked,
        model=body.model,
        created=reading.received.now,
        include_usage=body.include_usage or tells_usage(script.quirks),
        ids=Ids(),
    )
    plan = plan_answer(script, shape=shape, stream=asked.stream, error=reading.profile.error)
    return replace(plan, stamps=_stamps(script, answered))


def reply_to_models(reading: Reading) -> Plan:
    """Answers a request for the list of models."""
    now = reading.received.now
    listed = [{"id": name, "object": "model", "created": now, "owned_by": "simulator"} for name in MODELS]
    return plan_plain(orjson.dumps({"object": "list", "data": listed}))


def reply_to_unknown(reading: Reading) -> Plan:
    """Answers any other request, as OpenAI does."""
    del reading
    raise _unknown_url()


Reply = Callable[[Reading], Plan]


def plan_for(reply: Reply, *, received: Received) -> Plan:
    """The plan of `reply`, or for a bad request the plan to refuse it.

    The latest plans are kept: to render a long answer costs several times what it costs to send it.
    """
    return (_kept_plan if len(received.body) <= _LARGEST_KEPT_BODY else _new_plan)(reply, received)


def refuse(error: RefusedError, *, profile: Profile) -> Plan:
    """The plan to refuse a request in a provider's form."""
    reply = ErrorReply(error.status, error.type, error.code, error.message)
    return plan_error(reply, param=error.param, style=profile.error)


def _new_plan(reply: Reply, received: Received) -> Plan:
    profile = PROFILES[received.profile]
    try:
        reading = read(received)
        profile = reading.profile
        reading.check()
        return reply(reading)
    except RefusedError as error:
        return refuse(error, profile=profile)


_kept_plan = lru_cache(maxsize=16)(_new_plan)
_LARGEST_KEPT_BODY: Final = 65536


def _before(body: ResponsesBody, reading: Reading) -> Sequence[JsonObject]:
    """The conversation the request goes on with. Raises `RefusedError`."""
    stateful, previous = reading.profile.responses == "stateful", body.previous_response_id
    if body.background and (not stateful or body.store is False):
        raise RefusedError("Background mode requires responses to be stored.", param="background")
    if previous is None:
        return ()
    param = "previous_response_id"
    if not stateful:
        raise RefusedError(f"Unsupported parameter: '{param}'.", param=param, code="unsupported_parameter")
    conversation = reading.received.earlier.conversation
    if conversation is None:
        message = f"Previous response with id '{previous}' not found."
        raise RefusedError(message, param=param, code="previous_response_not_found")
    return conversation.items


def _in(named: Items | None) -> Sequence[JsonObject]:
    return named.items if named else ()


def _stamps(script: Script, answered: Answer) -> int:
    texts = [part for choice in answered.choices for part in choice.parts if isinstance(part, Text)]
    return sum(len(text.tokens) for text in texts) if script.stamp else 0


def _unknown_url() -> RefusedError:
    return RefusedError("Unknown request URL.", status=404, code="unknown_url")
