"""Foreign exceptions of an upstream call, mapped to ours in one place."""

import httpx2
from openai import APIConnectionError, APIStatusError, APITimeoutError

from tokenbus_schemas import ErrorCode
from tokenbus_translate import UpstreamFailure, failure, reported_failure


def mapped(error: Exception) -> UpstreamFailure:
    """What `error`, raised by the openai SDK or its transport, means; its text is never quoted, it may hold a URL."""
    match error:
        case APIStatusError():
            return reported_failure(
                error.body, status=error.status_code, retry_after_s=retry_after_s(error.response.headers)
            )
        case APITimeoutError() | httpx2.ConnectTimeout() | httpx2.PoolTimeout():
            return failure(ErrorCode.CONNECT_TIMEOUT, "no connection to the provider within the connect budget")
        case httpx2.ReadError() | httpx2.RemoteProtocolError() | httpx2.StreamError():
            return failure(ErrorCode.UPSTREAM_CUT, "the provider closed the connection before the answer ended")
        case APIConnectionError():
            return failure(ErrorCode.UPSTREAM_UNAVAILABLE, "no connection to the provider")
        case _:
            return failure(ErrorCode.UPSTREAM_ERROR, f"the call to the provider failed: {type(error).__name__}")


def retry_after_s(headers: httpx2.Headers) -> float | None:
    """Seconds from `retry-after-ms` or `Retry-After`; its date form is not used by any provider we know."""
    for name, unit_s in (("retry-after-ms", 0.001), ("retry-after", 1.0)):
        text = headers.get(name, "")
        try:
            seconds = float(text) * unit_s
        except ValueError:
            continue
        if 0 <= seconds < 86_400:
            return seconds
    return None
