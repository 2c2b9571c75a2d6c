"""Tools that are HTTP endpoints."""

from collections.abc import AsyncGenerator, Iterable
from contextlib import asynccontextmanager
from typing import Final

import httpx2
from pydantic import JsonValue

from tokenbus_toolkit import File, Image, Tool, ToolContext, ToolError, raw_tool
from tokenbus_tools.http_request import check_places, http_request
from tokenbus_tools.tools_file import HttpToolRow

_CONNECT_TIMEOUT_S: Final = 10.0
_SHOWN_CHARACTERS: Final = 2000
"""Of the body of a refusal."""
_TEXTS: Final = ("text/", "application/json", "application/xml", "application/javascript", "application/yaml")
IDEMPOTENCY_HEADER: Final = "Idempotency-Key"
"""https://datatracker.ietf.org/doc/draft-ietf-httpapi-idempotency-key-header/ (read 2026-11-20)."""


@asynccontextmanager
async def http_tools(rows: Iterable[HttpToolRow]) -> AsyncGenerator[list[Tool]]:
    """Tools that share one client. Redirects are not followed: the file says where requests go, and nobody else.

    Raises `ToolsFileError` and `ToolDefinitionError`.
    """
    # A run's time is limited by its tool, so reads and writes have no limit of their own.
    timeout = httpx2.Timeout(None, connect=_CONNECT_TIMEOUT_S)
    async with httpx2.AsyncClient(timeout=timeout, follow_redirects=False) as client:
        yield [http_tool(row, client=client) for row in rows]


def http_tool(row: HttpToolRow, *, client: httpx2.AsyncClient) -> Tool:
    """Raises `ToolsFileError` and `ToolDefinitionError`."""
    check_places(row)

    async def call(arguments: dict[str, JsonValue], context: ToolContext) -> str | Image | File:
        request = http_request(row, arguments)
        try:
            async with client.stream(
                row.method,
                request.url,
                json=request.body,
                headers={**row.headers, IDEMPOTENCY_HEADER: context.key},
            ) as response:
                return _output(row, response, await _body(response, limit=row.max_output_bytes))
        except (httpx2.ConnectError, httpx2.ConnectTimeout) as error:
            raise ToolError("The service behind this tool can not be reached; nothing was sent to it.") from error
        except httpx2.HTTPError as error:
            raise ToolError(
                "The connection to the service behind this tool broke; the call may have taken effect."
            ) from error

    return raw_tool(
        name=row.name,
        description=row.description,
        parameters=row.parameters,
        version=row.version,
        scope=row.scope,
        strict=row.strict,
        idempotent=row.may_run_again,
        timeout_s=row.timeout_s,
        concurrency=row.concurrency,
        max_output_bytes=row.max_output_bytes,
    )(call)


async def _body(response: httpx2.Response, *, limit: int) -> bytes:
    """Raises `ToolError` as soon as it is too long."""
    body = bytearray()
    async for chunk in response.aiter_bytes():
        body += chunk
        if len(body) > limit:
            raise ToolError(f"The service's answer is over the limit of {limit} bytes and was discarded. Ask for less.")
    return bytes(body)


def _output(row: HttpToolRow, response: httpx2.Response, body: bytes) -> str | Image | File:
    media_type = response.headers.get("content-type", "").partition(";")[0].strip().lower()
    is_text = not media_type or media_type.startswith(_TEXTS) or media_type.endswith(("+json", "+xml"))
    text = body.decode(response.encoding or "utf-8", "replace") if is_text else ""
    if not response.is_success:
        detail = f": {text[:_SHOWN_CHARACTERS]}" if text else ""
        raise ToolError(f"The service behind this tool answered {response.status_code}{detail}")
    if is_text:
        return text
    if media_type.startswith("image/"):
        return Image.of(body, media_type=media_type)
    return File.of(body, name=row.name, media_type=media_type)
