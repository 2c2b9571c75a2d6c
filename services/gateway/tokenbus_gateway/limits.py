"""What a key may still use: requests and tokens per minute, and requests at once.

A limit is a bucket that holds one minute's worth and fills steadily. Pure: the time comes in. Each gateway process
counts for itself, so that no request waits for a count: with k replicas a key gets up to k times its limit.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from tokenbus_gateway.access.caller import Limits
from tokenbus_gateway.api_errors import RefusedError, rate_limited

_MINUTE_S = 60.0
Header = tuple[bytes, bytes]


class Bucket:
    """`capacity` per minute."""

    def __init__(self, capacity: int, *, now: float) -> None:
        self.capacity = capacity
        self._left = float(capacity)
        self._filled_at = now

    def left(self, *, now: float) -> float:
        """May be negative: tokens are known only after they were used."""
        rate = self.capacity / _MINUTE_S
        self._left = min(self.capacity, self._left + (now - self._filled_at) * rate)
        self._filled_at = now
        return self._left

    def take(self, amount: float) -> None:
        self._left -= amount

    def wait_s(self, amount: float, *, now: float) -> float:
        """Until so much is there."""
        return max(0.0, (amount - self.left(now=now)) * _MINUTE_S / self.capacity)


@dataclass(slots=True)
class Usage:
    """What one key uses in this process."""

    limits: Limits
    requests: Bucket | None
    tokens: Bucket | None
    running: int = 0

    @classmethod
    def of(cls, limits: Limits, *, now: float) -> "Usage":
        per_minute = (limits.requests_per_minute, limits.tokens_per_minute)
        buckets = [None if capacity is None else Bucket(capacity, now=now) for capacity in per_minute]
        return cls(limits, buckets[0], buckets[1])

    @property
    def counts_tokens(self) -> bool:
        return self.tokens is not None

    def begin(self, *, now: float) -> None:
        """One more request; each needs one `end`. Raises `RefusedError` (429), which says when to come again."""
        if self.limits.concurrent_requests is not None and self.running >= self.limits.concurrent_requests:
            what = f"{self.limits.concurrent_requests} requests of this key are running, and no more may"
            raise RefusedError(rate_limited(what, retry_after_s=1.0))
        if self.requests is not None and (wait_s := self.requests.wait_s(1, now=now)) > 0:
            raise RefusedError(rate_limited(f"{self.requests.capacity} requests per minute", retry_after_s=wait_s))
        if self.tokens is not None and (wait_s := self.tokens.wait_s(1, now=now)) > 0:
            raise RefusedError(rate_limited(f"{self.tokens.capacity} tokens per minute", retry_after_s=wait_s))
        if self.requests is not None:
            self.requests.take(1)
        self.running += 1

    def end(self, *, tokens: int) -> None:
        self.running -= 1
        if self.tokens is not None:
            self.tokens.take(tokens)

    def change(self, limits: Limits, *, now: float) -> None:
        """Other limits from now on; what runs goes on."""
        changed = Usage.of(limits, now=now)
        self.limits, self.requests, self.tokens = limits, changed.requests, changed.tokens

    def headers(self, *, now: float) -> Sequence[Header]:
        """OpenAI's `x-ratelimit-*`, and LiveKit's, which its clients log when they are refused."""
        found: list[Header] = []
        for name, short, bucket in ((b"requests", b"RPM", self.requests), (b"tokens", b"TPM", self.tokens)):
            if bucket is None:
                continue
            left = max(0, math.floor(bucket.left(now=now)))
            reset = f"{bucket.wait_s(bucket.capacity, now=now):.3f}s".encode()
            found += [
                (b"x-ratelimit-limit-" + name, b"%d" % bucket.capacity),
                (b"x-ratelimit-remaining-" + name, b"%d" % left),
                (b"x-ratelimit-reset-" + name, reset),
                (b"x-livekit-inference-" + short.lower() + b"-limit", b"%d" % bucket.capacity),
                (b"x-livekit-inference-" + short.lower() + b"-used", b"%d" % (bucket.capacity - left)),
            ]
        return found


class Meter:
    """The usage of every key."""

    def __init__(self) -> None:
        self._usage: dict[str, Usage] = {}

    def usage(self, key_id: str, limits: Limits, *, now: float) -> Usage:
        """As many entries as there are keys."""
        found = self._usage.get(key_id)
        if found is None:
            found = self._usage[key_id] = Usage.of(limits, now=now)
        elif found.limits != limits:
            found.change(limits, now=now)
        return found
