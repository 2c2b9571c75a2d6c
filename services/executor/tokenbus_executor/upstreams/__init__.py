"""Calls to providers: clients, streams of bytes, and the mapping of their errors."""

from tokenbus_executor.upstreams.budgets import Budgets
from tokenbus_executor.upstreams.clients import UpstreamClients
from tokenbus_executor.upstreams.stream import UpstreamStream, open_stream

__all__ = ["Budgets", "UpstreamClients", "UpstreamStream", "open_stream"]
