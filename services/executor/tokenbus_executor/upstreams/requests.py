"""A request in the words of a target's API and its provider's dialect, and what reads the answer."""

from collections.abc import Mapping
from typing import NamedTuple

from tokenbus_schemas import ProviderRow, Target
from tokenbus_translate import (
    ChatDialect,
    ChatStream,
    ResponseAssembly,
    ResponsesDialect,
    ResponsesStream,
    UpstreamStream,
    responses_body,
    to_chat,
)


class UpstreamRequest(NamedTuple):
    """What to send, and what reads the answer into `assembly`."""

    body: Mapping[str, object]
    stream: UpstreamStream


def upstream_request(
    request: Mapping[str, object], *, target: Target, row: ProviderRow, assembly: ResponseAssembly
) -> UpstreamRequest:
    """`request`: the normalised body of a work order. Raises `RequestError` for what the target's API can not say."""
    if target.api == "responses":
        said = responses_body(request, model=target.model, dialect=_responses_dialect(row))
        return UpstreamRequest({**row.body, **said}, ResponsesStream(assembly))
    body = {**row.body, **to_chat(request, model=target.model, dialect=_chat_dialect(row))}
    choices = body.get("n")
    return UpstreamRequest(body, ChatStream(assembly, choices=choices if isinstance(choices, int) else 1))


def _chat_dialect(row: ProviderRow) -> ChatDialect:
    return ChatDialect(
        max_tokens_name=row.chat.max_tokens_name,
        reasoning_field=row.chat.reasoning_field,
        developer_role=row.chat.developer_role,
        stream_options=row.chat.stream_options,
    )


def _responses_dialect(row: ProviderRow) -> ResponsesDialect:
    return ResponsesDialect(
        chat_parameters=frozenset(row.responses.chat_parameters),
        keeps_plain_reasoning=row.responses.keeps_plain_reasoning,
        min_output_tokens=row.responses.min_output_tokens,
    )
