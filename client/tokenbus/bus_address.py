"""Server URLs and logins: taken apart before nats-py sees them."""

from collections.abc import Sequence
from dataclasses import replace
from urllib.parse import unquote, urlsplit

from tokenbus.bus_options import Login

_SCHEMES = ("nats", "tls", "ws", "wss")


def split_login(servers: str | Sequence[str], login: Login) -> tuple[list[str], Login]:
    """The servers without userinfo, and the login with what the first userinfo said where it said nothing itself.

    nats-py would keep userinfo with its URL; then servers that the cluster announces later get no login. And without it
    a server's name can be logged. `nats://token@host` is a token, `nats://user:password@host` a user.
    Raises `ValueError`, naming the server, for what is no NATS address.
    """
    addresses: list[str] = []
    for server in _listed(servers):
        text = server.strip()
        parts = urlsplit(text if "://" in text else f"nats://{text}")
        shown = f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}"
        if parts.scheme not in _SCHEMES or not parts.hostname or not _port_is_valid(parts.netloc):
            raise ValueError(f"servers: {shown!r} is no NATS address; write it like nats://host:4222")
        addresses.append(f"{shown}{parts.path if parts.scheme in ('ws', 'wss') else ''}")
        login = _completed(login, username=parts.username, password=parts.password)
    if not addresses:
        raise ValueError("servers: is empty; give at least one, like nats://localhost:4222")
    return addresses, login


def _listed(servers: str | Sequence[str]) -> list[str]:
    """One string may hold several, with commas between, as the `nats` command takes them."""
    if isinstance(servers, str):
        return [server for server in servers.split(",") if server.strip()]
    return list(servers)


def _port_is_valid(netloc: str) -> bool:
    try:
        return urlsplit(f"//{netloc}").port != 0
    except ValueError:
        return False


def _completed(login: Login, *, username: str | None, password: str | None) -> Login:
    given = login.user or login.token or login.credentials_file or login.nkey_seed_file
    if given or not username:
        return login
    if password is None:
        return replace(login, token=unquote(username))
    return replace(login, user=unquote(username), password=unquote(password))
