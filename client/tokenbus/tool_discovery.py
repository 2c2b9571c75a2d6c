"""Which tools are served right now, by whom: read from the services themselves, over NATS's service API."""

import logging
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from pydantic import ValidationError

from tokenbus.bus import Bus
from tokenbus.gathering import gather
from tokenbus.service_api import EndpointInfo, ServiceInfo
from tokenbus_schemas.subjects import Subjects
from tokenbus_schemas.tools import ToolDescription

_log = logging.getLogger(__name__)

TOOL_METADATA: Final = "tokenbus.tool"
"""The key in an endpoint's metadata whose value is a `ToolDescription` as JSON."""
SINCE_METADATA: Final = "tokenbus.since"
"""The key in an endpoint's metadata that says since when the tool is offered there: ISO 8601, UTC."""


CANDIDATE_METADATA: Final = "tokenbus.candidate"
"""The key in an endpoint's metadata, with any value, of a host that does not take calls of this tool yet."""


@dataclass(frozen=True, slots=True)
class ToolOffer:
    """One instance of a service that offers a tool. `serves`: it takes calls; else it would like to."""

    subject: str
    service: str
    instance: str
    service_version: str
    since: str
    serves: bool
    description: ToolDescription

    @property
    def rank(self) -> tuple[tuple[int, ...], str, str]:
        """Of offers that differ, the highest counts: the newest version, then the latest."""
        numbers = self.description.version.partition("-")[0].partition("+")[0].split(".")
        return tuple(int(number) if number.isdigit() else 0 for number in numbers), self.since, self.instance


@dataclass(frozen=True, slots=True)
class ServedTool:
    """A tool as callers see it. `offers` is not empty; the first one describes it."""

    subject: str
    offers: tuple[ToolOffer, ...]

    @property
    def description(self) -> ToolDescription:
        return self.offers[0].description

    @property
    def in_conflict(self) -> bool:
        """Its hosts do not agree on the schema: a rolling update, or two services with one name for two things."""
        return any(offer.description.parameters != self.description.parameters for offer in self.offers)


async def discover(bus: Bus, subjects: Subjects) -> list[ServedTool]:
    """Everything that is served under this root, by subject. Takes 0.1 to 0.6 s. Raises what `Bus.publish` raises."""
    return served_tools(tool_offers(await service_infos(bus), subjects))


async def service_infos(bus: Bus) -> list[ServiceInfo]:
    """What all services say of themselves, ours or not."""
    infos: list[ServiceInfo] = []
    for answer in await gather(bus, "$SRV.INFO"):
        try:
            infos.append(ServiceInfo.model_validate_json(answer))
        except ValidationError:
            _log.warning("a service answered $SRV.INFO with what is no info")
    return infos


def tool_offers(infos: Iterable[ServiceInfo], subjects: Subjects) -> list[ToolOffer]:
    """The tools among what services say, each as often as it is offered. Pure."""
    found = (_offer(info, endpoint, subjects) for info in infos for endpoint in info.endpoints)
    return [offer for offer in found if offer is not None]


def served_tools(offers: Iterable[ToolOffer]) -> list[ServedTool]:
    """What callers may call, by subject. Pure."""
    served: dict[str, list[ToolOffer]] = {}
    for offer in offers:
        if offer.serves:
            served.setdefault(offer.subject, []).append(offer)
    return [
        ServedTool(subject, tuple(sorted(found, key=lambda offer: offer.rank, reverse=True)))
        for subject, found in sorted(served.items())
    ]


def _offer(info: ServiceInfo, endpoint: EndpointInfo, subjects: Subjects) -> ToolOffer | None:
    text = endpoint.metadata.get(TOOL_METADATA)
    if text is None:
        return None
    try:
        subjects.parse_tool(endpoint.subject)
    except ValueError:
        return None  # of another root
    try:
        description = ToolDescription.model_validate_json(text)
    except ValidationError:
        extra = {"service": info.name, "instance": info.id, "subject": endpoint.subject}
        _log.warning("a service describes a tool in a way that can not be read", extra=extra)
        return None
    since = endpoint.metadata.get(SINCE_METADATA, "")
    return ToolOffer(
        endpoint.subject,
        service=info.name,
        instance=info.id,
        service_version=info.version,
        since=since,
        serves=CANDIDATE_METADATA not in endpoint.metadata,
        description=description,
    )
