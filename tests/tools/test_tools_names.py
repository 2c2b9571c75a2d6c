"""Names of foreign tools on our bus."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tokenbus_tools.tool_names import tool_names

NAMES = st.lists(st.text() | st.text("ab._-", max_size=4) | st.text("a.", min_size=50, max_size=80), unique=True)


@pytest.mark.parametrize(
    ("name", "ours"),
    [
        ("search", "web_search"),
        ("issues.list", "web_issues_list"),
        ("repo/get file", "web_repo_get_file"),
        ("größe", "web_gr__e"),
        ("x" * 60, "web_" + "x" * 60),
    ],
)
def test_odd_characters_become_underscores(name: str, ours: str) -> None:
    assert tool_names([name], prefix="web") == {name: ours}


def test_names_that_would_become_one_are_told_apart() -> None:
    names = tool_names(["a.b", "a/b", "a_b"], prefix="p")

    assert names["a_b"] == "p_a_b"
    assert len(set(names.values())) == 3
    assert all(name.startswith("p_a_b") for name in names.values())


@given(NAMES)
def test_names_are_valid_and_differ(names: list[str]) -> None:
    ours = tool_names(names, prefix="server")

    assert list(ours) == names
    assert len(set(ours.values())) == len(names)
    assert all(re.fullmatch(r"[A-Za-z0-9_-]{1,64}", name, re.ASCII) for name in ours.values())


@given(NAMES.flatmap(lambda names: st.tuples(st.just(names), st.permutations(names))))
def test_order_of_a_listing_does_not_matter(orders: tuple[list[str], list[str]]) -> None:
    one, other = orders

    assert tool_names(one, prefix="server") == tool_names(other, prefix="server")
