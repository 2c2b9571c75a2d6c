"""Calls to providers: who is reached how, streams of bytes, and the mapping of their errors."""

from tokenbus_executor.upstreams.access import Access
from tokenbus_executor.upstreams.budgets import Budgets
from tokenbus_executor.upstreams.http import UpstreamBody
from tokenbus_executor.upstreams.requests import UpstreamRequest, upstream_request
from tokenbus_executor.upstreams.upstream import Upstream, Upstreams

__all__ = ["Access", "Budgets", "Upstream", "UpstreamBody", "UpstreamRequest", "Upstreams", "upstream_request"]
