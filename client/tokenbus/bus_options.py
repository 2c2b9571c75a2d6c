"""How a bus logs in and behaves: values only."""

import ssl
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Login:
    """Who we are to NATS; all None: whatever the server URLs say, or nobody.

    One way at a time: `credentials_file`, `nkey_seed_file`, `user` with `password`, or `token`. The two files need the
    package `nkeys` (`pip install "nats-py[nkeys]"`); they are read anew at each reconnect, so they may be rotated.
    """

    user: str | None = None
    password: str | None = field(default=None, repr=False)
    token: str | None = field(default=None, repr=False)
    credentials_file: str | None = None
    nkey_seed_file: str | None = None
    tls: ssl.SSLContext | None = None
    """Used whenever the connection is encrypted; giving one, or a `tls://` URL, refuses an unencrypted server."""
    tls_hostname: str | None = None
    """The name to look for in the server's certificate, where it is not the one in the URL."""


@dataclass(frozen=True, slots=True)
class BusOptions:
    """Times and limits. Where nats-py has a default of its own, it is named with the reason for ours."""

    connect_timeout_s: float = 5.0
    """How long `Bus.connect` tries before it raises `BusUnavailableError`."""
    reconnect_wait_s: float = 0.05
    """First wait before a reconnect, jittered, doubled per failure up to the next value (nats-py: 2 s, fixed)."""
    reconnect_wait_max_s: float = 2.0
    """A later reconnect waits at most this long. There is no last one (nats-py: closed for good after 60 tries)."""
    ping_interval_s: float = 10.0
    """With two unanswered pings the connection counts as dead (nats-py: 120 s, so up to six minutes of silence)."""
    flush_timeout_s: float = 2.0
    """How long a flush, or a publish that finds `high_water_bytes` unsent, waits for the server (nats-py: 10 s)."""
    drain_timeout_s: float = 5.0
    """How long closing waits for callbacks that still run (nats-py: 30 s)."""
    buffer_bytes: int = 8 * 1024 * 1024
    """Unsent bytes kept while disconnected; then `BusOverflowError` (nats-py: 2 MiB, two full-size payloads)."""
    high_water_bytes: int = 1024 * 1024
    """Unsent bytes above which a publish waits for the server to catch up."""
    pending_messages: int = 512 * 1024
    """Received and not yet handled, per subscription; further ones are dropped, counted and logged. Two seconds of a
    full-speed token stream: a callback that is later than that does not keep up and will not."""
    pending_bytes: int = 128 * 1024 * 1024
    """The same in bytes. Above the 64 MiB at which nats-server gives up on a slow client, so that a burst which the
    server was willing to hold is never dropped here."""
    stalled_after: int = 5
    """JetStream failures in a row, over `stalled_for_s` or more, after which we move to another server, where there are
    several: a client on a node that lost its cluster never recovers by itself."""
    stalled_for_s: float = 8.0
    """Longer than an election takes (4 to 6 s measured): for that alone, moving would only cut live subscriptions."""
