"""From the Authorization header to the caller."""

from collections.abc import Mapping
from pathlib import Path

from tokenbus_gateway.access.access_file import AccessFile
from tokenbus_gateway.access.api_keys import mint_key, parse_key, secret_fits
from tokenbus_gateway.access.caller import ANYONE, Caller
from tokenbus_gateway.access.livekit_tokens import TokenRefusedError, check_token, claimed_key
from tokenbus_gateway.api_errors import RefusedError, bad_key, no_key

_NOBODY = mint_key().hash
"""Compared with where the key id is unknown, so that the answer takes as long as for a known one."""


class Authenticator:
    """Knows every key. Without any it lets everybody in; then the gateway listens on this machine only."""

    def __init__(self, file: AccessFile, *, environment: Mapping[str, str]) -> None:
        """Raises `ValueError`, naming the place, for a secret that is not there."""
        self._take(file, environment=environment)

    def __len__(self) -> int:
        """How many keys are known."""
        return len(self._callers)

    @property
    def secret_files(self) -> tuple[Path, ...]:
        """Where LiveKit's secrets were read."""
        return self._secret_files

    def replace(self, file: AccessFile, *, environment: Mapping[str, str]) -> None:
        """From now on these keys count. Raises `ValueError`, and then those before it do."""
        if not self.open and not (file.keys or file.livekit):
            raise ValueError("no key is left, which would let everybody in; restart the gateway if that is meant")
        self._take(file, environment=environment)

    def _take(self, file: AccessFile, *, environment: Mapping[str, str]) -> None:
        secrets = {entry.key: entry.secret(environment) for entry in file.livekit}
        self._keys = {entry.id: (entry.hash, entry.caller(entry.id)) for entry in file.keys}
        self._livekit = {
            entry.key: (secrets[entry.key], entry.caller(f"livekit:{entry.key}")) for entry in file.livekit
        }
        self._callers = {caller.key_id: caller for _, caller in (*self._keys.values(), *self._livekit.values())}
        self._secret_files = tuple(entry.secret_file for entry in file.livekit if entry.secret_file is not None)

    @property
    def open(self) -> bool:
        """No key is configured."""
        return not self._keys and not self._livekit

    def renewed(self, caller: Caller) -> Caller:
        """What the key of a caller that was let in before is allowed now. Raises `RefusedError` (401) if it is gone."""
        if self.open:
            return ANYONE
        if (found := self._callers.get(caller.key_id)) is None:
            raise RefusedError(bad_key("the API key of this connection is not valid any more"))
        return found

    def caller(self, authorization: str | None) -> Caller:
        """Raises `RefusedError` (401)."""
        if self.open:
            return ANYONE
        scheme, _, credentials = (authorization or "").partition(" ")
        token = credentials.strip()
        if scheme.lower() != "bearer" or not token:
            raise RefusedError(no_key())
        return self._by_token(token) if token.count(".") == 2 else self._by_key(token)

    def _by_key(self, text: str) -> Caller:
        parts = parse_key(text)
        if parts is not None:
            hashed, caller = self._keys.get(parts.key_id, (_NOBODY, None))
            if secret_fits(parts.secret, hashed=hashed) and caller is not None:
                return caller
        raise RefusedError(bad_key("Incorrect API key provided. Make one with `tokenbus keys create`."))

    def _by_token(self, token: str) -> Caller:
        found = self._livekit.get(claimed_key(token) or "")
        if found is None:
            raise RefusedError(bad_key("the LiveKit token was made with an API key that this gateway does not know"))
        secret, caller = found
        try:
            check_token(token, secret=secret)
        except TokenRefusedError as error:
            raise RefusedError(bad_key(str(error))) from error
        return caller
