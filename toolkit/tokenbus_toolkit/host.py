"""A host of tools: what it offers on the bus, and the names that it may not have."""

import asyncio
import logging
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from pydantic import ValidationError

from tokenbus.bus import Bus, Message, MessageCallback, Subscription
from tokenbus.errors import BusError
from tokenbus.service_api import ERROR_CODE_HEADER, ERROR_HEADER
from tokenbus.tool_discovery import service_infos, tool_offers
from tokenbus_schemas.subjects import Subjects, scope, tool_name
from tokenbus_schemas.tools import ToolCall
from tokenbus_toolkit import results
from tokenbus_toolkit.calls import Calls
from tokenbus_toolkit.errors import ToolDefinitionError
from tokenbus_toolkit.journal import Journal, JournalTimes
from tokenbus_toolkit.live_call import ServedTool
from tokenbus_toolkit.rivalry import Rivalry, judge
from tokenbus_toolkit.service import QUEUE_GROUP, Listing, ServiceName, Services
from tokenbus_toolkit.tool import Tool

_log = logging.getLogger(__name__)


@dataclass(slots=True)
class _Endpoint:
    listing: Listing
    subscription: Subscription | None = None
    """None: another service has the name."""
    rival: str = ""
    """The service that offers another schema under this name, as last reported."""

    async def close(self) -> None:
        """Take no new calls; those received go on."""
        if self.subscription is not None:
            await self.subscription.drain()
            self.subscription = None


class ToolHost:
    """Made by `hosting.tool_host`. Tools may come and go while it runs."""

    def __init__(
        self,
        bus: Bus,
        service: ServiceName,
        *,
        subjects: Subjects,
        group: asyncio.TaskGroup,
        times: JournalTimes | None,
        ask_again_s: float,
    ) -> None:
        started = _now()
        self._bus = bus
        self._service = service
        self._subjects = subjects
        self._group = group
        self._ask_again_s = ask_again_s
        self._services = Services(bus, service, started=started)
        self._calls = Calls(
            bus, Journal(bus, root=subjects.root, runner=f"{service.name} {started}", times=times), group=group
        )
        self._endpoints: dict[str, _Endpoint] = {}

    @property
    def calls_in_hand(self) -> int:
        """Calls that were taken and have no result yet."""
        return self._calls.in_hand

    @property
    def refused(self) -> list[str]:
        """Subjects that this host does not serve, since another service serves something else there."""
        return [subject for subject, endpoint in self._endpoints.items() if not endpoint.listing.serves]

    async def serve(self, tools: Iterable[Tool]) -> None:
        """Offer these tools too; callable at once when this returns.

        A tool whose name another service serves with another schema is refused: that is logged, shown by `refused`, and
        asked again every 10 s until the name is free. Raises `ToolDefinitionError` for a name that this host has
        already, and `BusError`.
        """
        added: dict[str, _Endpoint] = {}
        for tool in tools:
            subject = self._subject(tool)
            if subject in self._endpoints or subject in added:
                raise ToolDefinitionError(tool.name, f"is defined twice in scope {tool.description.scope!r}")
            added[subject] = _Endpoint(Listing(ServedTool(tool)))
        self._endpoints |= added
        if added:
            await self._open(added)

    def has(self, tool: Tool) -> bool:
        """Whether this host has a tool of this scope and name, refused or not."""
        return self._subject(tool) in self._endpoints

    async def withdraw(self, tools: Iterable[Tool]) -> None:
        """Take no new calls of these tools; those in hand go on. What is not here is ignored. Raises `BusError`."""
        for subject in [self._subject(tool) for tool in tools]:
            endpoint = self._endpoints.pop(subject, None)
            if endpoint is None:
                continue
            self._services.hide(subject)
            await endpoint.close()

    async def beat(self) -> None:
        """Beside the calls until the last has ended: callers hear that their calls run, and claims are renewed."""
        await self._calls.beat()

    async def ask_again(self) -> None:
        """Until cancelled: asks now and then whether a refused name is free."""
        while True:
            await asyncio.sleep(self._ask_again_s)
            refused = {subject: self._endpoints[subject] for subject in self.refused}
            try:
                if refused:
                    await self._open(refused)
            except BusError as error:
                _log.warning("cannot ask who serves a tool", extra={"error": type(error).__name__})

    async def stop(self, *, timeout_s: float) -> None:
        """Be found no more, take no more, run what was received, then end what is not done after `timeout_s`."""
        await self._services.close()
        async with asyncio.TaskGroup() as group:
            for endpoint in self._endpoints.values():
                group.create_task(endpoint.close())
        await self._calls.drain(timeout_s=timeout_s)
        try:
            await self._bus.flush()
        except BusError as error:
            _log.warning("the last results may not have been sent", extra={"error": type(error).__name__})

    def receive_cancel(self, message: Message) -> None:
        """For the subscription on `Subjects.all_tool_cancels`."""
        self._calls.cancel(self._subjects.parse_tool_cancel(message.subject))

    async def _open(self, endpoints: Mapping[str, _Endpoint]) -> None:
        """Serve those that no other service has; hide the others. First everybody shows what it wants, then asks."""
        for subject, endpoint in endpoints.items():
            endpoint.listing.since = _now()
            await self._services.show(subject, endpoint.listing)
        await self._bus.flush()
        offers = tool_offers(await service_infos(self._bus), self._subjects)
        for subject, endpoint in endpoints.items():
            listing = endpoint.listing
            rivalry = judge(
                listing.served.tool.description,
                service=self._service.name,
                since=listing.since,
                instances=self._services.ids,
                others=[offer for offer in offers if offer.subject == subject],
            )
            _report(subject, endpoint, rivalry)
            if rivalry is not None and rivalry.refuses:
                self._services.hide(subject)
                await endpoint.close()
            elif self._endpoints.get(subject) is endpoint and endpoint.subscription is None:
                receiver = self._receiver(listing.served)
                endpoint.subscription = await self._bus.subscribe(subject, receiver, queue=QUEUE_GROUP)
        await self._bus.flush()
        for endpoint in endpoints.values():
            endpoint.listing.serves = endpoint.subscription is not None

    def _subject(self, tool: Tool) -> str:
        return self._subjects.tool(scope(tool.description.scope), tool_name(tool.name))

    def _receiver(self, served: ServedTool) -> MessageCallback:
        def receive(message: Message) -> None:
            try:
                call = ToolCall.model_validate_json(message.data)
            except ValidationError as error:
                self._group.create_task(self._refuse(served, error, reply=message.reply))
            else:
                self._calls.deliver(served, call, reply=message.reply)

        return receive

    async def _refuse(self, served: ServedTool, error: ValidationError, *, reply: str) -> None:
        """Names the fields and not their values."""
        found = error.errors(include_url=False, include_input=False, include_context=False)
        problem = "; ".join(f"{'.'.join(map(str, item['loc'])) or 'payload'}: {item['msg']}" for item in found)
        _log.warning("a tool call can not be read", extra={"tool": served.tool.name, "problem": problem})
        headers = {ERROR_HEADER: "the call can not be read", ERROR_CODE_HEADER: "400"}
        await self._calls.tell([reply] if reply else [], results.unreadable_call(problem), headers=headers)


def _report(subject: str, endpoint: _Endpoint, rivalry: Rivalry | None) -> None:
    """Once per rival."""
    rival = "" if rivalry is None else rivalry.rival.service
    if rival == endpoint.rival:
        return
    endpoint.rival = rival
    if rivalry is None:
        _log.info("a tool's name is free again", extra={"subject": subject})
        return
    extra = {"subject": subject, "service": rival, "instance": rivalry.rival.instance}
    if rivalry.refuses:
        _log.error("another service has this tool's name, with another schema: ours is not served", extra=extra)
    else:
        _log.warning("a tool is served with another schema too", extra=extra)


def _now() -> str:
    """ISO 8601 with a Z, as NATS services write it."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
