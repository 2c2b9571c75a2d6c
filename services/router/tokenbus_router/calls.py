"""The router's request/reply services, on FastStream: replay, control, stored responses, pieces of payloads, models.

Every call gets a reply. What is wrong with a call stands in the reply's `error`, shaped as in a failed response.
"""

import logging
from collections.abc import Callable, Mapping
from functools import partial
from types import MappingProxyType
from typing import Final, Protocol

import orjson
from faststream.nats import NatsBroker, NatsMessage

from tokenbus.error_site import error_site
from tokenbus.errors import BusError
from tokenbus_schemas import ErrorBody, ErrorCode, InvalidTokenError, RequestError, RequestId, Subjects, Tenant
from tokenbus_schemas.subjects import request_id, tenant

_log = logging.getLogger(__name__)

QUEUE: Final = "router"
"""Several routers share the calls."""
MAX_WORKERS: Final = 64
"""Calls of one kind that a router works on at once; further ones wait in its subscription."""

MAX_PIECES: Final = 8
"""Pieces of payloads that a router stores at once."""
WAITING_PIECES_BYTES: Final = 32 * 1024 * 1024
"""Those that may wait for it; what is more is dropped, and sent again."""

_NO_PAGE: Final[Mapping[str, object]] = MappingProxyType({"state": "unknown", "more": False, "events": []})


class Answer(Protocol):
    """Answers a call about one request. Raises `RequestError` for a wrong payload, and `BusError`."""

    async def __call__(self, tenant: Tenant, request_id: RequestId, *, payload: bytes) -> bytes: ...


class Keeper(Protocol):
    """Keeps a piece of a payload. Raises as `Answer`."""

    async def __call__(
        self, tenant: Tenant, request_id: RequestId, *, headers: Mapping[str, str], payload: bytes
    ) -> bytes: ...


def serve_calls(
    broker: NatsBroker,
    *,
    subjects: Subjects,
    replay: Answer,
    control: Answer,
    responses: Answer,
    uploads: Keeper,
    models: Callable[[], bytes],
    catalog: Callable[[], bytes],
) -> None:
    """Subscribe the services; the broker starts and stops them."""

    @broker.subscriber(f"{subjects.root}.replay.*.*", queue=QUEUE, max_workers=MAX_WORKERS, decoder=_raw)
    async def on_replay(message: NatsMessage) -> bytes:
        return await _answered(message, answer=replay, subjects=subjects, frame=_NO_PAGE)

    @broker.subscriber(f"{subjects.root}.control.*.*", queue=QUEUE, max_workers=MAX_WORKERS, decoder=_raw)
    async def on_control(message: NatsMessage) -> bytes:
        return await _answered(message, answer=control, subjects=subjects, frame={})

    @broker.subscriber(f"{subjects.root}.responses.*.*", queue=QUEUE, max_workers=MAX_WORKERS, decoder=_raw)
    async def on_responses(message: NatsMessage) -> bytes:
        return await _answered(message, answer=responses, subjects=subjects, frame={})

    @broker.subscriber(
        f"{subjects.root}.payloads.*.*",
        queue=QUEUE,
        max_workers=MAX_PIECES,
        pending_bytes_limit=WAITING_PIECES_BYTES,
        decoder=_raw,
    )
    async def on_piece(message: NatsMessage) -> bytes:
        answer = partial(uploads, headers=message.raw_message.headers or {})
        return await _answered(message, answer=answer, subjects=subjects, frame={})

    @broker.subscriber(f"{subjects.root}.models.*", queue=QUEUE, decoder=_raw)
    async def on_models(message: NatsMessage) -> bytes:
        del message
        return models()

    @broker.subscriber(subjects.catalog(), decoder=_raw)  # no queue: each router tells what it uses
    async def on_catalog(message: NatsMessage) -> bytes:
        del message
        return catalog()


async def _raw(message: NatsMessage) -> bytes:
    """FastStream would decode by the sender's `content-type`, and send no reply where that fails."""
    return message.body if isinstance(message.body, bytes) else b""


async def _answered(message: NatsMessage, *, answer: Answer, subjects: Subjects, frame: Mapping[str, object]) -> bytes:
    try:
        address = subjects.parse_call(message.raw_message.subject)
        asker, asked = tenant(address.tenant), request_id(address.request_id)
        return await answer(asker, asked, payload=await _raw(message))
    except InvalidTokenError as error:
        problem = ErrorBody(ErrorCode.INVALID_SUBJECT, str(error))
    except RequestError as error:
        problem = error.body
    except BusError as error:
        _log.warning("a call could not be answered", extra={"error": error_site(error)})
        problem = ErrorBody(ErrorCode.OVERLOADED, "the bus does not give what is needed just now; ask again")
    except Exception as error:  # noqa: BLE001 - the outermost edge of a call: its sender must not wait in vain
        _log.error("a call failed", extra={"error": error_site(error)})
        problem = ErrorBody(ErrorCode.INTERNAL_ERROR, "an error of the router; its log has the detail")
    return orjson.dumps({**frame, "error": problem.to_wire()})
