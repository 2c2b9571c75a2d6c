"""The server: reads requests, lets `reply` and `recall` decide and `playback` act."""

import secrets
import time
from collections import deque
from collections.abc import Mapping
from types import MappingProxyType
from typing import Final, Self

import orjson
from aiohttp import web

from tokenbus_simulator.addresses import Address, Operation, address_of
from tokenbus_simulator.asked import RefusedError
from tokenbus_simulator.ids import stem_of
from tokenbus_simulator.keys import check_key, credential_in
from tokenbus_simulator.plan import Plan
from tokenbus_simulator.playback import Occasion, play
from tokenbus_simulator.profiles import PROFILES
from tokenbus_simulator.reading import Earlier, Items, Received, parsed
from tokenbus_simulator.recall import Recall, cancel, deleted, found, recall, stream_again, wants_stream
from tokenbus_simulator.record import Record
from tokenbus_simulator.references import referred
from tokenbus_simulator.reply import (
    Reply,
    plan_for,
    refuse,
    reply_to_chat,
    reply_to_models,
    reply_to_responses,
    reply_to_unknown,
)
from tokenbus_simulator.script import SCRIPT_HEADER, Script, ScriptError, parse_script
from tokenbus_simulator.stamps import Stamper
from tokenbus_simulator.stored import ResponseStore, Stored
from tokenbus_simulator.wire import object_of

_REPLIES: Final[Mapping[Operation, Reply]] = MappingProxyType(
    {
        Operation.RESPONSES: reply_to_responses,
        Operation.CHAT: reply_to_chat,
        Operation.MODELS: reply_to_models,
        Operation.UNKNOWN: reply_to_unknown,
    }
)
_RECALLS: Final[Mapping[Operation, Recall]] = MappingProxyType(
    {Operation.RETRIEVE: recall, Operation.CANCEL: cancel, Operation.DELETE: deleted}
)
_ANSWERING: Final = frozenset({Operation.RESPONSES, Operation.CHAT})
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
        """`script` is for requests that carry none; the same `seed` gives the same ids in the same order.

        `record_size` bounds the requests that are remembered, and the responses that are kept.
        """
        self.record = Record(record_size)
        self._stored = ResponseStore(record_size)
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

    @property
    def base_urls(self) -> Mapping[str, str]:
        """The base URL of each provider, with the path it really has: `http://host:port/p/groq/openai/v1`."""
        return {name: self.origin(name) + profile.base_path for name, profile in PROFILES.items()}

    def origin(self, profile: str) -> str:
        """What stands for a provider's scheme and host, as in `azure_endpoint`: `http://host:port/p/azure`."""
        return f"http://{self._host}:{self.port}/p/{profile}"

    def then(self, *scripts: Script) -> None:
        """The next requests for an answer get these scripts, one each, in the order they arrive."""
        self._next.extend(scripts)

    async def _serve(self, request: web.Request) -> web.StreamResponse:
        body = await request.read()
        now = time.monotonic()
        readable = _readable(body)
        exchange = self.record.open(request.method, request.path, headers=request.headers.items(), body=readable)
        address = address_of(request.method, request.path, query=request.query)
        stem = stem_of(self._seed, number=exchange.number)
        reply = _REPLIES.get(address.operation)
        if reply is None:
            plan, occasion = self._recall(request, address, started=now, stem=stem)
        else:
            received = Received(
                body=body,
                script=self._next.popleft() if self._next and address.operation in _ANSWERING else self._script,
                header=request.headers.get(SCRIPT_HEADER, ""),
                now=int(time.time()),
                profile=address.profile,
                deployment=address.deployment,
                credential=credential_in(request.headers, profile=PROFILES[address.profile]),
                key_needed=address.mounted,
                earlier=self._earlier(readable, now=now),
            )
            plan = plan_for(reply, received=received)
            occasion = self._first_occasion(plan, started=now, stem=stem)
        return await play(plan, request=request, occasion=occasion, exchange=exchange, record=self.record)

    def _first_occasion(self, plan: Plan, *, started: float, stem: str) -> Occasion:
        """The playing of a new answer, which is kept as it begins or as it ends."""
        if plan.kept is None:
            return Occasion(started=started, stem=stem, stamper=_stamper(plan, []))
        stored = Stored(kept=plan.kept, stem=stem, started=started)
        if plan.kept.generation:
            self._stored.add(stored)
            return _occasion_of(stored, plan)
        stamper = _stamper(plan, stored.stamps)
        return Occasion(started=started, stem=stem, stamper=stamper, before_end=lambda: self._stored.add(stored))

    def _recall(self, request: web.Request, address: Address, *, started: float, stem: str) -> tuple[Plan, Occasion]:
        """What is said of a response that was kept, and the playing of it."""
        profile = PROFILES[address.profile]
        try:
            credential = credential_in(request.headers, profile=profile)
            check_key(credential, demanded=self._script.key, needed=address.mounted)
            stored = found(self._stored.get(address.response_id, now=started), response_id=address.response_id)
            if address.operation is Operation.RETRIEVE and wants_stream(request.query):
                script = _own_script(request)
                plan = stream_again(stored, query=request.query, script=script, now=started, error=profile.error)
                return plan, _occasion_of(stored, plan)
            plan = _RECALLS[address.operation](stored, now=started)
            if address.operation is Operation.DELETE:
                self._stored.remove(stored.id)
            return plan, Occasion(started=started, stem=stem, stamper=_stamper(plan, stored.stamps))
        except RefusedError as error:
            return refuse(error, profile=profile), Occasion(started=started, stem=stem)

    def _earlier(self, body: object, *, now: float) -> Earlier:
        """What the request refers to, looked up now, so that the reply depends on nothing else."""
        fields = object_of(body)
        previous = fields.get("previous_response_id")
        stored = self._stored.get(previous, now=now) if isinstance(previous, str) else None
        referred_to = referred(fields.get("input"))
        named = list(self._stored.items(referred_to, now=now).values()) if referred_to else None
        return Earlier(Items(stored.conversation(now)) if stored else None, Items(named) if named else None)

    async def _show_record(self, request: web.Request) -> web.Response:
        """`?model=` and `?header=name` or `?header=name:value` narrow the list."""
        name, _, value = request.query.get("header", "").partition(":")
        matching = self.record.matching(
            model=request.query.get("model"), header=(name.lower(), value or None) if name else None
        )
        body = orjson.dumps([exchange.as_json() for exchange in matching])
        return web.Response(body=body, content_type="application/json")

    async def _clear_record(self, request: web.Request) -> web.Response:
        del request
        self.record.clear()
        return web.Response(status=204)


def _occasion_of(stored: Stored, plan: Plan) -> Occasion:
    """The playing of one more stream of a background response."""
    stored.connections += 1
    return Occasion(
        started=stored.started,
        stem=stored.stem,
        stamper=_stamper(plan, stored.stamps),
        stopped=stored.stopped if stored.cancelled_at is None else None,
    )


def _stamper(plan: Plan, written: list[bytes]) -> Stamper | None:
    return Stamper(plan.stamps, written=written, skipped=plan.skipped_stamps) if plan.stamps else None


def _own_script(request: web.Request) -> Script | None:
    header = request.headers.get(SCRIPT_HEADER)
    try:
        return parse_script(header) if header else None
    except ScriptError as error:
        raise RefusedError(f"The script in the header {SCRIPT_HEADER} is wrong: {error}.") from error


def _readable(body: bytes) -> object:
    """The body for the record: its JSON, else its text; None where it is empty."""
    if not body:
        return None
    try:
        return parsed(body)
    except RefusedError:
        return body.decode(errors="replace")
