"""Chat Completions ↔ Responses, requests and streams; pure: no network, no clock, no logging."""

from tokenbus_translate.assembly import AssemblyEndedError, Ending, ResponseAssembly
from tokenbus_translate.chat_request import ChatDialect, to_chat, to_responses
from tokenbus_translate.chat_stream import ChatStream
from tokenbus_translate.events_to_chat import EventsToChat
from tokenbus_translate.failure import UpstreamFailure, failure, reported_failure
from tokenbus_translate.folding import fold_events
from tokenbus_translate.lifecycle import LifecycleCheck, LifecycleError
from tokenbus_translate.resource import ResponseHead
from tokenbus_translate.response_to_chat import ChatHead, chat_completion
from tokenbus_translate.responses_request import ResponsesDialect, responses_body
from tokenbus_translate.responses_stream import ResponsesStream
from tokenbus_translate.sse import EventTooLargeError, SSEDecoder
from tokenbus_translate.upstream import UpstreamStream

__all__ = [
    "AssemblyEndedError",
    "ChatDialect",
    "ChatHead",
    "ChatStream",
    "Ending",
    "EventTooLargeError",
    "EventsToChat",
    "LifecycleCheck",
    "LifecycleError",
    "ResponseAssembly",
    "ResponseHead",
    "ResponsesDialect",
    "ResponsesStream",
    "SSEDecoder",
    "UpstreamFailure",
    "UpstreamStream",
    "chat_completion",
    "failure",
    "fold_events",
    "reported_failure",
    "responses_body",
    "to_chat",
    "to_responses",
]
