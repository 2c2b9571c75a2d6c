"""Fresh responses, and the check of a translated stream."""

from collections.abc import Callable, Iterable
from typing import Any

import pytest

from tests.valid_stream import check_stream
from tokenbus_schemas import ATTEMPT_STRIDE, Event, EventLine, encode
from tokenbus_translate import ResponseAssembly, ResponseHead

Json = dict[str, Any]
Assemble = Callable[..., ResponseAssembly]
Checked = Callable[[Iterable[Event]], list[Json]]


def _check(events: Iterable[Event]) -> list[Json]:
    lines = [encode(event, number) for number, event in enumerate(events, ATTEMPT_STRIDE)]
    assert b"\n" not in b"".join(lines)
    return check_stream([EventLine(line) for line in lines], first=ATTEMPT_STRIDE)


@pytest.fixture(scope="session")
def checked() -> Checked:
    """Events → the same, parsed, after every check: of order, of types, by accumulation, of text."""
    return _check


@pytest.fixture(scope="session")
def assemble() -> Assemble:
    """A fresh response; arguments replace fields of its head."""

    def make(**fields: Any) -> ResponseAssembly:
        head: Json = {
            "response_id": "resp_r1",
            "model": "openai/gpt-4.1-mini",
            "created_at": 1_790_000_000,
            "echo": {"input": "Hello"},
            "provider": "openai",
            "upstream_model": "gpt-4.1-mini",
            "api": "responses",
            "attempt": 2,
            "request_id": "r1",
        }
        return ResponseAssembly(ResponseHead(**{**head, **fields}))

    return make
