"""The upstream calls of one answer: which target, what to send it, and how it ended."""

from collections.abc import Mapping

from tokenbus_executor.errors import UpstreamError
from tokenbus_executor.publisher import EventPublisher
from tokenbus_executor.reading import read_upstream
from tokenbus_executor.surroundings import Surroundings
from tokenbus_schemas import ErrorBody, ErrorCode, RequestError, Target, WorkOrder
from tokenbus_translate import (
    ChatStream,
    Ending,
    ResponseAssembly,
    ResponsesStream,
    UpstreamStream,
    responses_body,
    to_chat,
)


class Calls:
    """Calls targets until one answers."""

    def __init__(
        self, order: WorkOrder, *, assembly: ResponseAssembly, publisher: EventPublisher, around: Surroundings
    ) -> None:
        self._order = order
        self._assembly = assembly
        self._publisher = publisher
        self._around = around

    async def run(self) -> Ending | ErrorBody:
        """How the answer ended, its events published; or why there is none, or no whole one. Raises `BusError`."""
        target = self._order.targets[0]
        try:
            row = self._around.providers.row(target.provider)
            upstream = await self._around.upstreams.upstream(target, row=row)
            stream, body = self._request(target)
        except UpstreamError as error:
            return error.failure.error
        except RequestError as error:
            return error.body
        failure = await read_upstream(upstream, body=body, stream=stream, publisher=self._publisher)
        if failure is not None:
            return failure.error
        return stream.ending or ErrorBody(ErrorCode.INTERNAL_ERROR, "the upstream call returned without an end")

    def _request(self, target: Target) -> tuple[UpstreamStream, Mapping[str, object]]:
        """What reads the answer, and what to send. Raises `RequestError` for what the target's API can not say."""
        request = self._order.request
        if target.api == "responses":
            return ResponsesStream(self._assembly), responses_body(request, model=target.model)
        body = to_chat(request, model=target.model)
        return ChatStream(self._assembly, choices=request.get("n") or 1), body
