"""docs/guarantees.md names the test that proves each promise: all of them exist, and each row names one."""

import re
from pathlib import Path

import pytest

TESTS = Path(__file__).parent
PAGE = (TESTS.parent / "docs" / "guarantees.md").read_text()
PROOFS = sorted(set(re.findall(r"`([\w/]+\.py)::(\w+)`", PAGE)))
HEADS = ("| promise |", "| who |", "| what runs |", "|---|")


@pytest.mark.parametrize(("file", "test"), PROOFS, ids=[test for _, test in PROOFS])
def test_a_proof_that_is_named_exists(file: str, test: str) -> None:
    assert re.search(rf"def {test}\(", (TESTS / file).read_text()), f"docs/guarantees.md: {file} has no {test}"


def test_each_row_names_a_proof() -> None:
    rows = [line for line in PAGE.splitlines() if line.startswith("|") and not line.startswith(HEADS)]
    assert len(rows) > 20
    assert [row for row in rows if ".py::test_" not in row] == []


def test_the_readme_leads_there() -> None:
    assert "(docs/guarantees.md)" in (TESTS.parent / "README.md").read_text()
