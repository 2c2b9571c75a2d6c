"""Replies: from a request to the plan that answers it. Pure: the same request in the same second has the same plan."""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Final, NamedTuple

import orjson

from tokenbus_simulator.answers import answer
from tokenbus_simulator.asked import RefusedError, read_body
from tokenbus_simulator.chat_body import ChatBody
from tokenbus_simulator.chat_messages import check_messages
from tokenbus_simulator.chat_shape import ChatShape
from tokenbus_simulator.conversation import check_conversation
from tokenbus_simulator.faults import ANSWER_FAULTS, ErrorReply
from tokenbus_simulator.ids import Ids
from tokenbus_simulator.kept import Generation, Kept
from tokenbus_simulator.keys import Credential, check_key
from tokenbus_simulator.parts import Answer, Text
from tokenbus_simulator.plan import Plan, plan_answer, plan_error, plan_plain
from tokenbus_simulator.profiles import PROFILES, Profile
from tokenbus_simulator.quirks import alter_plain, tells_usage
from tokenbus_simulator.references import resolved
from tokenbus_simulator.responses_body import ResponsesBody
from tokenbus_simulator.responses_input import check_items
from tokenbus_simulator.responses_resource import Resource
from tokenbus_simulator.responses_shape import ResponsesShape
from tokenbus_simulator.rules import Request
from tokenbus_simulator.script import PRESETS, SCRIPT_HEADER, Script, ScriptError, parse_script, script_of_model
from tokenbus_simulator.wire import JsonObject, is_object, object_of

MODELS: Final = ("gpt-4.1-mini", "sim", *(f"sim-{preset}" for preset in PRESETS))
"""What `GET /v1/models` lists; every other name works too."""

_THOUGHTS: Final = 8  # tokens of reasoning of a model that always thinks


class Earlier(NamedTuple):
    """What a request refers to and the simulator has kept. Compared by identity, since plans are kept by it."""

    items: "Items | None"
    """The conversation up to `previous_response_id`, None if that is unknown."""
    named: "Items | None"
    """Items that the input names without their content."""


@dataclass(frozen=True, slots=True, eq=False)
class Items:
    """Items of earlier responses."""

    items: Sequence[JsonObject]


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
    profile: str
    """The provider its URL names."""
    deployment: str | None
    """The model its URL names."""
    credential: Credential | None
    key_needed: bool
    earlier: Earlier


class Reading(NamedTuple):
    """A request, read as far as all operations have it in common."""

    body: JsonObject
    model: str
    script: Script
    """With the quirks of the provider."""
    profile: Profile
    received: Received

    def known(self, fields: Collection[str]) -> JsonObject:
        """The body with the parameters that have an effect. Raises `RefusedError`."""
        profile = self.profile
        thinking = bool(self.script.reasoning)
        for rule in profile.rules:
            rule.check(Request(self.body, self.model, thinking))
        for name in self.body:
            if name not in fields and name not in profile.own and profile.unknown is not None:
                raise RefusedError(profile.unknown.format(param=name), param=name, code=profile.unknown_code)
        kept = {name: value for name, value in self.body.items() if name in fields and name not in profile.ignored}
        return {**kept, "model": self.model} if self.model else kept


def reply_to_responses(reading: Reading) -> Plan:
    """Answers a request for a response. Raises `RefusedError`."""
    profile, script, received = reading.profile, reading.script, reading.received
    if profile.responses == "absent":
        raise _unknown_url()
    body = read_body(ResponsesBody, reading.known(ResponsesBody.model_fields))
    check_items(body.items())
    conversation = [*_before(body, reading), *resolved(body.items(), known=_items(received.earlier.named))]
    check_conversation(conversation)
    asked, ids, background = body.asked(conversation), Ids(), bool(body.background)
    answered = answer(script, asked=asked)
    resource = Resource(ids.mint("resp_"), received.now, body.model, body.echo())
    shape = ResponsesShape(
        answered.choices[0], usage=answered.usage, asked=asked, resource=resource, ids=ids, background=background
    )
    plan = plan_answer(script, shape=shape, stream=asked.stream, error=profile.error)
    generation = Generation.of(shape, script=script, streamed=asked.stream) if background else None
    if plan.status not in (200, None):
        return plan
    if generation and not asked.stream and plan.writes:
        plan = plan_plain(orjson.dumps(generation.resource(0)))
    kept = Kept(
        id=resource.id,
        conversation=conversation,
        final=lambda: alter_plain(shape.plain(), quirks=script.quirks),
        retention_s=script.retention_s,
        stamps=_stamps(script, answered),
        generation=generation,
    )
    whole = generation is not None or script.fault is None or script.fault in ANSWER_FAULTS
    keeps = profile.responses == "stateful" and body.store is not False and whole
    return replace(plan, kept=kept if keeps else None, stamps=kept.stamps)


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
        body: object = parsed(received.body) if received.body else None
        reading = _read(body, received)
        profile = reading.profile
        check_key(received.credential, demanded=reading.script.key, needed=received.key_needed)
        if received.body and not is_object(body):
            raise RefusedError("Invalid value for the body: expected an object.")
        return reply(reading)
    except RefusedError as error:
        return refuse(error, profile=profile)


_kept_plan = lru_cache(maxsize=16)(_new_plan)
_LARGEST_KEPT_BODY: Final = 65536


def parsed(body: bytes) -> object:
    """The JSON value in `body`. Raises `RefusedError`."""
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError:
        raise RefusedError("We could not parse the JSON body of your request.") from None


def _read(body: object, received: Received) -> Reading:
    fields = object_of(body)
    named = fields.get("model", received.deployment)
    model = named if isinstance(named, str) else ""
    script = _script(received, model=model)
    profile = PROFILES[script.profile or received.profile]
    thinks = model.rpartition("/")[2].startswith(profile.thinking_models) if profile.thinking_models else False
    if object_of(fields.get("thinking")).get("type") == "disabled":
        script = replace(script, reasoning=0)
    elif thinks:
        script = replace(script, reasoning=script.reasoning or _THOUGHTS)
    script = replace(script, quirks=(*profile.quirks, *script.quirks))
    return Reading(fields, model, script, profile, received)


def _script(received: Received, *, model: str) -> Script:
    try:
        script = script_of_model(model, base=received.script)
    except ScriptError as error:
        raise RefusedError(f"The script in the model name is wrong: {error}.", param="model") from error
    try:
        return parse_script(received.header, base=script)
    except ScriptError as error:
        raise RefusedError(f"The script in the header {SCRIPT_HEADER} is wrong: {error}.") from error


def _before(body: ResponsesBody, reading: Reading) -> Sequence[JsonObject]:
    """The conversation the request goes on with. Raises `RefusedError`."""
    stateful = reading.profile.responses == "stateful"
    if body.background and (not stateful or body.store is False):
        raise RefusedError("Background mode requires responses to be stored.", param="background")
    if body.previous_response_id is None:
        return ()
    if not stateful:
        param = "previous_response_id"
        raise RefusedError(f"Unsupported parameter: '{param}'.", param=param, code="unsupported_parameter")
    if reading.received.earlier.items is None:
        raise RefusedError(
            f"Previous response with id '{body.previous_response_id}' not found.",
            param="previous_response_id",
            code="previous_response_not_found",
        )
    return reading.received.earlier.items.items


def _items(named: Items | None) -> Sequence[JsonObject]:
    return named.items if named else ()


def _stamps(script: Script, answered: Answer) -> int:
    texts = [part for choice in answered.choices for part in choice.parts if isinstance(part, Text)]
    return sum(len(text.tokens) for text in texts) if script.stamp else 0


def _unknown_url() -> RefusedError:
    return RefusedError("Unknown request URL.", status=404, code="unknown_url")
