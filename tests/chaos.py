"""Tests with a long form: `make test` takes a sample of them, `make chaos` runs them at full length.

Mark such a test with `@pytest.mark.chaos`, and take its numbers from `often`. `make chaos` runs what has the mark, with
TOKENBUS_CHAOS=1 and half an hour for each test; by hand: `TOKENBUS_CHAOS=1 pytest -m chaos --timeout=1800 tests/…`.
"""

import os
from typing import Final

import pytest

FULL_LENGTH: Final = os.environ.get("TOKENBUS_CHAOS") == "1"
long = pytest.mark.skipif(not FULL_LENGTH, reason="takes long; make chaos runs it")
"""For what `make test` leaves out altogether, because a shorter test there shows nearly the same."""


def often(sample: int, *, chaos: int) -> int:
    """How often, how many or how long: `sample` in `make test`, `chaos` at full length."""
    return chaos if FULL_LENGTH else sample
