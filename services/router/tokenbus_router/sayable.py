"""Whether an API can say a request at all: the translator is asked to say it, and what it says is thrown away.

So nothing is known twice. It costs as much as the executor's own translation, some microseconds for each item, and is
left out for plain text, which both APIs can say.
"""

import re
from collections.abc import Mapping, Set
from typing import Final, cast

from tokenbus_router.routing_table import Nature
from tokenbus_schemas.errors import RequestError
from tokenbus_schemas.requests import Api, ChatRequest
from tokenbus_translate import responses_body, to_chat, to_responses

_ITEM: Final = re.compile(r"input\[(\d+)\](\.content\[\d+\])?")


_ITEM_KEYS: Final = frozenset({"type", "role", "content"})
_MESSAGE_KEYS: Final = frozenset({"role", "content", "tool_calls", "tool_call_id"})
_ROLES: Final = frozenset({"system", "developer", "user", "assistant"})


def is_plain(request: ChatRequest) -> bool:
    """Whether a request that has passed all other checks is of text only, and so sure to be sayable."""
    choice = request.tool_choice
    if isinstance(choice, dict) and choice.get("type") not in ("function", "custom"):
        return False
    if request.messages is not None:
        return all(_is_plain(message, keys=_MESSAGE_KEYS, roles=_ROLES | {"tool"}) for message in request.messages)
    return isinstance(request.input, str) or all(
        _is_plain(item, keys=_ITEM_KEYS, roles=_ROLES) and item.get("type", "message") == "message"
        for item in request.input or ()
    )


def _is_plain(message: Mapping[str, object], *, keys: Set[str], roles: Set[str]) -> bool:
    return message.keys() <= keys and isinstance(message.get("content"), str) and message.get("role") in roles


def unsayable(body: Mapping[str, object], *, nature: Nature, api: Api) -> RequestError | None:
    """What the API can not say of a body in Responses' words, or None."""
    try:
        if api == "responses":
            responses_body(body, model="-", dialect=nature.responses)
        else:
            to_chat(body, model="-", dialect=nature.chat)
    except RequestError as error:
        return error
    return None


def in_callers_words(error: RequestError, *, request: ChatRequest) -> RequestError:
    """The error with the path of the message that the caller wrote, where it names the item made of it."""
    path = error.body.param
    found = None if path is None or request.messages is None else _ITEM.match(path)
    if path is None or found is None:
        return error
    message = _message_of(int(found[1]), messages=request.messages or [])
    param = f"messages[{message}]{found[2] or ''}"
    _, _, problem = error.body.message.partition(": ")
    return RequestError(error.body.code, f"{param}: {problem}", param=param)


def _message_of(item: int, *, messages: list[dict[str, object]]) -> int:
    """Which message an item was made of; each one makes some, in their order."""
    for number in range(len(messages)):
        items = to_responses({"messages": messages[: number + 1]})["input"]
        if len(cast("list[object]", items)) > item:
            return number
    return len(messages) - 1
