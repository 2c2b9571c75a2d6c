"""Seals: made-up encrypted reasoning, which is refused when it comes back with another id or another content.

The content is the digits of the item's id, a digest of the thoughts, and a checksum of the digest. Nothing has to be
remembered, and an id in a rendered answer may be replaced by another (`ids.STEM`), since both change alike.
"""

import hashlib
import re
from typing import Final

_HEAD: Final = "gAAAAAB"  # how a Fernet token begins, as OpenAI's do
_SEALED: Final = re.compile(_HEAD + r"(?P<digits>[0-9a-f]+)-(?P<digest>[0-9a-f]{64})(?P<checksum>[0-9a-f]{8})==")
_CHECKSUM_DIGITS: Final = 8


def sealed(item_id: str, *, thoughts: str) -> str:
    """What `encrypted_content` holds for a reasoning item."""
    digest = hashlib.sha256(thoughts.encode()).hexdigest()
    return f"{_HEAD}{_digits(item_id)}-{digest}{_checksum(digest)}=="


def seal_problem(content: str, *, item_id: str) -> str | None:
    """OpenAI's words for what is wrong with encrypted content that comes back, None if nothing is.

    Sources: github.com/openai/codex/issues/8145 and 35334 (2025-12, 2026-07).
    """
    seal = _SEALED.fullmatch(content)
    if seal is None or _checksum(seal["digest"]) != seal["checksum"]:
        reason = "Encrypted content could not be decrypted or parsed."
        return f"The encrypted content {content[:4]}...{content[-4:]} could not be verified. Reason: {reason}"
    if seal["digits"] != _digits(item_id):
        reason = "Encrypted content item_id did not match the target item id."
        return f"The encrypted content for item {item_id} could not be verified. Reason: {reason}"
    return None


def _digits(item_id: str) -> str:
    return item_id.partition("_")[2]


def _checksum(digest: str) -> str:
    return hashlib.sha256(digest.encode()).hexdigest()[:_CHECKSUM_DIGITS]
