"""Exceptions and refusals of an upstream call, mapped to our terms in one place. No exception's text is ever quoted: it
may hold an address or a credential.
"""

import math
from collections.abc import Mapping
from email.utils import parsedate_to_datetime

import aiohttp
import orjson

from tokenbus_schemas import ErrorCode
from tokenbus_translate import UpstreamFailure, failure, reported_failure

_MAX_RETRY_AFTER_S = 86_400.0


def opening_failure(error: Exception) -> UpstreamFailure:
    """Why no answer began: `error` was raised before its head came."""
    match error:
        case aiohttp.ConnectionTimeoutError():
            return failure(ErrorCode.CONNECT_TIMEOUT, "no connection to the provider within the connect budget")
        case aiohttp.ClientConnectorDNSError():
            return failure(ErrorCode.UPSTREAM_UNAVAILABLE, "the provider's host name can not be resolved")
        case aiohttp.ClientConnectorCertificateError() | aiohttp.ClientSSLError():
            return failure(ErrorCode.UPSTREAM_UNAVAILABLE, "no trusted TLS connection to the provider")
        case aiohttp.ClientProxyConnectionError() | aiohttp.ClientHttpProxyError():
            return failure(ErrorCode.UPSTREAM_UNAVAILABLE, "no connection to the proxy before the provider")
        case aiohttp.ClientConnectorError():
            return failure(ErrorCode.UPSTREAM_UNAVAILABLE, "no connection to the provider")
        case aiohttp.ServerDisconnectedError() | OSError():
            return failure(ErrorCode.UPSTREAM_UNAVAILABLE, "the provider closed the connection before it answered")
        case aiohttp.ClientResponseError():
            return failure(ErrorCode.UPSTREAM_PROTOCOL, "the provider's answer is not HTTP")
        case _:
            return failure(ErrorCode.UPSTREAM_ERROR, f"the call to the provider failed: {type(error).__name__}")


def reading_failure(error: Exception) -> UpstreamFailure:
    """Why the body broke off: `error` was raised while it was read."""
    if isinstance(error, aiohttp.ContentTypeError | aiohttp.ClientResponseError):
        return failure(ErrorCode.UPSTREAM_PROTOCOL, "the provider's answer is not HTTP")
    return failure(ErrorCode.UPSTREAM_CUT, "the provider closed the connection before the answer ended")


def refusal(status: int, *, headers: Mapping[str, str], body: bytes, now: float) -> UpstreamFailure:
    """An answer of any status but 2xx. A redirect is not followed: it could carry the key elsewhere. `now`: Unix s."""
    if 300 <= status < 400:
        message = f"the provider answered with a redirect (status {status}); put the address it leads to in the catalog"
        return failure(ErrorCode.UPSTREAM_ERROR, message)
    try:
        said: object = orjson.loads(body)
    except orjson.JSONDecodeError:
        said = None
    return reported_failure(said, status=status, retry_after_s=retry_after_s(headers, now=now))


def retry_after_s(headers: Mapping[str, str], *, now: float) -> float | None:
    """Seconds to stay away, at most a day, from `retry-after-ms` (https://learn.microsoft.com/azure/ai-foundry/openai,
    2026-11-22) or `Retry-After` (RFC 9110, 10.2.3: seconds, or a date); None where neither says anything sensible.

    `now`: Unix seconds, for dates, where the provider's own `Date` does not tell its clock.
    """
    for name, unit_s in (("retry-after-ms", 0.001), ("retry-after", 1.0)):
        said = headers.get(name, "")
        seconds = _number(said)
        if seconds is not None:
            seconds *= unit_s
        elif (until := _date(said)) is not None:
            sent = _date(headers.get("date", ""))
            seconds = max(0.0, until - (now if sent is None else sent))
        if seconds is not None and seconds >= 0:
            return min(seconds, _MAX_RETRY_AFTER_S)
    return None


def _number(text: str) -> float | None:
    try:
        number = float(text)
    except ValueError:
        return None
    return None if math.isnan(number) else number


def _date(text: str) -> float | None:
    try:
        return parsedate_to_datetime(text).timestamp()
    except (ValueError, OverflowError):
        return None
