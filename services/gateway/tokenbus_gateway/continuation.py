"""A conversation that goes on over one WebSocket: the latest response that nobody stores, kept while it lasts.

Rules (Open Responses 2026-04-24, WebSocket):

1. `previous_response_id` of the latest response of this connection is resolved here if that one is not stored. Any
   other id is left to the bus, which keeps stored responses.
2. A response that is not stored may itself continue a stored one: then that one's id stays, for the bus to resolve.
3. `instructions` are not carried over.
4. A turn that fails forgets the response it referred to.

Pure. What is the same on the bus stands in `tokenbus_translate.continuation`.
"""

from tokenbus_translate.continuation import as_inputs, input_items, without_repeats
from tokenbus_translate.json_value import JsonObject, as_objects, as_text


class Continuation:
    """One for each connection."""

    def __init__(self) -> None:
        self._response_id: str | None = None
        self._continues: object = None
        self._input: list[object] = []
        self._output: list[JsonObject] = []

    def resolve(self, body: JsonObject) -> JsonObject:
        """The body with its whole conversation in `input`, if it continues the response that is kept."""
        if self._response_id is None or body.get("previous_response_id") != self._response_id:
            return body
        resolved = {name: value for name, value in body.items() if name != "previous_response_id"}
        if self._continues is not None:
            resolved["previous_response_id"] = self._continues
        history = [*self._input, *as_inputs(self._output)]
        return {**resolved, "input": [*history, *without_repeats(input_items(body), self._output)]}

    def remember(self, body: JsonObject, response: JsonObject) -> None:
        """`response` is what became of `body`, which was resolved."""
        response_id = as_text(response.get("id"))
        stored = response.get("store") is not False
        if response.get("status") in ("completed", "incomplete") and response_id is not None and not stored:
            self._response_id, self._continues = response_id, body.get("previous_response_id")
            self._input, self._output = input_items(body), as_objects(response.get("output"))

    def forget(self, response_id: object) -> None:
        """A turn that referred to it failed."""
        if response_id is not None and response_id == self._response_id:
            self._response_id, self._continues, self._input, self._output = None, None, [], []
