"""The file of keys: which API keys and LiveKit keys there are, and what each may have.

    keys:
      - id: 5f2c81ab90de
        hash: sha256:…
        name: the voice team
        tenant: voice
        models: [openai/*]
        class: priority
        limits: {requests_per_minute: 600, concurrent_requests: 50}
    livekit:
      - key: APIa1b2c3
        secret_env: LIVEKIT_API_SECRET

Hashes may be read by anybody; a LiveKit secret is named, not written down.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Self

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from tokenbus_gateway.access.api_keys import is_hash
from tokenbus_gateway.access.caller import Caller, Limits
from tokenbus_schemas import DEFAULT_TENANT, PriorityClass, Tenant
from tokenbus_schemas.requests import field_path
from tokenbus_schemas.subjects import TOKEN_PATTERN

_STRICT = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)
_Positive = Annotated[int, Field(ge=1)]


class AccessFileError(ValueError):
    """The file can not be used; the text names the file, the place in it, and what is wrong there."""


class LimitsEntry(BaseModel):
    """What one key may use in each gateway process."""

    model_config = _STRICT

    requests_per_minute: _Positive | None = Field(default=None, description="Requests begun per minute.")
    tokens_per_minute: _Positive | None = Field(
        default=None, description="Tokens per minute, input and output together."
    )
    concurrent_requests: _Positive | None = Field(default=None, description="Requests running at once.")


class _Entry(BaseModel):
    model_config = _STRICT

    name: str | None = Field(default=None, description="For people.")
    tenant: Annotated[str, Field(pattern=f"^{TOKEN_PATTERN}$")] = Field(
        default=DEFAULT_TENANT, description="Whose it is."
    )
    models: tuple[str, ...] = Field(
        default=("*",), min_length=1, description="Patterns of model IDs, such as openai/*."
    )
    priority_class: PriorityClass = Field(
        default="standard", alias="class", description="The class of its requests, and the best one may ask for."
    )
    limits: LimitsEntry = Field(default=LimitsEntry.model_construct(), description="What it may use.")

    def caller(self, key_id: str) -> Caller:
        limits = Limits(
            requests_per_minute=self.limits.requests_per_minute,
            tokens_per_minute=self.limits.tokens_per_minute,
            concurrent_requests=self.limits.concurrent_requests,
        )
        return Caller(key_id, Tenant(self.tenant), self.models, self.priority_class, limits)


class ApiKeyEntry(_Entry):
    """An API key, made by `tokenbus keys create`."""

    id: Annotated[str, Field(pattern="^[0-9a-f]{12}$")] = Field(description="The part of the key that finds this row.")
    hash: str = Field(description="sha256:<salt>:<digest>.")

    @model_validator(mode="after")
    def _hash_is_one(self) -> Self:
        if not is_hash(self.hash):
            raise ValueError("hash must be sha256:<salt>:<digest>, as `tokenbus keys create` writes it")
        return self


class LiveKitEntry(_Entry):
    """A LiveKit API key, whose secret signs its tokens."""

    key: Annotated[str, Field(min_length=1)] = Field(description="LIVEKIT_API_KEY of the agents.")
    secret_env: str | None = Field(default=None, description="Environment variable that holds its secret.")
    secret_file: Path | None = Field(default=None, description="File that holds its secret.")

    @model_validator(mode="after")
    def _one_source(self) -> Self:
        if (self.secret_env is None) == (self.secret_file is None):
            raise ValueError("give one of secret_env and secret_file")
        return self

    def secret(self, environment: Mapping[str, str]) -> str:
        """Raises `ValueError`, naming where it was looked for."""
        if self.secret_env is not None:
            found = environment.get(self.secret_env, "").strip()
            place = f"environment variable {self.secret_env}"
        else:
            assert self.secret_file is not None
            place = f"file {self.secret_file}"
            try:
                found = self.secret_file.read_text().strip()
            except OSError as error:
                raise ValueError(f"secret of {self.key}: {place} can not be read ({error.strerror})") from error
        if len(found) < 32:  # RFC 7518 section 3.2: an HMAC key is at least as long as its hash
            raise ValueError(f"secret of {self.key}: {place} must hold at least 32 characters, as LiveKit's secrets do")
        return found


class AccessFile(BaseModel):
    """The whole file."""

    model_config = _STRICT

    keys: tuple[ApiKeyEntry, ...] = Field(default=(), description="API keys.")
    livekit: tuple[LiveKitEntry, ...] = Field(default=(), description="LiveKit API keys.")

    @model_validator(mode="after")
    def _ids_differ(self) -> Self:
        for kind, names in (("keys", [row.id for row in self.keys]), ("livekit", [row.key for row in self.livekit])):
            if twice := _first_repeated(names):
                raise ValueError(f"{kind}: {twice} stands there twice; keep one row")
        return self


def read_access_file(path: Path) -> AccessFile:
    """Raises `AccessFileError`."""
    try:
        text = path.read_text()
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
        raise AccessFileError(f"{path}: can not be read: {reason}") from error
    return parse_access_file(text, path=path)


def parse_access_file(text: str, *, path: Path) -> AccessFile:
    """The file's text, checked; `path` is for messages. Raises `AccessFileError`."""
    try:
        data: object = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise AccessFileError(f"{path}: is no YAML: {getattr(error, 'problem', None) or 'broken'}") from error
    try:
        return AccessFile.model_validate(data or {})
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        raise AccessFileError(f"{path}: {field_path(first['loc']) or 'file'}: {first['msg']}") from error


def _first_repeated(names: Sequence[str]) -> str | None:
    return next((name for place, name in enumerate(names) if name in names[:place]), None)
