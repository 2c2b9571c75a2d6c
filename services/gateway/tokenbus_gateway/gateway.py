"""The gateway put together: the bus on one side, the HTTP server on the other."""

import asyncio
import ipaddress
import logging
import os
import socket
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Final

from tokenbus.bus import Bus
from tokenbus_chassis.run import Parts
from tokenbus_gateway.access.authenticator import Authenticator
from tokenbus_gateway.access.key_file import follow_key_file
from tokenbus_gateway.app import Application
from tokenbus_gateway.bridge import Bridge, BridgeOptions
from tokenbus_gateway.edge import EdgeLimits
from tokenbus_gateway.endpoint import Gate, Times
from tokenbus_gateway.limits import Meter
from tokenbus_gateway.server import ServerOptions, listen, serving
from tokenbus_gateway.settings import GatewaySettings
from tokenbus_schemas import Subjects

_log = logging.getLogger(__name__)

LOOPBACK: Final = "127.0.0.1"


@asynccontextmanager
async def gateway(bus: Bus, *, settings: GatewaySettings, authenticator: Authenticator) -> AsyncGenerator[Parts]:
    """Listens and serves while inside. Raises `OSError` where the address can not be had."""
    host = listening_host(settings.gateway_host, open_to_all=authenticator.open)
    with _listening(host, settings.gateway_port) as listener:
        bridge = Bridge(
            bus,
            subjects=Subjects(settings.root),
            options=BridgeOptions(buffer_bytes=settings.gateway_buffer_bytes),
        )
        async with bridge:
            gate = Gate(
                bridge=bridge,
                authenticator=authenticator,
                meter=Meter(),
                times=Times(
                    body_s=settings.gateway_body_timeout_s,
                    write_s=settings.gateway_write_timeout_s,
                    request_s=settings.gateway_request_timeout_s,
                ),
                max_body_bytes=settings.gateway_max_body_bytes,
            )
            options = ServerOptions(
                max_message_bytes=settings.gateway_max_body_bytes,
                keep_alive_s=settings.gateway_keep_alive_s,
                drain_s=settings.drain_timeout_s,
                edge=EdgeLimits(head_timeout_s=settings.gateway_head_timeout_s),
            )
            async with serving(Application(gate), listener, options=options), _following(settings, authenticator):
                port = int(listener.getsockname()[1])
                _log.info("listening", extra={"host": host, "port": port})
                yield Parts(status=base_url(host, port))


@asynccontextmanager
async def _following(settings: GatewaySettings, authenticator: Authenticator) -> AsyncGenerator[None]:
    """Keys change with their file while inside."""
    path = settings.gateway_keys_file
    if path is None:
        yield
        return
    async with asyncio.TaskGroup() as group:
        following = group.create_task(follow_key_file(path, authenticator, environment=os.environ))
        yield
        following.cancel()


def _listening(host: str, port: int) -> socket.socket:
    try:
        return listen(host, port)
    except OSError as error:
        extra = {"host": host, "port": port, "problem": error.strerror or str(error)}
        _log.critical("can not listen: free the address, or set TOKENBUS_GATEWAY_PORT to another port", extra=extra)
        raise


def base_url(host: str, port: int) -> str:
    """What clients take for OpenAI's base URL."""
    return f"http://[{host}]:{port}/v1" if ":" in host else f"http://{host}:{port}/v1"


def listening_host(wanted: str, *, open_to_all: bool) -> str:
    """Where to listen: without any key only this machine's own processes may come in."""
    if not open_to_all:
        return wanted
    if wanted == "localhost" or _is_loopback(wanted):
        _log.warning("no keys are configured: everybody on this machine may ask; see `tokenbus keys create`")
        return wanted
    _log.warning(
        "no keys are configured: listening on this machine only; see `tokenbus keys create`",
        extra={"wanted": wanted, "host": LOOPBACK},
    )
    return LOOPBACK


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
