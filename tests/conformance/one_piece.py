"""Between executor and simulator where providers answer in one piece: it asks the simulator for no stream."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import aiohttp
import orjson
from aiohttp import web

from tokenbus_simulator import Simulator

_PASSED = ("authorization", "api-key", "content-type")
_RETURNED = ("content-type", "retry-after")


@asynccontextmanager
async def one_piece(simulator: Simulator) -> AsyncGenerator[str]:
    """Its origin, `http://host:port`. A broken answer of the simulator's breaks off here, too."""

    async def forward(request: web.Request) -> web.StreamResponse:
        body = orjson.loads(await request.read())
        body = {name: value for name, value in body.items() if name not in ("stream", "stream_options")}
        url = f"http://127.0.0.1:{simulator.port}{request.path_qs}"
        headers = {name: value for name, value in request.headers.items() if name.lower() in _PASSED}
        async with session.post(url, data=orjson.dumps(body), headers=headers) as answer:
            returned = {name: value for name, value in answer.headers.items() if name.lower() in _RETURNED}
            out = web.StreamResponse(status=answer.status, headers=returned)
            await out.prepare(request)
            try:
                async for chunk in answer.content.iter_any():
                    await out.write(chunk)
            except aiohttp.ClientError:
                if request.transport is not None:
                    request.transport.abort()
                return out
            await out.write_eof()
            return out

    app = web.Application()
    app.router.add_post("/{path:.*}", forward)
    runner = web.AppRunner(app, access_log=None, handler_cancellation=True, shutdown_timeout=0.01)
    async with aiohttp.ClientSession() as session:
        await runner.setup()
        try:
            await web.TCPSite(runner, "127.0.0.1", 0).start()
            yield f"http://127.0.0.1:{runner.addresses[0][1]}"
        finally:
            await runner.cleanup()
