"""Exceptions and refusals of an upstream call, mapped to our terms in one place. No exception's text is ever quoted: it
may hold an address or a credential.
"""

from collections.abc import Mapping

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


def refusal(status: int, *, headers: Mapping[str, str], body: bytes) -> UpstreamFailure:
    """An answer of any status but 2xx. A redirect is not followed: it could carry the key elsewhere."""
    if 300 <= status < 400:
        message = f"the provider answered with a redirect (status {status}); put the address it leads to in the catalog"
        return failure(ErrorCode.UPSTREAM_ERROR, message)
    try:
        said: object = orjson.loads(body)
    except orjson.JSONDecodeError:
        said = None
    return reported_failure(said, status=status, retry_after_s=retry_after_s(headers))


def retry_after_s(headers: Mapping[str, str]) -> float | None:
    """Seconds from `retry-after-ms` or `Retry-After`; its date form is used by no provider we know."""
    for name, unit_s in (("retry-after-ms", 0.001), ("retry-after", 1.0)):
        try:
            seconds = float(headers.get(name, "")) * unit_s
        except ValueError:
            continue
        if 0 <= seconds < _MAX_RETRY_AFTER_S:
            return seconds
    return None
