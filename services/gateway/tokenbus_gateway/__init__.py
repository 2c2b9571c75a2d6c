"""The gateway: OpenAI's Responses and Chat Completions APIs over the bus, by HTTP and WebSocket."""

from tokenbus_gateway.access.access_file import AccessFile, AccessFileError, read_access_file
from tokenbus_gateway.access.authenticator import Authenticator
from tokenbus_gateway.gateway import gateway
from tokenbus_gateway.openapi import openapi_document
from tokenbus_gateway.settings import GatewaySettings

__all__ = [
    "AccessFile",
    "AccessFileError",
    "Authenticator",
    "GatewaySettings",
    "gateway",
    "openapi_document",
    "read_access_file",
]
