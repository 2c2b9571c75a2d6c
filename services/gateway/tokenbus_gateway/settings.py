"""The gateway's settings."""

from pathlib import Path

from pydantic import Field

from tokenbus_chassis.settings import ServiceSettings
from tokenbus_gateway.edge import EdgeLimits
from tokenbus_gateway.endpoint import Times
from tokenbus_schemas import MAX_REQUEST_BYTES

_TIMES = Times()
_EDGE = EdgeLimits()


class GatewaySettings(ServiceSettings):
    """What the gateway reads from the environment, besides what every service has."""

    gateway_host: str = Field(
        default="127.0.0.1", description="Address to listen on; without any key only this machine's."
    )
    gateway_port: int = Field(default=8080, ge=0, le=65535, description="Port to listen on; 0: any free one.")
    gateway_keys_file: Path | None = Field(
        default=None,
        description="YAML file of keys, which `tokenbus keys create` writes to; read again when it changes.",
    )
    gateway_max_body_bytes: int = Field(
        default=MAX_REQUEST_BYTES,
        gt=0,
        description="Largest request body; then 413. The routers have a limit, too, TOKENBUS_REQUEST_MAX_BYTES.",
    )
    gateway_request_timeout_s: float = Field(
        default=_TIMES.request_s,
        gt=0,
        le=3600,
        description="A request's whole time unless its header Tokenbus-Timeout says.",
    )
    gateway_head_timeout_s: float = Field(
        default=_EDGE.head_timeout_s,
        gt=0,
        description="From a connection to the end of its request's headers; then it is cut.",
    )
    gateway_body_timeout_s: float = Field(
        default=_TIMES.body_s, gt=0, description="From the headers of a request to the end of its body; then 408."
    )
    gateway_write_timeout_s: float = Field(
        default=_TIMES.write_s, gt=0, description="A client that reads nothing for this long is taken for gone."
    )
    gateway_keep_alive_s: float = Field(
        # Longer than any client keeps a connection it means to use again (livekit-agents 1.8.9: 120 s)
        # so that no request meets a connection that is just being closed.
        default=130.0,
        gt=0,
        description="How long an idle connection is kept.",
    )
    gateway_buffer_bytes: int = Field(
        default=128 * 1024, gt=0, description="What one answer may hold unread for a client that does not keep up."
    )
