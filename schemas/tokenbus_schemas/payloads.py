"""Payloads over the limit of the bus: they are stored in pieces, and the message that has one refers to it.

    1. A client asks `<root>.payloads.<tenant>.<request>` to keep each piece, in any order, as often as it likes.
    2. It publishes its request with the header `Tokenbus-Payload` and no payload of its own.

A reference holds for the tenant and the request id it was stored under, and no other: those stand in subjects.
"""

import hashlib
import re
from dataclasses import dataclass
from typing import Any, Final

from pydantic import BaseModel, ConfigDict, Field

from tokenbus_schemas.errors import ErrorCode, RequestError
from tokenbus_schemas.headers import PAYLOAD, PIECE

MAX_REQUEST_BYTES: Final = 32 * 1024 * 1024
"""The largest request, unless a service or a client is set otherwise."""
PAYLOAD_PATTERN: Final = r"sha256=[0-9a-f]{64};size=[1-9][0-9]{0,10};pieces=[1-9][0-9]{0,3}"
PIECE_PATTERN: Final = r"0|[1-9][0-9]{0,3}"

_REFERENCE: Final = re.compile(r"sha256=([0-9a-f]{64});size=([1-9][0-9]{0,10});pieces=([1-9][0-9]{0,3})", re.ASCII)
_INDEX: Final = re.compile(PIECE_PATTERN, re.ASCII)


@dataclass(frozen=True, slots=True)
class PayloadRef:
    """Names a payload by its digest. All pieces are equally long, but for the last, which holds the rest."""

    sha256: str
    """Of the whole payload, 64 hexadecimal digits."""
    size: int
    """Bytes."""
    pieces: int

    @property
    def piece_bytes(self) -> int:
        """Of every piece but the last."""
        return -(-self.size // self.pieces)

    def piece_size(self, index: int) -> int:
        """Bytes of one piece."""
        return min(self.piece_bytes, self.size - index * self.piece_bytes)

    def piece(self, payload: bytes, *, index: int) -> bytes:
        """One piece of the payload that is referred to."""
        start = index * self.piece_bytes
        return payload[start : start + self.piece_bytes]

    def to_wire(self) -> str:
        """The value of the header `Tokenbus-Payload`."""
        return f"sha256={self.sha256};size={self.size};pieces={self.pieces}"


class PayloadReply(BaseModel):
    """Whether a piece is kept: `error` is null then."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    error: dict[str, Any] | None = Field(default=None, description="Why it is not kept: code, message, param.")


def refer(payload: bytes, *, piece_bytes: int) -> PayloadRef:
    """To a payload that is not empty, in pieces of at most so many bytes. Takes a millisecond for each megabyte."""
    pieces = -(-len(payload) // piece_bytes)
    even = -(-len(payload) // pieces)
    return PayloadRef(hashlib.sha256(payload).hexdigest(), len(payload), -(-len(payload) // even))


def parse_payload(text: str) -> PayloadRef:
    """The value of a header `Tokenbus-Payload`. Raises `RequestError` (`invalid_header`)."""
    matched = _REFERENCE.fullmatch(text)
    if matched is None:
        raise _wrong("must be `sha256=<64 hexadecimal digits>;size=<bytes>;pieces=<1 to 9999>`")
    ref = PayloadRef(matched[1], int(matched[2]), int(matched[3]))
    if ref.piece_size(ref.pieces - 1) < 1:
        raise _wrong(f"size={ref.size} does not make pieces={ref.pieces}; all but the last are equally long")
    return ref


def parse_piece(text: str, *, of: PayloadRef) -> int:
    """The value of a header `Tokenbus-Piece`. Raises `RequestError` (`invalid_header`)."""
    if _INDEX.fullmatch(text) is None or int(text) >= of.pieces:
        problem = f"header {PIECE}: must be a number from 0 to {of.pieces - 1}"
        raise RequestError(ErrorCode.INVALID_HEADER, problem, param=PIECE)
    return int(text)


def _wrong(problem: str) -> RequestError:
    return RequestError(ErrorCode.INVALID_HEADER, f"header {PAYLOAD}: {problem}", param=PAYLOAD)
