"""What becomes of a chat-request event. Pure.

the subject or the identity is unusable    Dead: there is nowhere to answer
anything else is wrong                     Refused: `response.failed` names the field
it goes on from an earlier response        Continues: to be decided again, with what was said before
else                                       Admitted: a work order for the pool of the first target
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Final, NamedTuple, cast

import orjson

from tokenbus_router.conversation import History, is_stored, own_input, record_of
from tokenbus_router.request_checks import check_parts
from tokenbus_router.routing import route
from tokenbus_router.routing_table import RoutingTable
from tokenbus_router.unanswered import ANNOUNCED, Asked
from tokenbus_schemas import (
    PRIORITY_CLASSES,
    Channel,
    ChatRequest,
    ErrorBody,
    ErrorCode,
    PayloadRef,
    Pool,
    PriorityClass,
    RequestError,
    RequestHeaders,
    RequestId,
    StoredRequest,
    Subjects,
    Tenant,
    WorkOrder,
    check_request,
    parse_identity,
    parse_request_headers,
)
from tokenbus_schemas.headers import CHANNEL, PAYLOAD, TRACEPARENT, TRACESTATE
from tokenbus_schemas.model_id import MAX_LENGTH
from tokenbus_schemas.requests import Recovery
from tokenbus_schemas.subjects import is_priority_class, tenant
from tokenbus_schemas.work import ATTEMPTS_PER_HOP, HOPS_PER_SUBMISSION
from tokenbus_translate.chat_request import to_responses


@dataclass(frozen=True, slots=True)
class Arrival:
    """A message of REQUESTS."""

    subject: str
    headers: Mapping[str, str]
    payload: bytes
    accepted_at: float
    """The broker's timestamp, Unix seconds."""


class Sender(NamedTuple):
    """What subject and identity headers say."""

    tenant: Tenant
    priority_class: PriorityClass
    request_id: RequestId
    channel: Channel


@dataclass(frozen=True, slots=True)
class Dead:
    """Nobody can be answered."""

    error: ErrorBody


@dataclass(frozen=True, slots=True)
class Refused:
    """The sender reads why in a failed response."""

    asked: Asked
    error: ErrorBody
    echo: Mapping[str, object] | None = None
    """The normalised request, where it got that far."""


@dataclass(frozen=True, slots=True)
class Admitted:
    """Work for a pool."""

    asked: Asked
    pool: Pool
    priority_class: PriorityClass
    deadline: float
    """When the request expires, Unix seconds."""
    payload: bytes
    """The work order, encoded."""
    order: WorkOrder
    message_id: str
    """Deduplicates the work, should the request be delivered to a router again."""
    headers: Mapping[str, str]
    """Channel and trace context, passed on."""
    request: Mapping[str, object]
    """The normalised request: the echo, should the work be refused after all."""
    record: bytes | None
    """What is kept of it, a `StoredRequest`; None where nothing is to be kept."""


@dataclass(frozen=True, slots=True)
class Continues:
    """It is good so far, and goes on from an earlier response."""

    previous: str
    """The id of that response, as it was sent."""


_CLASSES: Final = ", ".join(PRIORITY_CLASSES)


@dataclass(frozen=True, slots=True)
class Intake:
    """Decides; holds what does not change from request to request."""

    table: Callable[[], RoutingTable]
    """The one in use: the catalog may change between two requests."""
    subjects: Subjects
    default_timeout_s: float
    stores: bool = True
    """Whether responses may be stored at all."""

    def identify(self, arrival: Arrival) -> Sender | Dead:
        """Where answers go, whatever the rest of the message is."""
        try:
            asker, priority_class = self._address(arrival.subject)
            request_id, channel = parse_identity(arrival.headers)
        except RequestError as error:
            return Dead(error.body)
        return Sender(asker, priority_class, request_id, channel)

    def decide(
        self, arrival: Arrival, *, sender: Sender, now: float, before: History | RequestError | None = None
    ) -> Refused | Admitted | Continues:
        """`now`: Unix seconds. `before`: what it continues, or why it can not. Raises nothing, whatever was sent."""
        body = _parse(arrival.payload)
        asked = Asked(sender.tenant, sender.request_id, sender.channel, _model_of(body), arrival.accepted_at)
        try:
            return self._admit(
                body, asked=asked, arrival=arrival, priority_class=sender.priority_class, now=now, before=before
            )
        except RequestError as error:
            return Refused(asked, error.body, _echo(body))

    def _admit(
        self,
        body: object,
        *,
        asked: Asked,
        arrival: Arrival,
        priority_class: PriorityClass,
        now: float,
        before: History | RequestError | None,
    ) -> Admitted | Continues:
        headers = parse_request_headers(arrival.headers)
        deadline = self._deadline(arrival, headers=headers, now=now)
        if isinstance(body, RequestError):
            raise body
        request = check_request(body)
        check_parts(request)
        hop = 1 + headers.resubmission * HOPS_PER_SUBMISSION
        routed = route(request, body=_normalised(body), table=self.table())
        if isinstance(before, RequestError):
            raise before
        if request.previous_response_id is not None and before is None:
            return Continues(request.previous_response_id)
        said = dict(routed.body) if self.stores else {**routed.body, "store": False}
        if request.background:
            _need_store(said, stores=self.stores)
            asked = replace(asked, announced=ANNOUNCED)
        own = own_input(said, before=before)
        if before is not None:
            said["input"] = [*before.items, *own]
        order = WorkOrder(
            version=1,
            request_id=asked.request_id,
            tenant=asked.tenant,
            channel=asked.channel,
            priority_class=priority_class,
            accepted_at=arrival.accepted_at,
            deadline=deadline,
            hop=hop,
            attempt_base=(hop - 1) * ATTEMPTS_PER_HOP,
            model=request.model,
            request=said,
            history=[] if before is None else before.said,
            published=asked.announced,
            dropped=list(routed.dropped),
            targets=list(routed.targets),
            strategy=routed.strategy,
            recovery=_recovery(request),
            max_tool_rounds=request.tokenbus.max_tool_rounds,
        )
        return Admitted(
            asked=asked,
            pool=Pool(routed.targets[0].pool),
            priority_class=priority_class,
            deadline=deadline,
            payload=_dump(order),
            order=order,
            message_id=f"{asked.tenant}.{asked.request_id}.{order.hop}",
            headers=_work_headers(headers),
            request=said,
            record=_dump(record_of(said, own=own, before=before, asked=asked)) if is_stored(said) else None,
        )

    def _address(self, subject: str) -> tuple[Tenant, PriorityClass]:
        try:
            address = self.subjects.parse_request(subject)
            asker = tenant(address.tenant)
        except ValueError as error:  # InvalidTokenError is one
            raise RequestError(ErrorCode.INVALID_SUBJECT, str(error)) from error
        if not is_priority_class(address.priority_class):
            raise RequestError(ErrorCode.INVALID_SUBJECT, f"subject {subject!r} ends in no class; classes: {_CLASSES}")
        return asker, address.priority_class

    def _deadline(self, arrival: Arrival, *, headers: RequestHeaders, now: float) -> float:
        timeout_s = self.default_timeout_s if headers.timeout_s is None else headers.timeout_s
        deadline = arrival.accepted_at + timeout_s
        if now >= deadline:
            raise RequestError(
                ErrorCode.DEADLINE_EXCEEDED,
                f"the request's time of {timeout_s:g} s was up before it was routed; send it again with more time",
            )
        return deadline


def by_reference(admitted: Admitted, *, ref: PayloadRef) -> Admitted:
    """Work whose normalised request is stored apart, and `ref` refers to that."""
    order = admitted.order.model_copy(update={"request": {}})
    headers = {**admitted.headers, PAYLOAD: ref.to_wire()}
    return replace(admitted, payload=_dump(order), order=order, headers=headers)


def _recovery(request: ChatRequest) -> Recovery:
    """What was asked for; else resume, where the provider may keep the answer in the background, and fail elsewhere: an
    answer in the background begins later, and OpenAI's clients know no rewind."""
    return request.tokenbus.recovery or ("resume" if request.background else "fail")


def _parse(payload: bytes) -> object:
    """The JSON value, or the error that says why there is none."""
    try:
        return orjson.loads(payload)
    except orjson.JSONDecodeError as error:
        return RequestError(ErrorCode.INVALID_JSON, f"the payload is not JSON: {error.msg}", param=None)


def _model_of(body: object) -> str:
    """The model as far as an unchecked body names one."""
    model = cast("dict[str, object]", body).get("model") if isinstance(body, dict) else None
    return model if isinstance(model, str) and len(model) <= MAX_LENGTH else ""


def _normalised(body: object) -> dict[str, object]:
    """Open Responses plus chat-only parameters, of a body that was checked."""
    return to_responses(
        {name: value for name, value in cast("dict[str, object]", body).items() if name not in ("model", "tokenbus")}
    )


def _echo(body: object) -> Mapping[str, object] | None:
    """What the response to a refused request says of it: its metadata, to know it by. Anything more could repeat the
    wrong value, and such a response would not fit the types that readers parse it with."""
    try:
        return {"metadata": check_request(body).metadata}
    except RequestError:
        return None


def _dump(model: WorkOrder | StoredRequest) -> bytes:
    # The fields of a pydantic object are its `__dict__`: orjson walks them ten times faster than `model_dump_json`.
    try:
        return orjson.dumps(vars(model), default=vars)
    except orjson.JSONEncodeError as error:
        raise RequestError(
            ErrorCode.INVALID_VALUE, "the request is nested too deeply; send at most 200 levels", param=None
        ) from error


def _need_store(body: Mapping[str, object], *, stores: bool) -> None:
    """Nobody waits for a background response: it must be kept, to be read at all."""
    if not is_stored(body):
        problem = "send `store` true with it" if stores else "leave it out, this installation stores no responses"
        message = f"background: needs a response that is stored; {problem}"
        raise RequestError(ErrorCode.INVALID_REQUEST, message, param="background")


def _work_headers(headers: RequestHeaders) -> Mapping[str, str]:
    """With the channel, for whoever must end the request without reading the order."""
    passed_on = {CHANNEL: str(headers.channel), TRACEPARENT: headers.traceparent, TRACESTATE: headers.tracestate}
    return {name: value for name, value in passed_on.items() if value is not None}
