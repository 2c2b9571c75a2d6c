"""The executor's HTTP: one pool of connections to all providers, and calls that go out under a prepared head."""

import asyncio
import io
import time
from collections.abc import AsyncGenerator, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from typing import Final

import aiohttp
import httpx2
import orjson
from yarl import URL

from tokenbus_executor.errors import UpstreamError
from tokenbus_executor.upstreams.failures import opening_failure, reading_failure, refusal
from tokenbus_executor.upstreams.heads import RequestHead

KEEPALIVE_S: Final = 120.0
"""How long an idle connection is kept: a new one costs two round trips, with TLS three."""
_IN_ONE_WRITE: Final = 2**20
"""A larger body goes out as a file, in pieces, with other work between them."""
_ERROR_BODY_BYTES: Final = 64 * 1024
_ERROR_BODY_S: Final = 2.0
"""How much of a refusal is read and how long that may take: its status says nearly as much."""


@asynccontextmanager
async def open_session() -> AsyncGenerator[aiohttp.ClientSession]:
    """Closes all connections on leaving."""
    connector = aiohttp.TCPConnector(
        limit=0,  # the slots bound the calls
        keepalive_timeout=KEEPALIVE_S,
        ssl=httpx2.create_ssl_context(),  # certificates and rules as the SDK has them
    )
    async with aiohttp.ClientSession(connector=connector, cookie_jar=aiohttp.DummyCookieJar()) as session:
        yield session


@dataclass(frozen=True, slots=True)
class UpstreamBody:
    """The open body of an answer of status 2xx."""

    response: aiohttp.ClientResponse

    @property
    def is_json(self) -> bool:
        """Whether it is one JSON document: some providers answer so although a stream was asked for."""
        return self.response.content_type == "application/json"

    async def next_chunk(self) -> bytes:
        """What has arrived, or arrives next; empty at the end of the body.

        Raises `UpstreamError` (`upstream_cut`) when the connection breaks.
        """
        try:
            return await self.response.content.readany()
        except (aiohttp.ClientError, OSError) as error:
            raise UpstreamError(reading_failure(error)) from error


@asynccontextmanager
async def open_body(
    session: aiohttp.ClientSession, *, head: RequestHead, body: Mapping[str, object], timeout: aiohttp.ClientTimeout
) -> AsyncGenerator[UpstreamBody]:
    """Send `body` and wait for the head of the answer.

    Leaving closes the connection, which stops the provider; it stays open for another call only if the answer was read
    to its end. Raises `UpstreamError` for anything but a 2xx answer.
    """
    payload = orjson.dumps(body)
    data = payload if len(payload) <= _IN_ONE_WRITE else io.BytesIO(payload)
    async with _answered(session, "POST", head.url, data=data, head=head, timeout=timeout) as answer:
        yield answer


def open_kept(
    session: aiohttp.ClientSession, *, head: RequestHead, response_id: str, timeout: aiohttp.ClientTimeout
) -> AbstractAsyncContextManager[UpstreamBody]:
    """The stream of a response that the provider keeps, from its start; as `open_body`, but leaving stops nothing."""
    url = _below(head.url, response_id).update_query(stream="true")
    return _answered(session, "GET", url, data=None, head=head, timeout=timeout)


async def cancel_kept(
    session: aiohttp.ClientSession, *, head: RequestHead, response_id: str, timeout: aiohttp.ClientTimeout
) -> None:
    """End a response that the provider keeps. Raises `UpstreamError`."""
    url = _below(head.url, response_id, "cancel")
    async with _answered(session, "POST", url, data=b"{}", head=head, timeout=timeout):
        pass


def _below(url: URL, *parts: str) -> URL:
    return url.joinpath(*parts).with_query(url.query)


@asynccontextmanager
async def _answered(
    session: aiohttp.ClientSession,
    method: str,
    url: URL,
    *,
    data: bytes | io.BytesIO | None,
    head: RequestHead,
    timeout: aiohttp.ClientTimeout,
) -> AsyncGenerator[UpstreamBody]:
    try:
        response = await session.request(
            method, url, data=data, headers=head.headers, allow_redirects=False, proxy=head.proxy, timeout=timeout
        )
    except (aiohttp.ClientError, OSError, ValueError) as error:
        raise UpstreamError(opening_failure(error)) from error
    try:
        if not 200 <= response.status < 300:
            said = await _error_body(response)
            raise UpstreamError(refusal(response.status, headers=response.headers, body=said, now=time.time()))
        yield UpstreamBody(response)
    finally:
        response.close()


async def _error_body(response: aiohttp.ClientResponse) -> bytes:
    """As much of it as comes in time. Read to its end, the connection can be used again."""
    read: list[bytes] = []
    size = 0
    try:
        async with asyncio.timeout(_ERROR_BODY_S):
            while size < _ERROR_BODY_BYTES and (chunk := await response.content.readany()):
                read.append(chunk)
                size += len(chunk)
    except (aiohttp.ClientError, OSError):
        pass  # what came is what there is
    return b"".join(read)
