"""The server: reads requests, lets `reply` decide and `playback` act. `Simulator` serves until its block ends."""

import secrets
import time
from collections import deque
from collections.abc import Mapping
from types import MappingProxyType
from typing import Final, Self

import orjson
from aiohttp import web

from tokenbus_simulator.asked import BadRequestError
from tokenbus_simulator.ids import stem_of
from tokenbus_simulator.playback import play
from tokenbus_simulator.record import Record
from tokenbus_simulator.reply import (
    Received,
    Reply,
    parsed,
    plan_for,
    reply_to_chat,
    reply_to_models,
    reply_to_responses,
    reply_to_unknown,
)
from tokenbus_simulator.script import SCRIPT_HEADER, Script

_REPLIES: Final[Mapping[tuple[str, str], Reply]] = MappingProxyType(
    {
        ("POST", "/v1/responses"): reply_to_responses,
        ("POST", "/v1/chat/completions"): reply_to_chat,
        ("GET", "/v1/models"): reply_to_models,
    }
)
_ANSWERING: Final = frozenset({reply_to_responses, reply_to_chat})
_SHUTDOWN_S: Final = 0.01  # hanging answers never end by themselves, and aiohttp takes 0 for "wait for them"
_MEBIBYTE: Final = 2**20


class Simulator:
    """An OpenAI-compatible upstream on a real socket, in the running event loop.

        async with Simulator() as simulator:
            client = AsyncOpenAI(base_url=simulator.base_url, api_key="any")

    `record` holds what it received; over HTTP the same is at `/_sim/requests`. `then()` scripts the next requests from
    code; model names and the header `x-simulator-script` add to that. Leaving the block ends all connections.
    """

    def __init__(
        self,
        host: str = "127.0.0.1",
        *,
        port: int = 0,
        script: Script | None = None,
        seed: str | None = None,
        record_size: int = 1000,
        max_body_mib: int = 64,
    ) -> None:
        """`script` is for requests that carry none; the same `seed` gives the same ids in the same order."""
        self.record = Record(record_size)
        self._host = host
        self._port = port
        self._script = script or Script()
        self._next: deque[Script] = deque()
        self._seed = seed or secrets.token_hex(8)
        app = web.Application(client_max_size=max_body_mib * _MEBIBYTE)
        app.router.add_get("/_sim/requests", self._show_record)
        app.router.add_delete("/_sim/requests", self._clear_record)
        app.router.add_route("*", "/{path:.*}", self._serve)
        # Without handler_cancellation a silent answer would never learn that its client is gone.
        self._runner = web.AppRunner(app, access_log=None, handler_cancellation=True, shutdown_timeout=_SHUTDOWN_S)

    async def __aenter__(self) -> Self:
        await self._runner.setup()
        await web.TCPSite(self._runner, self._host, self._port).start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._runner.cleanup()

    @property
    def port(self) -> int:
        """The port in use, once entered."""
        return self._runner.addresses[0][1]

    @property
    def base_url(self) -> str:
        """What a client takes as base URL: `http://host:port/v1`."""
        return f"http://{self._host}:{self.port}/v1"

    def then(self, *scripts: Script) -> None:
        """The next requests for an answer get these scripts, one each, in the order they arrive."""
        self._next.extend(scripts)

    async def _serve(self, request: web.Request) -> web.StreamResponse:
        body = await request.read()
        arrived = time.monotonic()
        exchange = self.record.open(request.method, request.path, headers=request.headers.items(), body=_readable(body))
        reply = _REPLIES.get((request.method, request.path), reply_to_unknown)
        script = self._next.popleft() if self._next and reply in _ANSWERING else self._script
        header = request.headers.get(SCRIPT_HEADER, "")
        plan = plan_for(reply, received=Received(body=body, script=script, header=header, now=int(time.time())))
        stem = stem_of(self._seed, number=exchange.number)
        return await play(plan, request=request, arrived=arrived, exchange=exchange, record=self.record, stem=stem)

    async def _show_record(self, request: web.Request) -> web.Response:
        """`?model=` and `?header=name` or `?header=name:value` narrow the list."""
        name, _, value = request.query.get("header", "").partition(":")
        found = self.record.matching(
            model=request.query.get("model"), header=(name.lower(), value or None) if name else None
        )
        body = orjson.dumps([exchange.as_json() for exchange in found])
        return web.Response(body=body, content_type="application/json")

    async def _clear_record(self, request: web.Request) -> web.Response:
        del request
        self.record.clear()
        return web.Response(status=204)


def _readable(body: bytes) -> object:
    """The body for the record: its JSON, else its text; None where it is empty."""
    if not body:
        return None
    try:
        return parsed(body)
    except BadRequestError:
        return body.decode(errors="replace")
