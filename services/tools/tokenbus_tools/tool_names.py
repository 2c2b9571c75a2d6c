"""Names of foreign tools as names that the bus and every provider take: `[A-Za-z0-9_-]{1,64}`. Pure."""

import hashlib
import re
from collections import Counter
from collections.abc import Iterable
from typing import Final

from tokenbus_schemas.subjects import TOKEN_PATTERN

_TOKEN: Final = re.compile(TOKEN_PATTERN, re.ASCII)
_ODD: Final = re.compile(r"[^A-Za-z0-9_-]")
_LONGEST: Final = 64
_HASH_LENGTH: Final = 8


def tool_names(names: Iterable[str], *, prefix: str) -> dict[str, str]:
    """For each foreign name, `<prefix>_<name>` with odd characters as underscores.

    Where that is too long, or another tool has that name, a hash of the foreign name marks it: every replica gives the
    same names, in whatever order a server lists its tools, and a name without odd characters is never changed.
    """
    wanted = {name: f"{prefix}_{name}" for name in names}
    odd = {name: _ODD.sub("_", full) for name, full in wanted.items() if _TOKEN.fullmatch(full) is None}
    uses = Counter(odd.get(name, full) for name, full in wanted.items())
    return {
        name: full if name not in odd else _marked(odd[name], name, alone=uses[odd[name]] == 1)
        for name, full in wanted.items()
    }


def _marked(short: str, name: str, *, alone: bool) -> str:
    if alone and len(short) <= _LONGEST:
        return short
    mark = hashlib.sha256(name.encode("utf-8", "surrogatepass")).hexdigest()[:_HASH_LENGTH]
    return f"{short[: _LONGEST - _HASH_LENGTH - 1]}_{mark}"
