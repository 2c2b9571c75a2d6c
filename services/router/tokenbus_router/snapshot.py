"""An answer as it stands, in one event for a late joiner: the text so far, instead of each piece of it. Pure.

Only events that follow each other without a gap are folded in: what was lost is for the reader to find out, who asks
for what follows the snapshot. A later attempt may begin anywhere (`tokenbus:response.rewound`, `resumed`).
"""

from collections.abc import Iterable, Mapping
from typing import Final

import orjson

from tokenbus_schemas import ATTEMPT_STRIDE, Event, EventLine, encode
from tokenbus_schemas.vocabulary import LIFECYCLE_TYPES, RESUMED, SNAPSHOT
from tokenbus_translate import fold_events
from tokenbus_translate.json_value import as_index, as_object

_FRESH: Final[Mapping[str, object]] = {"status": "in_progress"}


def snapshot(lines: Iterable[EventLine]) -> bytes | None:
    """The event, encoded, of stored lines in order. None where the beginning is missing, or all is over.

    Raises `MalformedEventError` for a line that is no JSON.
    """
    known, up_to = _from_the_start(lines)
    response: Mapping[str, object] | None = None
    for line in known:
        if line.is_terminal:
            return None
        if line.type in LIFECYCLE_TYPES:
            response = as_object(line.data.get("response"))
    if response is None:
        return None
    stands = {**response, **_FRESH, "output": fold_events(known)}
    return encode(Event(SNAPSHOT, b',"response":' + orjson.dumps(stands)), up_to)


def _from_the_start(lines: Iterable[EventLine]) -> tuple[list[EventLine], int]:
    """The lines to fold in, and up to which number they count: what a resumed attempt says again was told already."""
    known: list[EventLine] = []
    last = told = -1
    for line in lines:
        number = line.sequence_number
        if number <= last:
            continue
        if number != last + 1 and (number % ATTEMPT_STRIDE or not known):
            break
        known.append(line)
        told = max(told, number)
        if line.type == RESUMED:
            told = number + max(0, last - (as_index(line.data.get("after")) or 0))
        last = number
    return known, told
