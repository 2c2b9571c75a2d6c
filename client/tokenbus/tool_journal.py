"""Where hosts of tools write down what was called and what came of it: the bucket `<root>_tools`.

It is a bucket as the `nats` command knows it, but without markers for expired keys: every call is a key that expires,
and markers would double what is stored.
"""

from typing import Final

from tokenbus.stream_specs import StreamSpec, bucket_stream

_MAX_AGE_S: Final = 24 * 3600.0
"""The longest that an entry may live; each says itself when it is of no more use: some time after its request."""
JOURNAL_MAX_BYTES: Final = 1024 * 1024 * 1024
"""A thousand calls a second with small outputs and ten minutes' time each come to a third of it."""


def journal_bucket(root: str) -> str:
    """The bucket's name."""
    return f"{root}_tools"


def journal_stream(root: str, *, replicas: int = 1, max_bytes: int = JOURNAL_MAX_BYTES) -> StreamSpec:
    """The stream that is the bucket. When it is full, calls are refused instead of run without a trace."""
    bucket = journal_bucket(root)
    return StreamSpec(
        name=bucket_stream(bucket),
        subjects=(f"$KV.{bucket}.>",),
        discard="new",
        max_bytes=max_bytes,
        max_messages_per_subject=1,
        max_age_s=_MAX_AGE_S,
        replicas=replicas,
        allow_direct=True,
        message_ttl=True,
        allow_rollup=True,
    )
