"""Reading: a request with all that its reply depends on, as far as all operations have it in common."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from typing import Final, NamedTuple

import orjson

from tokenbus_simulator.asked import RefusedError
from tokenbus_simulator.keys import Credential, check_key
from tokenbus_simulator.profiles import PROFILES, Profile
from tokenbus_simulator.rules import Request
from tokenbus_simulator.script import SCRIPT_HEADER, Script, ScriptError, parse_script, script_of_model
from tokenbus_simulator.wire import JsonObject, is_object, object_of

_THOUGHTS: Final = 8  # tokens of reasoning of a model that always thinks


@dataclass(frozen=True, slots=True, eq=False)
class Items:
    """Items of earlier responses. Compared by identity, which is enough to know a request that came again."""

    items: Sequence[JsonObject]


class Earlier(NamedTuple):
    """What a request refers to, as far as the simulator has kept it."""

    conversation: Items | None
    """All up to `previous_response_id`, None if that is unknown."""
    named: Items | None
    """Items that the input names without their content."""


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
    """What all operations make of a request."""

    body: object
    model: str
    script: Script
    """With the quirks of the provider."""
    profile: Profile
    received: Received

    def check(self) -> None:
        """Raises `RefusedError` where the key or the kind of body is wrong."""
        check_key(self.received.credential, demanded=self.script.key, needed=self.received.key_needed)
        if self.received.body and not is_object(self.body):
            raise RefusedError("Invalid value for the body: expected an object.")

    def known(self, fields: Collection[str]) -> JsonObject:
        """The parameters that have an effect. Raises `RefusedError` where the provider does not take them."""
        body, profile = object_of(self.body), self.profile
        for rule in profile.rules:
            rule.check(Request(body, self.model, thinking=bool(self.script.reasoning)))
        for name in body:
            if name not in fields and name not in profile.own and profile.unknown is not None:
                raise RefusedError(profile.unknown.format(param=name), param=name, code=profile.unknown_code)
        kept = {name: value for name, value in body.items() if name in fields and name not in profile.ignored}
        return {**kept, "model": self.model} if self.model else kept


def read(received: Received) -> Reading:
    """Reads a request. Raises `RefusedError` where its JSON or its script is wrong."""
    body = parsed(received.body) if received.body else None
    fields = object_of(body)
    named = fields.get("model", received.deployment)
    model = named if isinstance(named, str) else ""
    script = _script(received, model=model)
    profile = PROFILES[script.profile or received.profile]
    if object_of(fields.get("thinking")).get("type") == "disabled":
        script = replace(script, reasoning=0)
    elif model.rpartition("/")[2].startswith(profile.thinking_models):
        script = replace(script, reasoning=script.reasoning or _THOUGHTS)
    script = replace(script, quirks=(*profile.quirks, *script.quirks))
    return Reading(body, model, script, profile, received)


def parsed(body: bytes) -> object:
    """The JSON value in `body`. Raises `RefusedError`."""
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError:
        raise RefusedError("We could not parse the JSON body of your request.") from None


def _script(received: Received, *, model: str) -> Script:
    try:
        script = script_of_model(model, base=received.script)
    except ScriptError as error:
        raise RefusedError(f"The script in the model name is wrong: {error}.", param="model") from error
    try:
        return parse_script(received.header, base=script)
    except ScriptError as error:
        raise RefusedError(f"The script in the header {SCRIPT_HEADER} is wrong: {error}.") from error
