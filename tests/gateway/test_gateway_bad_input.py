"""Random requests before the whole running system: each is answered, in OpenAI's shape, and no service minds.

Bodies are made from the OpenAPI document's own properties: right ones, wrong types, wild values, unknown names. A long
run is `python -m tests.gateway.test_gateway_bad_input <base url> <count>`.
"""

import asyncio
import json
import random
import sys
from typing import Any, Final

import aiohttp
import pytest

from tokenbus_gateway.openapi import openapi_document

Json = dict[str, Any]

DOCUMENT: Final = openapi_document("test")
DECLARED_5XX: Final = {502, 503, 504}
WILD: Final[list[object]] = [
    None,
    True,
    0,
    -1,
    1e308,
    2**70,
    "",
    "x" * 300,
    "\u0000",
    "😀\u202e",
    [],
    [[]],
    [None],
    [{}],
    {},
    {"type": "x"},
    {"": None},
    {"role": "user", "content": "Hi"},
]


def body_of(path: str, *, dice: random.Random) -> object:
    """A body for a creation, with some of its fields wrong or strange."""
    if dice.random() < 0.05:
        return dice.choice(WILD)
    schema = DOCUMENT["paths"][path]["post"]["requestBody"]["content"]["application/json"]["schema"]["$ref"]
    properties: Json = DOCUMENT["components"]["schemas"][schema.rpartition("/")[2]]["properties"]
    body: Json = {"model": "openai/sim@tokens:2", "max_output_tokens": 50}
    if path == "/v1/responses":
        body["input"] = dice.choice(["Hi", [{"role": "user", "content": "Hi"}], [{"type": "message"}]])
    else:
        body["messages"] = dice.choice([[{"role": "user", "content": "Hi"}], [{"role": "user"}], [{}]])
    for name in dice.sample(sorted(properties), dice.randint(0, 4)):
        body[name] = value_of(properties[name], dice=dice) if dice.random() < 0.5 else dice.choice(WILD)
    if dice.random() < 0.1:
        body[dice.choice(["", "strange", "Model", "$schema", "__proto__"])] = dice.choice(WILD)
    if dice.random() < 0.1:
        body["model"] = dice.choice(["nobody/x", "", "/", "openai/", "a" * 300, "openai/sim\n", "../etc", 5, None])
    return body


def value_of(schema: Json, *, dice: random.Random) -> object:
    """A value that the schema allows, roughly."""
    if "anyOf" in schema:
        return value_of(dice.choice(schema["anyOf"]), dice=dice)
    if "enum" in schema:
        return dice.choice(schema["enum"])
    match schema.get("type"):
        case "string":
            return dice.choice(["low", "auto", "Hi", "x" * 40])
        case "integer":
            return dice.randint(schema.get("minimum", 0), min(schema.get("maximum", 60), 60))
        case "number":
            return dice.uniform(schema.get("minimum", 0), schema.get("maximum", 1))
        case "boolean":
            return dice.random() < 0.5
        case "array":
            return [value_of(schema.get("items", {}), dice=dice) for _ in range(dice.randint(0, 3))]
        case "object":
            return {"type": dice.choice(["function", "text", "json_object", "x"]), "name": "f"}
        case _:
            return None


async def ask(session: aiohttp.ClientSession, url: str, *, dice: random.Random) -> None:
    """One random request; fails the test unless it is answered well."""
    path = dice.choice(["/v1/responses", "/v1/chat/completions"])
    body = body_of(path, dice=dice)
    data = json.dumps(body).encode()
    if dice.random() < 0.05:
        data = dice.choice([data[:-1], data[1:], b"\xff" + data, data * 2, b"", b"null", b"NaN"])
    async with session.post(f"{url}{path}", data=data, headers={"Content-Type": "application/json"}) as reply:
        answer = await reply.read()
    assert reply.status < 500 or reply.status in DECLARED_5XX, (reply.status, data, answer)
    assert "x-request-id" in reply.headers
    if reply.status != 200:
        error = json.loads(answer)["error"]
        assert error.keys() == {"message", "type", "param", "code"}, (data, answer)
        assert error["message"], data
    elif reply.content_type == "text/event-stream":
        assert answer.endswith((b"data: [DONE]\n\n", b"}}\n\n")), (data, answer[-300:])


async def ask_many(url: str, *, count: int, seed: int, at_once: int = 16) -> None:
    """`count` requests, `at_once` at a time."""
    timeout = aiohttp.ClientTimeout(total=30)
    async with aiohttp.ClientSession(timeout=timeout) as session, asyncio.TaskGroup() as tasks:

        async def some(number: int) -> None:
            dice = random.Random(f"{seed}/{number}")
            for _ in range(count // at_once):
                await ask(session, url, dice=dice)

        for number in range(at_once):
            tasks.create_task(some(number))


@pytest.mark.parametrize("seed", [1, 2])
async def test_random_requests_are_all_answered(gateway_url: str, seed: int) -> None:
    await ask_many(gateway_url.removesuffix("/v1"), count=320, seed=seed)


if __name__ == "__main__":
    asyncio.run(ask_many(sys.argv[1], count=int(sys.argv[2]), seed=7))
