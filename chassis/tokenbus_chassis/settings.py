"""Settings that every service has, read once from the environment in its `__main__` and passed down."""

import ssl
import sys
from typing import Final, Literal, TypeVar

from pydantic import Field, SecretStr, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict, SettingsError

from tokenbus.bus import BusOptions, Login
from tokenbus_chassis.delivery_limit import MAX_DELIVERIES
from tokenbus_chassis.topology import Topology, TopologyLimits, topology
from tokenbus_schemas import DEFAULT_ROOT, Pool
from tokenbus_schemas.subjects import TOKEN_PATTERN

BAD_SETTINGS: Final = 2
"""Exit code: a setting can not be used; which, and why, stands on standard error."""
_PREFIX: Final = "TOKENBUS_"
_LIMITS = TopologyLimits()
_OPTIONS = BusOptions()


class ServiceSettings(BaseSettings):
    """Base of a service's settings; each field is an environment variable led by `TOKENBUS_`."""

    model_config = SettingsConfigDict(
        env_prefix=_PREFIX, frozen=True, extra="ignore", hide_input_in_errors=True, populate_by_name=True
    )

    nats_url: str = Field(
        default="nats://127.0.0.1:4222",
        description="NATS servers, with commas between; may hold user and password or a token.",
    )
    nats_user: str | None = Field(default=None, description="NATS user, if not in the URL.")
    nats_password: SecretStr | None = Field(default=None, description="Password of that user.")
    nats_token: SecretStr | None = Field(default=None, description="NATS token, instead of a user.")
    nats_credentials_file: str | None = Field(default=None, description="File with a NATS user's JWT and seed.")
    nats_nkey_seed_file: str | None = Field(default=None, description="File with an nkey seed.")
    nats_ca_file: str | None = Field(
        default=None, description="Certificate authority of the NATS servers, if it is private."
    )
    nats_connect_timeout_s: float = Field(
        default=30.0, gt=0, description="How long to wait for NATS at start before giving up with exit code 1."
    )
    nats_ping_interval_s: float = Field(
        default=_OPTIONS.ping_interval_s, gt=0, description="Two unanswered pings in this rhythm end a connection."
    )
    root: str = Field(
        default=DEFAULT_ROOT,
        pattern=f"^{TOKEN_PATTERN}$",
        description="First token of all subjects; names streams and buckets.",
    )
    drain_timeout_s: float = Field(
        default=25.0,
        gt=0,
        description="How long work in flight may go on after SIGTERM; shorter than the pod's grace period.",
    )
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = Field(
        default="INFO", description="Least severe line logged."
    )
    log_format: Literal["json", "text"] = Field(
        default="json", description="One JSON object per line, or text for people."
    )
    health_host: str = Field(default="0.0.0.0", description="Where health is served.")  # noqa: S104 - probes come from outside
    health_port: int = Field(
        default=0, ge=0, le=65535, description="Port of `/healthz` and `/readyz`; 0: health is not served."
    )
    notify_socket: str | None = Field(
        default=None,
        validation_alias="NOTIFY_SOCKET",
        description="Set by systemd or `tokenbus up`, which wait for READY=1.",
    )
    stream_replicas: int = Field(default=_LIMITS.replicas, ge=1, le=5, description="Copies of every stream and bucket.")
    requests_max_bytes: int = Field(
        default=_LIMITS.requests_max_bytes,
        gt=0,
        description="Bytes of requests not yet routed; then new ones are refused.",
    )
    tenant_max_requests: int = Field(
        default=_LIMITS.tenant_max_requests,
        gt=0,
        description="Requests of one tenant and class that are not yet routed; then it is refused more.",
    )
    work_max_bytes: int = Field(
        default=_LIMITS.work_max_bytes,
        gt=0,
        description="Bytes of work not yet done, all pools; then new work is refused.",
    )
    tenant_max_work: int = Field(
        default=_LIMITS.tenant_max_work,
        gt=0,
        description="Unfinished work of one tenant in one class of one pool; what is more waits in line.",
    )
    waiting_max_bytes: int = Field(
        default=_LIMITS.waiting_max_bytes, gt=0, description="Bytes of work that waits in line; then it is refused."
    )
    tenant_max_waiting: int = Field(
        default=_LIMITS.tenant_max_waiting,
        gt=0,
        description="Work of one tenant that waits in line, per pool and class; then it is refused.",
    )
    payloads_max_bytes: int = Field(
        default=_LIMITS.payloads_max_bytes,
        gt=0,
        description="Bytes of requests and work over the bus's limit, from sending to the end; then new ones are "
        "refused.",
    )
    events_max_bytes: int = Field(
        default=_LIMITS.events_max_bytes, gt=0, description="Bytes of events kept for replay; then the oldest go."
    )
    events_max_age_s: float = Field(
        default=_LIMITS.events_max_age_s, gt=0, description="How long events can be replayed."
    )
    results_max_bytes: int = Field(
        default=_LIMITS.results_max_bytes, gt=0, description="Bytes of final responses kept; then the oldest go."
    )
    results_max_age_s: float = Field(
        default=_LIMITS.results_max_age_s,
        gt=0,
        description="How long final responses, and what was asked, are kept; more than the longest request.",
    )
    responses_max_bytes: int = Field(
        default=_LIMITS.responses_max_bytes,
        gt=0,
        description="Bytes of what requests asked, kept to continue them; then the oldest go.",
    )
    ack_wait_s: float = Field(
        default=_LIMITS.ack_wait_s, ge=1, description="Silence of a worker after which another one gets its message."
    )
    max_deliveries: int = Field(
        default=5,
        ge=1,
        lt=MAX_DELIVERIES,
        description="How often a request is taken up before it fails, because its worker died or failed each time; "
        "hand-backs at a shutdown do not count.",
    )
    max_ack_pending: int = Field(
        default=_LIMITS.max_ack_pending,
        gt=0,
        description="Messages being worked on per queue, over all workers; at least their slots together.",
    )

    def login(self) -> Login:
        """How to log in to NATS. Raises `OSError` or `ssl.SSLError` for a bad `nats_ca_file`."""
        return Login(
            user=self.nats_user,
            password=_revealed(self.nats_password),
            token=_revealed(self.nats_token),
            credentials_file=self.nats_credentials_file,
            nkey_seed_file=self.nats_nkey_seed_file,
            tls=ssl.create_default_context(cafile=self.nats_ca_file) if self.nats_ca_file else None,
        )

    def bus_options(self) -> BusOptions:
        return BusOptions(connect_timeout_s=self.nats_connect_timeout_s, ping_interval_s=self.nats_ping_interval_s)

    def topology(self, *, pools: tuple[Pool, ...] = ()) -> Topology:
        """What this Tokenbus stores. `pools`: whose consumers to include."""
        limits = TopologyLimits(
            replicas=self.stream_replicas,
            requests_max_bytes=self.requests_max_bytes,
            tenant_max_requests=self.tenant_max_requests,
            work_max_bytes=self.work_max_bytes,
            tenant_max_work=self.tenant_max_work,
            waiting_max_bytes=self.waiting_max_bytes,
            tenant_max_waiting=self.tenant_max_waiting,
            payloads_max_bytes=self.payloads_max_bytes,
            events_max_bytes=self.events_max_bytes,
            events_max_age_s=self.events_max_age_s,
            results_max_bytes=self.results_max_bytes,
            results_max_age_s=self.results_max_age_s,
            responses_max_bytes=self.responses_max_bytes,
            ack_wait_s=self.ack_wait_s,
            max_ack_pending=self.max_ack_pending,
        )
        return topology(self.root, limits=limits, pools=pools)


def settings_table(settings: type[ServiceSettings]) -> str:
    """A Markdown table of all variables, defaults and descriptions, for the documentation."""
    prefix = str(settings.model_config.get("env_prefix", "")).upper()
    rows = ["| variable | default | meaning |", "|---|---|---|"]
    for name, field in settings.model_fields.items():
        default = "required" if field.is_required() else f"`{field.default}`" if field.default is not None else ""
        variable = field.validation_alias or f"{prefix}{name.upper()}"
        rows.append(f"| `{variable}` | {default} | {field.description} |")
    return "\n".join(rows) + "\n"


def _revealed(secret: SecretStr | None) -> str | None:
    return None if secret is None else secret.get_secret_value()


SettingsT = TypeVar("SettingsT", bound=ServiceSettings)


def read_settings(kind: type[SettingsT]) -> SettingsT:
    """The settings of this process's environment. Ends the process where one can not be used, with a line for each."""
    try:
        return kind()
    except ValidationError as error:
        for problem in error.errors(include_input=False, include_url=False):
            name = _PREFIX + "_".join(map(str, problem["loc"])).upper() if problem["loc"] else "settings"
            sys.stderr.write(f"{name}: {problem['msg']}\n")
    except SettingsError as error:
        sys.stderr.write(f"settings: {error}\n")
    raise SystemExit(BAD_SETTINGS)
