"""Docstrings in the three common styles, and in none."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tokenbus_toolkit.docstrings import parse_docstring

GOOGLE = """Book a table.

    Takes effect at once.

    Args:
        city: Where, for example
            "Paris".
        guests (int, optional): How many.

    Returns:
        city: not a parameter.

    Raises:
        ValueError: never.
    """
NUMPY = """Book a table.

    Takes effect at once.

    Parameters
    ----------
    city : str
        Where, for example
        "Paris".
    guests : int, optional
        How many.

    Returns
    -------
    city : str
        Not a parameter.
    """
REST = """Book a table.

    Takes effect at once.

    :param city: Where, for example
        "Paris".
    :param int guests: How many.
    :returns: nothing
    """


@pytest.mark.parametrize("text", [GOOGLE, NUMPY, REST])
def test_every_style_says_the_same(text: str) -> None:
    parsed = parse_docstring(text)

    assert parsed.description == "Book a table.\n\nTakes effect at once."
    assert parsed.parameters == {"city": 'Where, for example "Paris".', "guests": "How many."}


def test_text_without_sections_is_all_description() -> None:
    assert parse_docstring("Says: hello.\nAnd more.") == ("Says: hello.\nAnd more.", {})


def test_no_docstring_says_nothing() -> None:
    assert parse_docstring(None) == ("", {})


@given(st.text())
def test_any_text_is_read(text: str) -> None:
    parse_docstring(text)
