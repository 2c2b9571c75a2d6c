"""LiveKit's access tokens: JWTs, HS256, signed with the secret that belongs to the API key in `iss`.

What its inference clients send (livekit-agents 1.8.9): `iss`, `sub` "agent", `nbf`, `exp` ten minutes on, and
the grant `inference: {perform: true}`.
"""

from typing import Any, Final

import jwt

from tokenbus_translate.json_value import as_object

LEEWAY_S: Final = 30.0
"""How far clocks may be apart."""


class TokenRefusedError(Exception):
    """The token proves nothing; the text says why, without quoting it."""


def claimed_key(token: str) -> str | None:
    """The API key that a JWT says it was signed for, unproven; None for what is no JWT."""
    try:
        claims: dict[str, Any] = jwt.decode(token, options={"verify_signature": False})
    except jwt.PyJWTError:
        return None
    issuer = claims.get("iss")
    return issuer if isinstance(issuer, str) else None


def check_token(token: str, *, secret: str) -> None:
    """Raises `TokenRefusedError` unless `secret` signed it, it is valid now, and it grants inference."""
    try:
        claims: dict[str, Any] = jwt.decode(
            token,
            secret,
            algorithms=["HS256"],
            leeway=LEEWAY_S,
            options={"require": ["exp", "iss"], "verify_aud": False},
        )
    except jwt.ExpiredSignatureError as error:
        raise TokenRefusedError("the LiveKit token has expired; mint one for each request") from error
    except jwt.ImmatureSignatureError as error:
        raise TokenRefusedError("the LiveKit token is not valid yet; check the clocks (claim nbf)") from error
    except jwt.PyJWTError as error:
        raise TokenRefusedError("the LiveKit token is not signed with the secret of its key, or is broken") from error
    grant = as_object(claims.get("inference"))
    if grant is None or grant.get("perform") is not True:
        raise TokenRefusedError("the LiveKit token grants no inference; it needs inference.perform = true")
