"""Agents before the whole running system."""

from tests.e2e.conftest import client, running

__all__ = ["client", "running"]
