"""Tools that are HTTP endpoints, against a real server."""

import json
import time
from collections.abc import AsyncGenerator
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import httpx2
import pytest
from aiohttp import web
from hypothesis import given
from hypothesis import strategies as st

from tokenbus_schemas.tools import ToolCall
from tokenbus_toolkit import AsyncRun, ToolContext, ToolError
from tokenbus_tools import HttpToolRow, ToolsFileError
from tokenbus_tools.http_request import http_request
from tokenbus_tools.http_tools import http_tool

SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {"city": {"type": "string"}, "days": {"type": "integer"}, "tags": {"type": "array"}},
    "required": ["city"],
}


def row(url: str, **fields: Any) -> HttpToolRow:
    return HttpToolRow.model_validate(
        {"name": "weather", "description": "The weather.", "url": url, "parameters": SCHEMA, **fields}
    )


@pytest.fixture
async def server() -> AsyncGenerator[str]:
    """Tells back what it was asked; some paths misbehave."""

    async def echo(request: web.Request) -> web.Response:
        body = await request.text()
        told = {
            "method": request.method,
            "path": request.raw_path,
            "body": body,
            "key": request.headers["Idempotency-Key"],
        }
        return web.json_response({**told, "auth": request.headers.get("Authorization", "")})

    async def refuse(request: web.Request) -> web.Response:
        return web.Response(status=422, text=f"days: too many {request.query.get('days')}")

    async def image(request: web.Request) -> web.Response:
        del request
        return web.Response(body=b"png", content_type="image/png")

    async def away(request: web.Request) -> web.Response:
        raise web.HTTPFound(f"http://{request.host}/echo/elsewhere")

    async def huge(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        for _ in range(100):
            await response.write(b"x" * 10_000)
        return response

    async def broken(request: web.Request) -> web.Response:
        assert request.transport is not None
        request.transport.close()
        return web.Response()

    async def empty(request: web.Request) -> web.Response:
        del request
        return web.Response(status=204)

    app = web.Application()
    app.router.add_route("*", "/echo/{rest:.*}", echo)
    for name, handler in (("refuse", refuse), ("image", image), ("away", away), ("huge", huge), ("broken", broken)):
        app.router.add_get(f"/{name}/{{city}}", handler)
    app.router.add_get("/empty/{city}", empty)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    await runner.cleanup()


async def call(of: HttpToolRow, arguments: dict[str, Any]) -> Any:
    made = ToolCall(
        tenant="t", request_id="r", round=1, index=2, call_id="c", name="n", arguments="{}", deadline=time.time() + 9
    )
    async with httpx2.AsyncClient() as client:
        context = ToolContext(made, deadline=made.deadline)
        run = http_tool(of, client=client).bind(arguments, context)
        assert isinstance(run, AsyncRun)
        return await run.start()


async def test_get_sends_arguments_in_path_and_query(server: str) -> None:
    of = row(f"{server}/echo/{{city}}?lang=en", headers={"Authorization": "Bearer x"})

    told = json.loads(await call(of, {"city": "São Paulo/x", "days": 3, "tags": ["a", 1]}))

    assert told["path"] == "/echo/S%C3%A3o%20Paulo%2Fx?lang=en&days=3&tags=a&tags=1"
    assert (told["method"], told["body"], told["key"], told["auth"]) == ("GET", "", "t.r.1.2", "Bearer x")


async def test_post_sends_the_rest_as_json(server: str) -> None:
    told = json.loads(await call(row(f"{server}/echo/{{city}}", method="POST"), {"city": "Oslo", "days": 3}))

    assert (told["method"], told["path"], json.loads(told["body"])) == ("POST", "/echo/Oslo", {"days": 3})


async def test_refusal_reaches_the_model_with_its_reason(server: str) -> None:
    with pytest.raises(ToolError, match="answered 422: days: too many 99"):
        await call(row(f"{server}/refuse/{{city}}"), {"city": "Oslo", "days": 99})


async def test_image_becomes_a_content_part(server: str) -> None:
    image = await call(row(f"{server}/image/{{city}}"), {"city": "Oslo"})

    assert image.url == "data:image/png;base64,cG5n"


async def test_redirect_is_not_followed(server: str) -> None:
    with pytest.raises(ToolError, match="answered 302"):
        await call(row(f"{server}/away/{{city}}"), {"city": "Oslo"})


async def test_answer_over_the_limit_is_not_read_to_its_end(server: str) -> None:
    with pytest.raises(ToolError, match="over the limit of 50000 bytes"):
        await call(row(f"{server}/huge/{{city}}", max_output_bytes=50_000), {"city": "Oslo"})


async def test_broken_connection_may_have_had_an_effect(server: str) -> None:
    with pytest.raises(ToolError, match="broke; the call may have taken effect"):
        await call(row(f"{server}/broken/{{city}}"), {"city": "Oslo"})


async def test_service_that_is_away_was_sent_nothing() -> None:
    with pytest.raises(ToolError, match="can not be reached; nothing was sent"):
        await call(row("http://127.0.0.1:1/{city}"), {"city": "Oslo"})


async def test_answer_without_content_is_the_empty_text(server: str) -> None:
    assert await call(row(f"{server}/empty/{{city}}"), {"city": "Oslo"}) == ""


@pytest.mark.parametrize(
    ("url", "problem"),
    [
        ("http://a/{town}", "{town} is no parameter"),
        ("http://a/{days}", "{days} must be a required parameter"),
        ("http://{city}/a", "arguments may stand in the path only"),
        ("http://a/?q={city}", "arguments may stand in the path only"),
    ],
)
def test_place_that_an_argument_may_not_take_is_refused(url: str, problem: str) -> None:
    with pytest.raises(ToolsFileError, match=problem):
        http_tool(row(url), client=httpx2.AsyncClient())


@given(st.text() | st.integers() | st.sampled_from([".", "..", "../admin", "a/../..", "%2e%2e", "?x=1", "#f", "@evil"]))
def test_no_argument_leaves_its_place_in_the_path(value: str | int) -> None:
    try:
        url = http_request(row("http://host/a/{city}/b"), {"city": value}).url
    except (ToolError, UnicodeEncodeError):
        return

    parts = urlsplit(str(httpx2.URL(url)))
    assert (parts.netloc, parts.query, parts.fragment) == ("host", "", "")
    assert parts.path.count("/") == 3
    assert parts.path.startswith("/a/")
    assert parts.path.endswith("/b")


@given(st.dictionaries(st.text("abc=&?#", min_size=1), st.text(st.characters(codec="utf-8")), max_size=3))
def test_query_says_what_the_arguments_say(arguments: dict[str, Any]) -> None:
    url = http_request(row("http://host/a?x=1"), arguments).url

    assert parse_qsl(urlsplit(url).query, keep_blank_values=True) == [("x", "1"), *arguments.items()]
