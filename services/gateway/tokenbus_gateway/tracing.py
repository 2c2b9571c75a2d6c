"""The gateway's span of a request: child of what the client sent, parent of what the bus carries on.

Names: OpenTelemetry semantic conventions 1.44 (HTTP, stable); `lk.*` are LiveKit's own. It holds no prompt, no answer.
Without an SDK configured all of this does nothing but hand the client's trace context on.
"""

from collections.abc import Generator, Mapping
from contextlib import contextmanager
from typing import Final, NamedTuple

from opentelemetry import trace
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from tokenbus_gateway.wishes import trace_attributes

_TRACER: Final = trace.get_tracer("tokenbus_gateway")
_PROPAGATOR: Final = TraceContextTextMapPropagator()


class TraceContext(NamedTuple):
    """As W3C headers have it."""

    traceparent: str | None = None
    tracestate: str | None = None


class RequestSpan:
    """An open span. What the log line says of the outcome goes here too."""

    def __init__(self, span: trace.Span) -> None:
        self._span = span

    @property
    def context(self) -> TraceContext:
        """For the bus."""
        carrier: dict[str, str] = {}
        _PROPAGATOR.inject(carrier, context=trace.set_span_in_context(self._span))
        return TraceContext(carrier.get("traceparent"), carrier.get("tracestate"))

    def note(self, facts: Mapping[str, object]) -> None:
        """Status and error of the outcome."""
        status, error = facts.get("status"), facts.get("error")
        if isinstance(status, int):
            self._span.set_attribute("http.response.status_code", status)
        if isinstance(error, str):
            self._span.set_attribute("error.type", error)
            self._span.set_status(trace.StatusCode.ERROR)


@contextmanager
def request_span(name: str, headers: Mapping[str, str], *, request_id: str) -> Generator[RequestSpan]:
    """A server span around a request; `name` is its method and route."""
    span = _TRACER.start_span(
        name,
        context=_PROPAGATOR.extract(headers),
        kind=trace.SpanKind.SERVER,
        attributes={"tokenbus.request_id": request_id, **trace_attributes(headers)},
    )
    try:
        yield RequestSpan(span)
    finally:
        span.end()
