"""Addresses: which provider and which operation a request is for.

The provider's whole URL path works behind `/p/<profile>`, so a real base URL needs nothing but another host:
`/p/fireworks/inference/v1/chat/completions`. Without that prefix the path is OpenAI's.
"""

import enum
import re
from collections.abc import Iterator, Mapping
from typing import Final, NamedTuple

from tokenbus_simulator.profiles import OPENAI, PROFILES, Profile


class Operation(enum.Enum):
    """What a request wants."""

    RESPONSES = enum.auto()
    CHAT = enum.auto()
    MODELS = enum.auto()
    RETRIEVE = enum.auto()
    CANCEL = enum.auto()
    DELETE = enum.auto()
    UNKNOWN = enum.auto()


class Address(NamedTuple):
    """Where a request goes."""

    operation: Operation
    profile: str = OPENAI
    mounted: bool = False
    """Whether the path names the provider; there a key is demanded, as there."""
    response_id: str = ""
    deployment: str | None = None
    """The model, where the path names it."""


_MOUNT: Final = re.compile(r"/p/(?P<profile>[a-z]+)(?P<path>/.*)")
_DEPLOYMENT: Final = re.compile(r"/deployments/(?P<name>[^/]+)(?P<path>/.*)")
_RESPONSE: Final = re.compile(r"/responses/(?P<id>[^/]+)(?P<rest>/cancel)?")

_PLAIN: Final[Mapping[tuple[str, str], Operation]] = {
    ("POST", "/responses"): Operation.RESPONSES,
    ("POST", "/chat/completions"): Operation.CHAT,
    ("GET", "/models"): Operation.MODELS,
}
_OF_RESPONSE: Final[Mapping[tuple[str, bool], Operation]] = {
    ("GET", False): Operation.RETRIEVE,
    ("DELETE", False): Operation.DELETE,
    ("POST", True): Operation.CANCEL,
}


def address_of(method: str, path: str, *, query: Mapping[str, str]) -> Address:
    """The address of a request; its operation is UNKNOWN where nothing is served."""
    mount = _MOUNT.fullmatch(path)
    name = mount["profile"] if mount else OPENAI
    profile = PROFILES.get(name)
    if profile is None:
        return Address(Operation.UNKNOWN)
    unknown = Address(Operation.UNKNOWN, name, mount is not None)
    for base, tail in _tails(mount["path"] if mount else path, profile):
        dated = base == profile.dated_path
        found = _served(method, tail, deployments=dated)
        if found.operation is not Operation.UNKNOWN and (not dated or "api-version" in query):
            return found._replace(profile=name, mounted=unknown.mounted)
    return unknown


def _tails(path: str, profile: Profile) -> Iterator[tuple[str, str]]:
    """What follows each of the provider's base paths that the path begins with."""
    dated = [profile.dated_path] if profile.dated_path else []
    for base in (profile.base_path, *profile.also, *dated):
        if path.startswith(f"{base}/"):
            yield base, path.removeprefix(base)


def _served(method: str, path: str, *, deployments: bool) -> Address:
    deployment = _DEPLOYMENT.fullmatch(path) if deployments else None
    if deployment:
        return _served(method, deployment["path"], deployments=False)._replace(deployment=deployment["name"])
    operation = _PLAIN.get((method, path))
    if operation:
        return Address(operation)
    response = _RESPONSE.fullmatch(path)
    if response is None:
        return Address(Operation.UNKNOWN)
    operation = _OF_RESPONSE.get((method, response["rest"] is not None), Operation.UNKNOWN)
    return Address(operation, response_id=response["id"])
