"""What is said to the model, round by round: the request, then what it answered and what its tools gave. Pure.

The whole conversation is sent anew in every round, so no target needs to have kept anything, and a later round may go
to another target than the first. Rules:

1. Items go back as the response shows them, with the call ids that the response gave them.
2. Reasoning goes back sealed, or as a reference to what the provider keeps; both only to the provider that wrote it.
   Open reasoning goes along; whether a target takes it is the translator's business.
3. A choice that forces a call holds for the first round: held on to, the model could never answer.
4. The last round has `tool_choice` none.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Final, NamedTuple

from tokenbus_executor.sealed_reasoning import asking_for_seals, seals
from tokenbus_executor.tool_outputs import text_only
from tokenbus_schemas import Target
from tokenbus_translate.json_value import JsonObject, as_list, as_object, as_objects

_FREE_CHOICES: Final = frozenset({"auto", "none"})


class Turn(NamedTuple):
    """Items of one round and the target that wrote them; the outputs of its calls are among them."""

    target: Target
    items: Sequence[JsonObject]


class Conversation:
    """One request's conversation; grows by a turn in each round."""

    def __init__(self, request: Mapping[str, object], *, model: str) -> None:
        """`request`: normalised, its tools defined. `model`: the model ID that the client asked for."""
        self._request = request
        self._model = model
        self._turns: list[Turn] = []

    def add(self, target: Target, items: Sequence[JsonObject]) -> None:
        """What was said in a round."""
        self._turns.append(Turn(target, items))

    def request_for(self, target: Target, *, last: bool) -> JsonObject:
        """What to ask `target` next. `last`: no further round of tools may follow."""
        request = dict(self._request)
        if self._turns:
            request["input"] = [*_as_items(request.get("input")), *self._told(target)]
            if (choice := request.get("tool_choice")) is not None:
                request["tool_choice"] = _unforced(choice)
        if last:
            request["tool_choice"] = "none"
        if target.api == "responses" and seals((target.model, self._model), request=request):
            request = asking_for_seals(request)
        return request

    def _told(self, target: Target) -> Iterable[JsonObject]:
        kept = self._request.get("store") is not False
        for turn in self._turns:
            same = (turn.target.provider, turn.target.api) == (target.provider, target.api)
            for item in turn.items:
                if target.api != "responses":
                    yield text_only(item)
                elif item.get("type") != "reasoning" or _is_readable(item, same=same, kept=kept):
                    yield item


def _is_readable(reasoning: JsonObject, *, same: bool, kept: bool) -> bool:
    """Whether a Responses target can read the item. `same`: it wrote it; `kept`: it may have kept it."""
    if reasoning.get("encrypted_content"):
        return same
    return bool(as_objects(reasoning.get("content"))) or (same and kept)


def _as_items(given: object) -> list[object]:
    if isinstance(given, str):
        return [{"type": "message", "role": "user", "content": given}]
    return as_list(given)


def _unforced(choice: object) -> object:
    chosen = as_object(choice)
    if chosen is not None and chosen.get("type") == "allowed_tools":
        return {**chosen, "mode": "auto"}
    return choice if isinstance(choice, str) and choice in _FREE_CHOICES else "auto"
