"""Reading the body of a request, bounded in size and time."""

import asyncio
from collections.abc import Mapping

from starlette.types import Receive

from tokenbus_gateway.api_errors import ApiError, RefusedError
from tokenbus_gateway.feed import ClientGoneError
from tokenbus_schemas import ErrorCode, RequestError


async def read_body(receive: Receive, headers: Mapping[str, str], *, limit: int, timeout_s: float) -> bytes:
    """The JSON body, not parsed yet.

    Raises `RequestError` (too large, not JSON by its headers), `RefusedError` (408, too slow), and `ClientGoneError`.
    """
    _check_headers(headers, limit=limit)
    chunks: list[bytes] = []
    size = 0
    try:
        async with asyncio.timeout(timeout_s):
            while True:
                message = await receive()
                if message["type"] == "http.disconnect":
                    raise ClientGoneError
                chunk: bytes = message.get("body", b"")
                size += len(chunk)
                if size > limit:
                    raise _too_large(limit)
                chunks.append(chunk)
                if not message.get("more_body", False):
                    return b"".join(chunks)
    except TimeoutError as error:
        problem = f"the body did not come in within {timeout_s:g} s; send it faster"
        raise RefusedError(ApiError(408, "invalid_request_error", "request_timeout", problem)) from error


def _check_headers(headers: Mapping[str, str], *, limit: int) -> None:
    # A page in a browser may send a form or plain text to any host without asking; JSON it may not.
    kind = headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/json" and not kind.endswith("+json"):
        problem = f"header Content-Type: must be application/json, not {kind[:60] or 'missing'!r}"
        raise RequestError(ErrorCode.INVALID_HEADER, problem, param="Content-Type")
    if encoding := headers.get("content-encoding"):
        problem = f"header Content-Encoding: {encoding[:20]!r} is not taken; send the body as it is"
        raise RequestError(ErrorCode.INVALID_HEADER, problem, param="Content-Encoding")
    length = headers.get("content-length", "0")
    if length.isascii() and length.isdigit() and int(length[:20]) > limit:
        raise _too_large(limit)


def _too_large(limit: int) -> RequestError:
    problem = f"the body is over {limit} bytes; send less input, or link files instead of embedding them"
    return RequestError(ErrorCode.PAYLOAD_TOO_LARGE, problem)
