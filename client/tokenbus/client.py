"""The client: send chat requests over the bus, read, watch and cancel their answers."""

import secrets
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from types import TracebackType
from typing import Final, Self, Unpack, get_args

from pydantic import ValidationError

from tokenbus.bus import Bus, BusOptions, Login
from tokenbus.calls import InputItems, call, cancel, stored_response
from tokenbus.client_options import ClientOptions, OnExit
from tokenbus.errors import ContractError, InvalidRequestError
from tokenbus.live import LiveEvents, live_events
from tokenbus.params import JsonObject, RequestParams, request_body, with_recovery
from tokenbus.readings import Readings
from tokenbus.stream import ResponseStream
from tokenbus.submission import prepare
from tokenbus_schemas import (
    DEFAULT_ROOT,
    DEFAULT_TENANT,
    PRIORITY_CLASSES,
    InvalidTokenError,
    ModelList,
    PriorityClass,
    RequestId,
    Response,
    ResponseCall,
    ResponseReply,
    Subjects,
)
from tokenbus_schemas.control import CancelStatus
from tokenbus_schemas.replay import ReplayMode
from tokenbus_schemas.requests import Recovery
from tokenbus_schemas.stored_calls import ItemOrder
from tokenbus_schemas.subjects import request_id as checked_request_id
from tokenbus_schemas.subjects import tenant as checked_tenant

DEFAULT_SERVERS: Final = "nats://127.0.0.1:4222"
DEFAULT_TIMEOUT_S: Final = 600.0
"""A request's whole time, queueing included; the same as in OpenAI's SDKs."""


class Client:
    """Sends chat requests over a bus. `connect()` makes one with a bus of its own; services pass theirs.

    Enter it once. All streams of one client share one subscription; each has its own bounded buffer, so a slow reader
    delays no other. A stream whose buffer is full is refilled by replay: it loses nothing.
    """

    def __init__(
        self,
        bus: Bus,
        *,
        tenant: str = DEFAULT_TENANT,
        root: str = DEFAULT_ROOT,
        options: ClientOptions | None = None,
    ) -> None:
        """Raises `InvalidTokenError` for a tenant or root that can not be one subject token."""
        self._bus = bus
        self._tenant = checked_tenant(tenant)
        self._subjects = Subjects(root)
        self._options = options or ClientOptions()
        self._readings = Readings(bus, subjects=self._subjects, tenant=self._tenant, options=self._options)
        self._opened: LiveEvents | None = None
        self._live_context = live_events(
            bus, subjects=self._subjects, tenant=self._tenant, buffer_bytes=self._options.buffer_bytes
        )

    async def __aenter__(self) -> Self:
        self._opened = await self._live_context.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._opened = None
        await self._live_context.__aexit__(kind, error, trace)

    async def respond(
        self,
        request: JsonObject | None = None,
        *,
        priority_class: PriorityClass = "standard",
        timeout_s: float = DEFAULT_TIMEOUT_S,
        request_id: str | None = None,
        recovery: Recovery | None = None,
        **params: Unpack[RequestParams],
    ) -> Response:
        """Send a request and wait for the whole answer: completed, incomplete or cancelled, as its `status` says.

        The parameters are those of `stream()`. A cancel, as by `asyncio.timeout`, cancels the request too. Raises what
        `stream()` raises, `ResponseFailedError` for a failed answer, and `AnswerLostError`.
        """
        async with self.stream(
            request_body(request, params),
            priority_class=priority_class,
            timeout_s=timeout_s,
            request_id=request_id,
            recovery=recovery,
        ) as stream:
            return await stream.response()

    def stream(
        self,
        request: JsonObject | None = None,
        *,
        priority_class: PriorityClass = "standard",
        timeout_s: float = DEFAULT_TIMEOUT_S,
        request_id: str | None = None,
        on_exit: OnExit = "cancel",
        recovery: Recovery | None = None,
        **params: Unpack[RequestParams],
    ) -> ResponseStream:
        """Send a request when entered, and read its answer while it is written.

            async with client.stream(model="openai/gpt-4.1-mini", input="Hello") as stream: ...

        `request` is a whole chat-request body, `params` its parameters one by one; a parameter in both is taken from
        `params`. `timeout_s` counts from acceptance, queueing included, up to an hour. `request_id` is random unless
        given: 1 to 64 characters of A-Z, a-z, 0-9, '_', '-', hard to guess, since who knows it may watch and cancel.
        Leaving the `async with` before the end cancels the request, a cancelled task too; `on_exit="continue"` lets
        it run, for `attach()` to come back to.

        `recovery` says what happens when the answer breaks after its first event, as an executor or a provider may die:
        `restart` (the default, unless the request says another in its `tokenbus`) has it said anew, which `text` hides;
        `resume` has it go on exactly, where the provider can; `fail` ends it, with what came.

        Entering returns once the request is accepted. It raises `RequestRefusedError` (`InvalidRequestError`,
        `RequestTooLargeError`, `OverloadedError`, `NoRouterError`): nothing runs; or `BusError`, where it is not known
        whether the request was accepted, after trying to cancel it. To send it again under the same id is safe.
        """
        if priority_class not in PRIORITY_CLASSES:
            raise InvalidRequestError(f"must be one of {', '.join(PRIORITY_CLASSES)}", param="priority_class")
        identity = RequestId(secrets.token_hex(16)) if request_id is None else _checked(request_id)
        prepared = prepare(
            with_recovery(request_body(request, params), recovery=recovery),
            request_id=identity,
            subject=self._subjects.request(self._tenant, priority_class),
            upload_subject=self._subjects.payloads(self._tenant, identity),
            channel=self._live.channel,
            timeout_s=timeout_s,
        )
        reading = self._readings.submitted(prepared, live=self._live, on_exit=on_exit)
        return ResponseStream(reading, request_id=prepared.request_id, from_start=True)

    def attach(self, request_id: str, *, after: int = -1, mode: ReplayMode = "events") -> ResponseStream:
        """Watch the answer of any request of this tenant, from any process: what is stored, then what comes.

        `mode="snapshot"` is for who comes late to a long answer: first one `tokenbus:response.snapshot` event, with the
        response as it stands, then what follows it; of an answer that has ended, its terminal event alone.

        Only events with a `sequence_number` greater than `after` come, but the terminal event always does. Leaving does
        not cancel the request. Reading raises `UnknownRequestError` where there is no trace of the request, and
        `NoRespondersError` where no router runs.
        """
        identity = _checked(request_id)
        if after < -1:
            raise InvalidRequestError("must be a sequence number, or -1 for everything", param="after")
        if mode not in get_args(ReplayMode) or (mode == "snapshot" and after >= 0):
            raise InvalidRequestError("must be 'events', or 'snapshot' without after", param="mode")
        reading = self._readings.attached(identity, after=after, mode=mode)
        return ResponseStream(reading, request_id=identity, from_start=after < 0)

    async def cancel(self, request_id: str) -> CancelStatus:
        """Cancel any request of this tenant, in every phase, from any process.

        `cancelled`: it has ended so; `cancelling`: its executor was told; `ended`: it had ended before; `unknown`: no
        trace of it, and a mark is kept in case it still arrives. Raises `NoRespondersError` where no router runs, and
        `BusTimeoutError` where it is not known whether it took effect; to ask again is safe.
        """
        subject = self._subjects.control(self._tenant, _checked(request_id))
        return await cancel(self._bus, subject, timeout_s=self._options.call_timeout_s)

    async def retrieve(self, response_id: str) -> Response:
        """A stored response as it stands: queued, in progress, or ended in whatever way, from any process.

        `response_id` may be the request's id, too. Raises `UnknownRequestError` for one that is not there any more, was
        sent with `store` false, or is another tenant's; and as `cancel()`.
        """
        reply = await self._stored(response_id, ResponseCall(action="get"))
        try:
            return Response.model_validate(reply.response)
        except ValidationError as error:
            raise ContractError("the reply about a response", problems=error.error_count()) from error

    async def delete(self, response_id: str) -> None:
        """Delete a stored response, its input and its events; one that runs is cancelled first.

        Raises as `retrieve()`, and `CallRefusedError` where a running one does not end in time: delete it again then.
        """
        await self._stored(response_id, ResponseCall(action="delete"))

    async def input_items(
        self, response_id: str, *, limit: int = 20, order: ItemOrder = "desc", after: str | None = None
    ) -> InputItems:
        """What was said before a stored response, the conversation that it continues included: one page, at most 100.

        `order` "desc" begins with the newest; `after`: the id of the last item of the page before. Raises as
        `retrieve()`, and `InvalidRequestError` for an impossible limit.
        """
        try:
            call = ResponseCall(action="input_items", limit=limit, order=order, after=after)
        except ValidationError as error:
            raise InvalidRequestError("must be from 1 to 100", param="limit") from error
        reply = await self._stored(response_id, call)
        return InputItems(reply.items or [], reply.more)

    async def models(self) -> list[ModelList.Model]:
        """Every model ID of the catalog, with its providers in order. Raises `BusError`."""
        subject = self._subjects.models(self._tenant)
        reply = await call(self._bus, subject, payload=b"", reply=ModelList, timeout_s=self._options.call_timeout_s)
        return reply.models

    async def _stored(self, response_id: str, question: ResponseCall) -> ResponseReply:
        identity = _checked(response_id.removeprefix("resp_"))
        subject = self._subjects.response(self._tenant, identity)
        return await stored_response(
            self._bus, subject, question, request_id=identity, timeout_s=self._options.call_timeout_s
        )

    @property
    def _live(self) -> LiveEvents:
        if self._opened is None:
            raise RuntimeError("the client is not open; use it inside `async with`")
        return self._opened


@asynccontextmanager
async def connect(
    servers: str | Sequence[str] = DEFAULT_SERVERS,
    *,
    tenant: str = DEFAULT_TENANT,
    root: str = DEFAULT_ROOT,
    login: Login | None = None,
    bus_options: BusOptions | None = None,
    options: ClientOptions | None = None,
) -> AsyncGenerator[Client]:
    """A client with a connection of its own: `async with tokenbus.connect() as client`.

    `servers` are NATS URLs, which may hold user and password; `login` has the other ways to log in. `tenant` and `root`
    are the subject tokens of the installation. Leaving closes the connection. Raises `BusUnavailableError` where no
    server answers, `ValueError` for an impossible address, and `InvalidTokenError` for an impossible tenant or root.
    """
    checked_tenant(tenant)  # before five seconds go into a connection
    Subjects(root)
    async with (
        Bus.connect(
            servers, name="tokenbus client", login=login or Login(), options=bus_options or BusOptions()
        ) as bus,
        Client(bus, tenant=tenant, root=root, options=options) as client,
    ):
        yield client


def _checked(request_id: str) -> RequestId:
    try:
        return checked_request_id(request_id)
    except InvalidTokenError as error:
        raise InvalidRequestError(str(error), param="request_id") from error
