"""The tools file: HTTP endpoints and MCP servers whose tools the service hosts. YAML; README.md shows one.

`${NAME}` in a URL, a header or a variable of a server's environment stands for the environment variable NAME of the
tools service, so that no secret stands in the file.
"""

import re
from collections.abc import Mapping
from typing import Annotated, Final, Literal, Self

import yaml
from pydantic import AnyHttpUrl, BaseModel, ConfigDict, Field, JsonValue, ValidationError, model_validator

from tokenbus_schemas.tools import SHARED_SCOPE, Token
from tokenbus_tools.errors import ToolsFileError

Method = Literal["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"]
REPEATABLE_METHODS: Final[frozenset[Method]] = frozenset({"GET", "HEAD"})
"""PUT and DELETE are idempotent in HTTP too, but what a service makes of them is for the author of the file to say."""

_VARIABLE: Final = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)\}")
_ROW: Final = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)
_Prefix = Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{1,32}$")]


class HttpToolRow(BaseModel):
    """A tool that is an HTTP endpoint."""

    model_config = _ROW

    name: Token
    description: str
    parameters: dict[str, JsonValue] = Field(description="JSON Schema of the arguments object.")
    url: str = Field(description="With `{parameter}` in the path where an argument goes.")
    method: Method = "GET"
    headers: dict[str, str] = {}
    scope: Token = SHARED_SCOPE
    version: str = "0.0.0"
    strict: bool = False
    idempotent: bool | None = Field(None, description="Unset: GET and HEAD are.")
    timeout_s: float = Field(30.0, gt=0)
    concurrency: int = Field(64, gt=0)
    max_output_bytes: int = Field(512 * 1024, gt=0)

    @property
    def may_run_again(self) -> bool:
        return self.method in REPEATABLE_METHODS if self.idempotent is None else self.idempotent


class McpServerRow(BaseModel):
    """An MCP server: a command that speaks it over stdio, or a URL that speaks it over streamable HTTP."""

    model_config = _ROW

    name: _Prefix = Field(description="Leads the names of its tools: `<name>_<tool>`.")
    command: str | None = None
    args: list[str] = []
    env: dict[str, str] = {}
    url: str | None = None
    headers: dict[str, str] = {}
    scope: Token = SHARED_SCOPE
    tools: list[str] | None = Field(None, description="Only these, by the server's own names; unset: all.")
    idempotent: list[str] = Field([], description="Those that may be run again, by the server's own names.")
    timeout_s: float = Field(60.0, gt=0)
    concurrency: int = Field(16, gt=0)

    @model_validator(mode="after")
    def _one_transport(self) -> Self:
        if (self.command is None) == (self.url is None):
            raise ValueError("write either command, with args and env, or url, with headers")
        if self.command is not None and self.headers:
            raise ValueError("headers: only a server with a url has them; a command has env")
        if self.url is not None and (self.args or self.env):
            raise ValueError("args, env: only a server with a command has them; a url has headers")
        return self


class ToolsFile(BaseModel):
    """The whole file."""

    model_config = _ROW

    http: list[HttpToolRow] = []
    mcp: list[McpServerRow] = []


def read_tools_file(text: str, *, environment: Mapping[str, str]) -> ToolsFile:
    """Raises `ToolsFileError`, which never quotes a variable's value."""
    try:
        data: object = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise ToolsFileError([f"the tools file is not YAML: {error}"]) from error
    try:
        found = ToolsFile.model_validate({} if data is None else data)
    except ValidationError as error:
        problems = error.errors(include_url=False, include_input=False, include_context=False)
        raise ToolsFileError([f"{'.'.join(map(str, p['loc'])) or 'the file'}: {p['msg']}" for p in problems]) from None
    filled = _Filled(environment)
    file = ToolsFile(
        http=[
            row.model_copy(update={"url": filled.text(row.url), "headers": filled.values(row.headers)})
            for row in found.http
        ],
        mcp=[
            row.model_copy(
                update={
                    "url": None if row.url is None else filled.text(row.url),
                    "headers": filled.values(row.headers),
                    "env": filled.values(row.env),
                }
            )
            for row in found.mcp
        ],
    )
    problems = [*(f"${{{name}}}: is not set in the environment" for name in filled.missing), *_bad_urls(file)]
    if problems:
        raise ToolsFileError(problems)
    return file


class _Filled:
    def __init__(self, environment: Mapping[str, str]) -> None:
        self.missing: list[str] = []
        self._environment = environment

    def text(self, text: str) -> str:
        return _VARIABLE.sub(self._value, text)

    def values(self, texts: Mapping[str, str]) -> dict[str, str]:
        return {name: self.text(text) for name, text in texts.items()}

    def _value(self, found: re.Match[str]) -> str:
        value = self._environment.get(found[1])
        if value is None:
            self.missing.append(found[1])
        return value or ""


class _Url(BaseModel):
    url: AnyHttpUrl


def _bad_urls(file: ToolsFile) -> list[str]:
    rows = [*((f"http tool {row.name}", row.url) for row in file.http)]
    rows += [(f"mcp server {row.name}", row.url) for row in file.mcp if row.url is not None]
    problems: list[str] = []
    for where, url in rows:
        try:
            _Url.model_validate({"url": url})
        except ValidationError:
            problems.append(f"{where}: url is no http:// or https:// address")
    return problems
