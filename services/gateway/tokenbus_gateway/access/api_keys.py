"""API keys: `tb_<id>_<secret>`. The id finds the row, the secret proves it; only a salted hash of it is stored.

The secret is 256 random bits, so a fast hash is as good as a slow one: there is no dictionary to try. A slow one
(scrypt) would cost every request tens of milliseconds of CPU, and hand any stranger a way to spend them.
"""

import hashlib
import hmac
import re
import secrets
from typing import Final, NamedTuple

_KEY: Final = re.compile(r"tb_([0-9a-f]{12})_([A-Za-z0-9_-]{43})", re.ASCII)
_HASH: Final = re.compile(r"sha256:([0-9a-f]{32}):([0-9a-f]{64})", re.ASCII)


class MintedKey(NamedTuple):
    """A new key. `text` is shown once and stored nowhere."""

    text: str
    key_id: str
    hash: str
    """For the configuration: `sha256:<salt>:<digest>`."""


class KeyParts(NamedTuple):
    """A key as it was sent."""

    key_id: str
    secret: str


def mint_key() -> MintedKey:
    key_id, secret, salt = secrets.token_hex(6), secrets.token_urlsafe(32), secrets.token_bytes(16)
    digest = _digest(secret, salt=salt).hex()
    return MintedKey(f"tb_{key_id}_{secret}", key_id, f"sha256:{salt.hex()}:{digest}")


def parse_key(text: str) -> KeyParts | None:
    """The parts of a key; None for anything that was never minted here."""
    found = _KEY.fullmatch(text)
    return None if found is None else KeyParts(found[1], found[2])


def is_hash(text: str) -> bool:
    return _HASH.fullmatch(text) is not None


def secret_fits(secret: str, *, hashed: str) -> bool:
    """Whether `secret` made the hash; takes the same time whatever differs."""
    found = _HASH.fullmatch(hashed)
    if found is None:
        return False
    return hmac.compare_digest(_digest(secret, salt=bytes.fromhex(found[1])), bytes.fromhex(found[2]))


def _digest(secret: str, *, salt: bytes) -> bytes:
    return hashlib.sha256(salt + secret.encode()).digest()
