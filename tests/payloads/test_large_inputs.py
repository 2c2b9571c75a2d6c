"""Inputs over the bus's limit reach the provider whole, in both API modes, and leave nothing behind."""

import base64
import random

import pytest

import tokenbus
from tests.conftest import eventually
from tests.state.conftest import Installation
from tokenbus.bus import Bus, Message
from tokenbus_schemas import MAX_REQUEST_BYTES, ErrorCode

MB = 1_000_000


def image(size: int) -> str:
    """A data URL of about so many bytes."""
    return "data:image/png;base64," + base64.b64encode(random.Random(size).randbytes(size * 3 // 4)).decode()


def question(url: str) -> list[object]:
    return [{"role": "user", "content": [{"type": "input_image", "image_url": url}]}]


async def pieces(installation: Installation) -> int:
    stored = installation.stored
    return sum(
        (await installation.bus.subject_counts(stored.payloads.name, f"{stored.subjects.root}.pieces.>")).values()
    )


async def emptied(installation: Installation) -> None:
    while await pieces(installation):
        pass


@pytest.mark.parametrize("model", ["lab/plain", "chatty/plain"], ids=["responses", "chat_completions"])
@pytest.mark.parametrize("size", [9 * MB // 10, 11 * MB // 10, 20 * MB])
async def test_an_image_of_any_size_reaches_the_provider(installation: Installation, model: str, size: int) -> None:
    url = image(size)
    answer = await installation.turn(model, question(url))
    assert answer.status == "completed"
    (said,) = installation.asked()["messages" if model.startswith("chatty") else "input"]
    (part,) = said["content"]
    shown = part["image_url"]["url"] if model.startswith("chatty") else part["image_url"]
    assert shown == url, "another image"
    await emptied(installation)


async def test_a_work_order_that_is_larger_than_its_request_goes_in_pieces(
    installation: Installation, bus: Bus
) -> None:
    """The request just fits; what the router adds to it does not."""
    text = "x" * (bus.max_payload - 600)
    answer = await installation.turn("lab/plain", text)
    assert answer.status == "completed"
    await emptied(installation)


async def test_a_small_request_stores_no_piece(installation: Installation, bus: Bus) -> None:
    seen: list[Message] = []
    root = installation.stored.subjects.root
    for kind in ("payloads", "pieces"):
        await bus.subscribe(f"{root}.{kind}.>", seen.append)
    await bus.flush()
    await installation.turn("lab/plain", "small")
    await bus.flush()
    assert seen == []


async def test_a_request_over_the_set_size_is_refused_before_anything_is_sent(
    installation: Installation, bus: Bus
) -> None:
    seen: list[Message] = []
    await bus.subscribe(f"{installation.stored.subjects.root}.>", seen.append)
    await bus.flush()
    with pytest.raises(tokenbus.RequestTooLargeError) as caught:
        await installation.turn("lab/plain", "x" * MAX_REQUEST_BYTES)
    assert caught.value.limit == MAX_REQUEST_BYTES < caught.value.size
    assert str(MAX_REQUEST_BYTES) in str(caught.value)
    await bus.flush()
    assert seen == []


async def test_a_router_with_a_lower_limit_says_so(installation: Installation) -> None:
    await installation.stop()
    await installation.start(request_max_bytes=2 * MB)
    with pytest.raises(tokenbus.RequestRefusedError, match="this router takes 2000000") as caught:
        await installation.turn("lab/plain", "x" * 3 * MB)
    assert caught.value.code is ErrorCode.PAYLOAD_TOO_LARGE


async def test_a_full_store_refuses_large_requests_and_takes_small_ones(installation: Installation) -> None:
    await installation.stop()
    await installation.start(payloads_max_bytes=3 * MB)
    with pytest.raises(tokenbus.OverloadedError, match="the store of large requests is full"):
        await installation.turn("lab/plain", "x" * 5 * MB)
    assert (await installation.turn("lab/plain", "small")).status == "completed"


async def test_without_a_router_a_large_request_is_refused(installation: Installation) -> None:
    await installation.stop()
    with pytest.raises(tokenbus.NoRouterError):
        await installation.turn("lab/plain", "x" * 2 * MB)


async def test_a_large_request_survives_its_executor(installation: Installation) -> None:
    """The work is handed back and fetched again, payload and all."""
    url = image(2 * MB)

    def asked(times: int) -> bool:
        return len(list(installation.simulator.record)) == times

    async with installation.client.stream(model="lab/sim@ttft:3000", input=question(url), timeout_s=60) as stream:
        await eventually(lambda: asked(1), timeout_s=30)
        await installation.restart()
        answer = await stream.response()
    assert answer.status == "completed"
    assert asked(2)
    assert installation.asked()["input"][0]["content"][0]["image_url"] == url
    await emptied(installation)
