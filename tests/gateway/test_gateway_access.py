"""Keys, tokens and the file they stand in."""

import argparse
import stat
import time
from pathlib import Path
from typing import Any

import jwt
import pytest
import yaml

from tokenbus_gateway.access.access_file import AccessFile, AccessFileError, parse_access_file, read_access_file
from tokenbus_gateway.access.access_file_edit import add_key, with_key
from tokenbus_gateway.access.api_keys import mint_key, parse_key, secret_fits
from tokenbus_gateway.access.authenticator import Authenticator
from tokenbus_gateway.access.caller import ANYONE, Caller
from tokenbus_gateway.api_errors import RefusedError
from tokenbus_gateway.cli import run
from tokenbus_gateway.gateway import listening_host
from tokenbus_schemas import RequestError, Tenant

SECRET = "a-secret-of-livekit-that-is-long-enough"
KEY = "APIabc123"
Json = dict[str, Any]


def authenticator() -> tuple[Authenticator, str]:
    """One that knows an API key and a LiveKit key, and that API key."""
    minted = mint_key()
    file = AccessFile.model_validate(
        {
            "keys": [
                {
                    "id": minted.key_id,
                    "hash": minted.hash,
                    "tenant": "voice",
                    "models": ["openai/*"],
                    "class": "priority",
                    "limits": {"requests_per_minute": 5},
                }
            ],
            "livekit": [{"key": KEY, "secret_env": "SECRET", "tenant": "rooms"}],
        }
    )
    return Authenticator(file, environment={"SECRET": SECRET}), minted.text


def livekit_token(secret: str = SECRET, **changes: object) -> str:
    now = int(time.time())
    claims: Json = {"iss": KEY, "sub": "agent", "nbf": now, "exp": now + 86_400, "inference": {"perform": True}}
    claims |= changes
    return jwt.encode({name: value for name, value in claims.items() if value is not None}, secret, algorithm="HS256")


def refused(of: Authenticator, authorization: str | None) -> RefusedError:
    with pytest.raises(RefusedError) as caught:
        of.caller(authorization)
    assert caught.value.error.status == 401
    return caught.value


def test_a_minted_key_opens_what_its_row_says() -> None:
    known, key = authenticator()
    caller = known.caller(f"Bearer {key}")
    assert (caller.tenant, caller.priority_class, caller.limits.requests_per_minute) == ("voice", "priority", 5)


def test_no_two_keys_are_alike_and_none_stands_in_its_hash() -> None:
    minted = [mint_key() for _ in range(50)]
    assert len({key.text for key in minted}) == len({key.key_id for key in minted}) == 50
    for key in minted:
        parts = parse_key(key.text)
        assert parts is not None
        assert parts.secret not in key.hash
        assert secret_fits(parts.secret, hashed=key.hash)


@pytest.mark.parametrize(
    "authorization",
    [None, "", "Bearer", "Bearer ", "Basic abc", "Bearer sk-live-123", "Bearer tb_0123456789ab_" + "x" * 43],
)
def test_no_key_and_a_wrong_key_are_refused(authorization: str | None) -> None:
    known, _ = authenticator()
    refused(known, authorization)


def test_a_key_with_one_letter_changed_is_refused_and_never_quoted() -> None:
    known, key = authenticator()
    wrong = key[:-1] + ("a" if key[-1] != "a" else "b")
    assert wrong not in str(refused(known, f"Bearer {wrong}"))


def test_a_livekit_token_of_a_known_key_is_let_in() -> None:
    known, _ = authenticator()
    assert known.caller(f"Bearer {livekit_token()}").tenant == "rooms"


@pytest.mark.parametrize(
    ("token", "problem"),
    [
        (livekit_token("another-secret-that-is-just-as-long"), "not signed"),
        (livekit_token(exp=int(time.time()) - 86_400), "expired"),
        (livekit_token(exp=None), "not signed"),
        (livekit_token(nbf=int(time.time()) + 86_400), "not valid yet"),
        (livekit_token(inference=None), "grants no inference"),
        (livekit_token(inference={"perform": False}), "grants no inference"),
        (livekit_token(inference={"perform": "yes"}), "grants no inference"),
        (livekit_token(iss="APIother"), "does not know"),
        ("not.a.token", "does not know"),
    ],
)
def test_a_livekit_token_that_proves_nothing_is_refused(token: str, problem: str) -> None:
    known, _ = authenticator()
    assert problem in str(refused(known, f"Bearer {token}"))


def test_an_unsigned_token_is_refused() -> None:
    known, _ = authenticator()
    claims: Json = {"iss": KEY, "exp": int(time.time()) + 600, "inference": {"perform": True}}
    assert "not signed" in str(refused(known, f"Bearer {jwt.encode(claims, '', algorithm='none')}"))


def test_without_any_key_everybody_is_let_in_and_only_this_machine_can_reach_it() -> None:
    assert Authenticator(AccessFile(), environment={}).caller(None) == ANYONE
    assert listening_host("0.0.0.0", open_to_all=True) == "127.0.0.1"
    assert listening_host("::1", open_to_all=True) == "::1"
    assert listening_host("0.0.0.0", open_to_all=False) == "0.0.0.0"


def test_a_request_gets_no_better_class_than_its_key() -> None:
    standard = Caller("k")
    assert standard.granted_class(None) == "standard"
    assert standard.granted_class("priority") == "standard"
    assert standard.granted_class("low") == "low"


def test_a_model_that_a_key_may_not_use_does_not_exist_for_it() -> None:
    caller = Caller("k", Tenant("t"), ("openai/*", "groq/llama"))
    caller.check("openai/gpt-4.1")
    caller.check("groq/llama")
    with pytest.raises(RequestError, match="does not exist"):
        caller.check("azure/gpt-4.1")


BROKEN: list[tuple[str, str]] = [
    ("keys: 5", "keys"),
    ("- a", "file"),
    ("kys: []", "kys"),
    ("keys: [{id: 0123456789ab}]", "keys[0].hash"),
    ("keys: [{id: nope, hash: x}]", "keys[0].id"),
    ("keys: [{id: '0123456789ab', hash: plain-text-key}]", "keys[0]: Value error, hash must be"),
    ("livekit: [{key: A}]", "livekit[0]: Value error, give one of secret_env and secret_file"),
    ("livekit: [{key: A, secret_env: X, tenant: 'a b'}]", "livekit[0].tenant"),
    ("livekit: [{key: A, secret_env: X, class: urgent}]", "livekit[0].class"),
    ("livekit: [{key: A, secret_env: X, limits: {requests_per_minute: 0}}]", "livekit[0].limits.requests_per_minute"),
    ("livekit: [{key: A, secret_env: X}, {key: A, secret_env: Y}]", "A stands there twice"),
    ("keys: [", "is no YAML"),
]


@pytest.mark.parametrize(("text", "place"), BROKEN)
def test_a_broken_file_is_refused_with_the_place(text: str, place: str) -> None:
    with pytest.raises(AccessFileError) as caught:
        parse_access_file(text, path=Path("keys.yaml"))
    assert "keys.yaml: " in str(caught.value)
    assert place in str(caught.value)


def test_a_missing_file_and_a_missing_or_short_secret_are_told(tmp_path: Path) -> None:
    with pytest.raises(AccessFileError, match="can not be read"):
        read_access_file(tmp_path / "nowhere.yaml")
    file = AccessFile.model_validate({"livekit": [{"key": KEY, "secret_env": "NOT_SET"}]})
    with pytest.raises(ValueError, match="environment variable NOT_SET must hold"):
        Authenticator(file, environment={})
    short = tmp_path / "secret"
    short.write_text("short\n")
    file = AccessFile.model_validate({"livekit": [{"key": KEY, "secret_file": str(short)}]})
    with pytest.raises(ValueError, match="at least 32 characters"):
        Authenticator(file, environment={})


def test_keys_create_writes_a_row_and_shows_the_key_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "keys.yaml"
    args = argparse.Namespace(
        file=path,
        name="the voice team",
        tenant="voice",
        model=["openai/*"],
        priority_class="priority",
        requests_per_minute=60,
        tokens_per_minute=None,
        concurrent_requests=None,
    )
    assert run(args) == 0
    assert run(args) == 0
    first, second = capsys.readouterr().out.split()
    known = Authenticator(read_access_file(path), environment={})
    for key in (first, second):
        assert known.caller(f"Bearer {key}").limits.requests_per_minute == 60
        assert key not in path.read_text()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


@pytest.mark.parametrize(
    "text",
    [
        "",
        "# nothing yet\n",
        "keys: []\n",
        "keys:\n",
        "keys: [] # none yet\nlivekit: []\n",
        "livekit:\n  - key: A # the agents\n    secret_env: X\n",
        "keys:\n- id: '0123456789ab'\n  hash: sha256:" + "0" * 32 + ":" + "0" * 64 + "\n",
        "keys: # ours\n    # the first\n    - id: '0123456789ab'\n      hash: sha256:"
        + "0" * 32
        + ":"
        + "0" * 64
        + "\n",
    ],
)
def test_a_row_is_added_and_everything_else_stays_as_it_was(text: str) -> None:
    minted = mint_key()
    before: Json = yaml.safe_load(text) or {}
    after = with_key(text, {"id": minted.key_id, "hash": minted.hash})
    found: Json = yaml.safe_load(after)
    assert found["keys"] == [{"id": minted.key_id, "hash": minted.hash}, *(before.get("keys") or [])]
    assert found.get("livekit") == before.get("livekit")
    assert [word for word in text.split() if word.startswith("#")] == [w for w in after.split() if w.startswith("#")]


def test_a_file_that_no_row_can_be_added_to_stays_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "keys.yaml"
    path.write_text("{keys: [], livekit: []}\n")
    minted = mint_key()
    with pytest.raises(AccessFileError):
        add_key(path, {"id": minted.key_id, "hash": minted.hash})
    assert path.read_text() == "{keys: [], livekit: []}\n"
