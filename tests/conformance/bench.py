"""A request's real path, with a simulator in every provider's place: what is asked, answered, and sent upstream."""

from collections.abc import AsyncGenerator, Callable, Generator, MutableMapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from typing import Any

from tests.conformance.one_piece import one_piece
from tests.conformance.product_tables import ENDPOINTS, Api, Json
from tests.valid_stream import check_stream
from tokenbus import Client
from tokenbus_schemas import EventLine
from tokenbus_simulator import Exchange, Script, Simulator
from tokenbus_translate import LifecycleCheck

KEYS = {endpoint.name: f"sk-{endpoint.name}-0123456789abcdef" for endpoint in ENDPOINTS}
TIMEOUT_S = 20.0
DATED_AZURE = """\
extends: default
providers:
  azure_dated:
    kind: azure
    base_url_env: AZURE_DATED_ENDPOINT
    api_key_env: AZURE_DATED_API_KEY
    api_version: 2025-04-01-preview
    apis: [responses, chat_completions]
    chat: { max_tokens_name: max_completion_tokens, developer_role: developer }
"""
"""Azure's older API beside the default catalog's providers: another address, and a version in each."""
DATED_KEY = {"AZURE_DATED_API_KEY": "azure-dated-0123456789abcdef"}


def check_lifecycle(lines: Sequence[EventLine]) -> list[Json]:
    """Our own rules alone: for what the openai SDK's types have no place for."""
    events = [dict(line.data) for line in lines]
    lifecycle = LifecycleCheck(first=0)
    for event in events:
        lifecycle.feed(event)
    lifecycle.close()
    return events


@dataclass(frozen=True, slots=True)
class Answered:
    """One request, from its events to what its providers were asked."""

    events: list[Json]
    """Checked as one sequence."""
    exchanges: list[Exchange]
    """What reached a provider."""

    @property
    def response(self) -> Json:
        return self.events[-1]["response"]

    @property
    def output(self) -> list[Json]:
        return self.response["output"]

    @property
    def text(self) -> str:
        """All text of the answer."""
        parts = [part for item in self.items("message") for part in item["content"]]
        return "".join(part["text"] for part in parts if part["type"] == "output_text")

    @property
    def error(self) -> Json:
        """Of a request that failed."""
        assert self.events[-1]["type"] == "response.failed", self.response
        return self.response["error"]

    @property
    def upstream(self) -> Json:
        """The one body that reached a provider."""
        assert self.response["error"] is None, self.response["error"]
        [exchange] = self.exchanges
        body: Any = exchange.body
        return body

    def items(self, kind: str) -> list[Json]:
        """The output items of a type."""
        return [item for item in self.output if item["type"] == kind]

    def completed(self) -> "Answered":
        """Itself; fails the test unless all went well."""
        assert self.events[-1]["type"] == "response.completed", (self.response["error"], self.exchanges)
        return self


class Bench:
    """A client of the running services, and the simulator behind them."""

    def __init__(self, client: Client, *, simulator: Simulator, environment: MutableMapping[str, str]) -> None:
        self._client = client
        self._environment = environment
        self.simulator = simulator
        self._point_at(f"http://127.0.0.1:{simulator.port}")

    async def ask(
        self,
        model: str,
        *,
        provider: str | None = None,
        api: Api | None = None,
        script: Script | None = None,
        check: Callable[[Sequence[EventLine]], list[Json]] = check_stream,
        **body: Any,
    ) -> Answered:
        """Send a request to its end. `script`: of the next request that reaches the simulator."""
        if script is not None:
            self.simulator.then(script)
        options: Json = {"provider": provider, "api": api, **body.pop("tokenbus", {})}
        chosen = {name: value for name, value in options.items() if value is not None}
        if "messages" not in body:
            body.setdefault("input", "Hello there.")
        self.simulator.record.clear()
        async with self._client.stream({"model": model, **body, "tokenbus": chosen}, timeout_s=TIMEOUT_S) as stream:
            lines = [line async for line in stream]
        return Answered(check(lines), list(self.simulator.record))

    @asynccontextmanager
    async def answering_in_one_piece(self) -> AsyncGenerator[None]:
        """Inside, providers answer with plain JSON although they are asked for a stream."""
        async with one_piece(self.simulator) as origin:
            self._point_at(origin)
            yield

    @contextmanager
    def without_key(self, variable: str) -> Generator[None]:
        """Inside, the executor's environment has no such variable."""
        key = self._environment.pop(variable)
        try:
            yield
        finally:
            self._environment[variable] = key

    def _point_at(self, origin: str) -> None:
        here = f"http://127.0.0.1:{self.simulator.port}"
        for endpoint in ENDPOINTS:
            urls = self.simulator.base_urls
            # Azure's is the resource's endpoint, without the path of its API.
            url = self.simulator.origin("azure") if endpoint.name == "azure" else urls[endpoint.name]
            self._environment[endpoint.base_url_env] = url.replace(here, origin)
        self._environment["AZURE_DATED_ENDPOINT"] = self.simulator.origin("azure").replace(here, origin)
