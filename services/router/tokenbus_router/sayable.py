"""Whether an API can say a request at all: the translator is asked to say it, and what it says is thrown away.

So nothing is known twice. It costs as much as the executor's own translation, some microseconds for each item.
"""

import re
from collections.abc import Mapping
from typing import Final, cast

from tokenbus_router.routing_table import Candidate
from tokenbus_schemas.errors import RequestError
from tokenbus_schemas.requests import Api, ChatRequest
from tokenbus_translate import responses_body, to_chat, to_responses

_ITEM: Final = re.compile(r"input\[(\d+)\](\.content\[\d+\])?")


def unsayable(body: Mapping[str, object], *, candidate: Candidate, api: Api) -> RequestError | None:
    """What the API can not say of a body in Responses' words, or None."""
    try:
        if api == "responses":
            responses_body(body, model="-", dialect=candidate.responses)
        else:
            to_chat(body, model="-", dialect=candidate.chat)
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
