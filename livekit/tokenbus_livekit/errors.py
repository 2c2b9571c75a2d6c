"""What the bus raises → what LiveKit retries, falls back from, or gives up on.

LiveKit retries an error whose `retryable` is true, and ends quietly at status 499 (livekit-agents 1.8.9); once text
went out its stream retries nothing, whatever stands here.
"""

from collections.abc import Generator
from contextlib import contextmanager
from typing import Final

from livekit.agents import APIConnectionError, APIStatusError, APITimeoutError

from tokenbus import AnswerLostError, BusTimeoutError, RequestRefusedError, ResponseFailedError, TokenbusError
from tokenbus_schemas import ErrorFacts

CANCELLED: Final = 499


@contextmanager
def livekit_errors(response_id: str) -> Generator[None]:
    """Raises LiveKit's error for each of ours, and for a silence that lasted too long."""
    try:
        yield
    except RequestRefusedError as error:
        raise _status_error(str(error), error.body.facts, response_id=response_id) from error
    except ResponseFailedError as error:
        raise _status_error(error.message, error.facts, response_id=response_id) from error
    except (TimeoutError, BusTimeoutError, AnswerLostError) as error:
        raise APITimeoutError from error
    except TokenbusError as error:
        raise APIConnectionError(str(error)) from error


def cancelled(response_id: str) -> APIStatusError:
    """Somebody cancelled the request: there is no answer to wait for, and nothing to retry."""
    return APIStatusError("the request was cancelled", status_code=CANCELLED, request_id=response_id, retryable=False)


def _status_error(message: str, facts: ErrorFacts, *, response_id: str) -> APIStatusError:
    return APIStatusError(
        message, status_code=facts.http_status, request_id=response_id, retryable=facts.retry != "never"
    )
