"""Messages that no honest client sends. nats-server delivers them, so they must be readable, and the next ones too."""

import asyncio
from urllib.parse import urlsplit

import pytest

from tests.conftest import eventually
from tokenbus.bus import Bus, Message


async def publish_raw(nats_url: str, subject: bytes, *, headers: bytes = b"", reply: bytes = b"") -> None:
    """What nats-py would not send; returns when the server has it."""
    address = urlsplit(nats_url)
    reader, writer = await asyncio.open_connection(address.hostname, address.port)
    try:
        reply = reply + b" " if reply else b""
        publish = b"HPUB %b %b%d %d\r\n%b\r\n" % (subject, reply, len(headers), len(headers), headers)
        if not headers:
            publish = b"PUB %b %b0\r\n\r\n" % (subject, reply)
        writer.write(b'CONNECT {"verbose":false,"headers":true}\r\n%bPING\r\n' % publish)
        async with asyncio.timeout(5.0):
            while (line := await reader.readline()) != b"PONG\r\n":
                assert line.startswith(b"INFO"), line
    finally:
        writer.close()


@pytest.mark.parametrize(
    "token", [b"\xff\xfe", b"a\x0bb", b"a\x0cb", b"a\x0b1\x0b2", b"\x1c\x85"], ids=lambda token: repr(token)
)
async def test_a_subject_that_is_no_text_is_delivered_and_hurts_nobody(
    bus: Bus, nats_url: str, root: str, token: bytes
) -> None:
    got: list[Message] = []
    await bus.subscribe(f"{root}.>", got.append)
    await bus.flush()
    await publish_raw(nats_url, root.encode() + b"." + token)
    await bus.publish(f"{root}.honest", b"")
    await eventually(lambda: len(got) == 2)
    assert got[0].subject == f"{root}.{token.decode(errors='replace')}"


@pytest.mark.parametrize(
    ("block", "expected"),
    [
        (b"NATS/1.0 \xff\xff\xff \xff\r\nA: b\r\n\r\n", {"A": "b"}),
        (b"NATS/1.0 503 \xff\xfe\r\nA: b\r\n\r\n", {"A": "b"}),
        (b"NATS/1.0\r\nA: \xff\r\n\r\n", {"A": "\N{REPLACEMENT CHARACTER}"}),
        (b"NATS/1.0", {}),
        (b"rubbish\r\n\r\n", {}),
        (b"\r\n\r\n", {}),
    ],
    ids=lambda value: repr(value),
)
async def test_headers_that_are_none_are_left_out_and_hurt_nobody(
    bus: Bus, nats_url: str, root: str, block: bytes, expected: dict[str, str]
) -> None:
    got: list[Message] = []
    await bus.subscribe(f"{root}.>", got.append)
    await bus.flush()
    await publish_raw(nats_url, f"{root}.odd".encode(), headers=block)
    await bus.publish(f"{root}.honest", b"")
    await eventually(lambda: len(got) == 2)
    assert dict(got[0].headers) == expected


async def test_a_reply_subject_that_is_no_text_hurts_nobody(bus: Bus, nats_url: str, root: str) -> None:
    got: list[Message] = []
    await bus.subscribe(f"{root}.>", got.append)
    await bus.flush()
    await publish_raw(nats_url, f"{root}.odd".encode(), reply=b"\xff\x0b")
    await bus.publish(f"{root}.honest", b"")
    await eventually(lambda: len(got) == 2)
