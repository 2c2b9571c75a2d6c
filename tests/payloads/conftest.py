"""A whole Tokenbus in this process, before a server that takes a mebibyte."""

from tests.state.conftest import installation

__all__ = ["installation"]
