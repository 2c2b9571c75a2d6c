"""Fields of the contract that this version does not serve yet, as rows: refused by name, never ignored."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from tokenbus_schemas.errors import ErrorCode, RequestError
from tokenbus_schemas.requests import ChatRequest


@dataclass(frozen=True, slots=True)
class _NotYet:
    field: str
    used: Callable[[ChatRequest], object]
    code: ErrorCode
    instead: str


_ROWS: Final[tuple[_NotYet, ...]] = (
    _NotYet(
        "background",
        lambda request: request.background,
        ErrorCode.UNSUPPORTED_VALUE,
        "leave it out: a request runs on when nobody watches it",
    ),
)


def refuse_not_yet(request: ChatRequest) -> None:
    """Raises `RequestError`, which names the field, for the first one that is used."""
    for row in _ROWS:
        if row.used(request):
            value = "this value " if row.code is ErrorCode.UNSUPPORTED_VALUE else ""
            raise RequestError(row.code, f"{row.field}: {value}is not supported yet; {row.instead}", param=row.field)
