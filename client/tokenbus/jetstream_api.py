"""Answers of the JetStream API: read, and turned into errors. Source: nats-server 2.15.1, `server/errors.json`."""

import re
from collections.abc import Mapping
from typing import Final

from pydantic import BaseModel, JsonValue

from tokenbus.errors import BusRefusedError, NotFoundError, StreamFullError, WrongLastSequenceError

_WRONG_LAST_SEQUENCE: Final = frozenset({10071, 10164})
"""10164 where another write on the subject is still on its way; then the text has no sequence."""
_STORE_FAILED: Final = 10077
"""The text says why: a limit of the stream ("maximum bytes exceeded", …), or that the leader is changing."""
_NOT_FOUND: Final = frozenset({10014, 10037, 10059})
"""Consumer, message, stream."""
_NOT_NOW: Final = frozenset({10004, 10008, 10009, 10158, 10163, 10167})
"""Cluster incomplete, unavailable, not leader, the same id or subject still being written, too many requests."""

_LAST_SEQUENCE: Final = re.compile(r"wrong last sequence: (\d+)")


class ApiError(BaseModel):
    """`error` in an answer."""

    code: int = 0
    err_code: int = 0
    description: str = ""


class ApiAnswer(BaseModel):
    """What every answer may hold: an error instead of its content."""

    error: ApiError | None = None


class PublishAnswer(ApiAnswer):
    stream: str = ""
    seq: int = 0
    duplicate: bool = False


class ConfigAnswer(ApiAnswer):
    """A stream or a consumer."""

    config: Mapping[str, JsonValue] = {}
    did_create: bool = False


class MessageAnswer(ApiAnswer):
    """A stored message, base64 inside."""

    class Stored(BaseModel):
        subject: str
        seq: int
        time: str
        data: str = ""
        hdrs: str = ""

    message: Stored | None = None


class NamesAnswer(ApiAnswer):
    streams: list[str] | None = None
    total: int = 0


def api_error(error: ApiError, *, operation: str) -> BusRefusedError:
    """The error to raise for the server's refusal of `operation`."""
    code, description = error.err_code, error.description
    if code in _WRONG_LAST_SEQUENCE:
        found = _LAST_SEQUENCE.search(description)
        actual = int(found[1]) if found else None
        return WrongLastSequenceError(operation, code=code, description=description, actual=actual)
    if code == _STORE_FAILED and description.startswith("maximum "):
        return StreamFullError(operation, code=code, description=description)
    if code in _NOT_FOUND:
        return NotFoundError(operation, code=code, description=description)
    return BusRefusedError(operation, code=code, description=description)


def is_passing(error: BusRefusedError) -> bool:
    """Whether the same request may be taken a moment later: JetStream is electing, or busy with it. It did nothing."""
    return error.code in _NOT_NOW or (error.code == _STORE_FAILED and not isinstance(error, StreamFullError))
