"""API keys: what a request presents, and whether it is what is demanded. Keys themselves are not kept."""

from collections.abc import Mapping
from typing import NamedTuple

from tokenbus_simulator.asked import RefusedError
from tokenbus_simulator.profiles import Profile
from tokenbus_simulator.record import fingerprint


class Credential(NamedTuple):
    """What a request presents: fingerprints of the key, and of the whole header as the record shows it."""

    of_key: str
    of_header: str


def credential_in(headers: Mapping[str, str], *, profile: Profile) -> Credential | None:
    """The credential in the headers a provider looks at, None if there is none."""
    for name in profile.key_headers:
        value = headers.get(name, "")
        key = value.removeprefix("Bearer ").strip() if name == "authorization" else value
        if key and key != "Bearer":
            return Credential(fingerprint(key), fingerprint(value))
    return None


def check_key(credential: Credential | None, *, demanded: str | None, needed: bool) -> None:
    """Raises `RefusedError` unless the credential is the key demanded, or, if none is, any where one is needed."""
    if credential is None:
        if demanded is not None or needed:
            raise RefusedError("You didn't provide an API key.", status=401)
    elif demanded is not None and not {demanded, fingerprint(demanded)} & {*credential}:
        raise RefusedError("Incorrect API key provided.", code="invalid_api_key", status=401)
