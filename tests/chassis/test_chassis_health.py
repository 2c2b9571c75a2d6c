"""The health server against probes that behave and those that do not."""

import asyncio
import json

import pytest

from tokenbus_chassis.health import serving_health


async def ask(port: int, request: bytes) -> tuple[int, dict[str, object]]:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(request)
    head, _, body = (await reader.read()).partition(b"\r\n\r\n")
    writer.close()
    await writer.wait_closed()
    return int(head.split()[1]), json.loads(body)


def request(line: str) -> bytes:
    return f"{line} HTTP/1.1\r\nHost: x\r\n\r\n".encode()


@pytest.mark.parametrize(
    ("line", "status"),
    [
        ("GET /healthz", 200),
        ("GET /readyz", 200),
        ("GET /readyz?verbose=1", 200),
        ("GET /", 404),
        ("POST /healthz", 405),
    ],
)
async def test_each_path_has_its_status(line: str, status: int) -> None:
    async with serving_health(host="127.0.0.1", port=0, not_ready=lambda: None) as port:
        assert (await ask(port, request(line)))[0] == status


async def test_a_reason_makes_it_not_ready() -> None:
    async with serving_health(host="127.0.0.1", port=0, not_ready=lambda: "draining") as port:
        assert await ask(port, request("GET /readyz")) == (503, {"ready": False, "reason": "draining"})
        assert (await ask(port, request("GET /healthz")))[0] == 200


@pytest.mark.parametrize(("reason", "status"), [(None, 200), ("draining", 503)])
async def test_troubles_are_told_and_do_not_decide(reason: str | None, status: int) -> None:
    server = serving_health(host="127.0.0.1", port=0, not_ready=lambda: reason, troubles=lambda: ["a broken file"])
    async with server as port:
        found, body = await ask(port, request("GET /readyz"))
    assert (found, body["troubles"]) == (status, ["a broken file"])


@pytest.mark.parametrize("rubbish", [b"", b"\x00\xff\r\n\r\n", b"GET /" + b"x" * 10_000 + b"\r\n\r\n"])
async def test_rubbish_does_no_harm(rubbish: bytes) -> None:
    async with serving_health(host="127.0.0.1", port=0, not_ready=lambda: None) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(rubbish)
        writer.write_eof()
        await reader.read()
        writer.close()
        assert (await ask(port, request("GET /healthz")))[0] == 200


async def test_a_taken_port_is_an_error() -> None:
    async with serving_health(host="127.0.0.1", port=0, not_ready=lambda: None) as port:
        with pytest.raises(OSError, match=str(port)):
            async with serving_health(host="127.0.0.1", port=port, not_ready=lambda: None):
                pass
