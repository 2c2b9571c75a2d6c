"""Addresses and logins; first contact; being thrown out; moving to another server."""

import asyncio
import shutil
import ssl
import subprocess
import time
from pathlib import Path
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.conftest import StartNatsServer, eventually
from tokenbus.bus import Bus, BusOptions, Login, StreamSpec
from tokenbus.bus_address import split_login
from tokenbus.errors import BusUnavailableError

QUICK = BusOptions(connect_timeout_s=2.0, reconnect_wait_s=0.01, reconnect_wait_max_s=0.05)
USERS = "authorization: {users: [{user: ann, password: 'p@ss'}, {user: bob, password: b}]}"
WITHOUT_BOB = "authorization: {users: [{user: ann, password: 'p@ss'}]}"


def test_a_login_in_a_url_is_taken_out_of_it() -> None:
    servers, login = split_login("nats://ann:p%40ss@one:4222,two:4223, tls://three", Login())
    assert servers == ["nats://one:4222", "nats://two:4223", "tls://three"]
    assert login == Login(user="ann", password="p@ss")


def test_a_lone_user_in_a_url_is_a_token() -> None:
    assert split_login(["nats://s3cret@one"], Login())[1] == Login(token="s3cret")


def test_an_explicit_login_wins_over_the_url() -> None:
    assert split_login("nats://ann:a@one", Login(user="bob", password="b"))[1] == Login(user="bob", password="b")


@pytest.mark.parametrize(
    "address", ["http://one", "nats://", "nats://one:port", "nats://one:99999", "nats://u:p@one:0"]
)
def test_what_is_no_address_is_named_without_its_login(address: str) -> None:
    with pytest.raises(ValueError, match="is no NATS address") as caught:
        split_login(address, Login())
    assert "u:p" not in str(caught.value)


def test_no_server_at_all_is_refused() -> None:
    with pytest.raises(ValueError, match="is empty"):
        split_login(" , ", Login())


@given(user=st.text(min_size=1), password=st.text())
def test_any_login_survives_being_quoted_in_a_url(user: str, password: str) -> None:
    url = f"nats://{quote(user, safe='')}:{quote(password, safe='')}@host:4222"
    assert split_login(url, Login()) == (["nats://host:4222"], Login(user=user, password=password))


def test_a_login_hides_its_secrets() -> None:
    assert "hidden" not in repr(Login(user="ann", password="hidden", token="hidden"))


async def test_no_server_is_an_error_that_names_it_and_no_password(unused_tcp_port: int) -> None:
    started = time.monotonic()
    options = BusOptions(connect_timeout_s=0.3)
    with pytest.raises(BusUnavailableError, match=f"nats://127.0.0.1:{unused_tcp_port}") as caught:
        async with Bus.connect(f"nats://ann:hidden@127.0.0.1:{unused_tcp_port}", name="test", options=options):
            pass
    assert 0.25 < time.monotonic() - started < 2.0
    assert "hidden" not in str(caught.value)
    assert caught.value.servers == (f"nats://127.0.0.1:{unused_tcp_port}",)


async def test_a_first_connect_can_be_cancelled(unused_tcp_port: int) -> None:
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.1), Bus.connect(f"nats://127.0.0.1:{unused_tcp_port}", name="test"):
            pass


async def test_a_server_that_starts_late_is_found(start_nats_server: StartNatsServer) -> None:
    server = start_nats_server()
    server.kill()
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(asyncio.to_thread(server.start))
        async with Bus.connect(server.url, name="test") as bus:
            assert bus.connected


async def test_a_refused_login_fails_at_once(start_nats_server: StartNatsServer) -> None:
    server = start_nats_server(config=USERS)
    started = time.monotonic()
    options = BusOptions(connect_timeout_s=30.0)
    with pytest.raises(BusUnavailableError, match=r"(?i)authorization violation"):
        async with Bus.connect(server.url, name="test", login=Login(user="ann", password="no"), options=options):
            pass
    assert time.monotonic() - started < 2.0


@pytest.mark.parametrize("how", ["arguments", "url"])
async def test_user_and_password_are_taken(start_nats_server: StartNatsServer, how: str) -> None:
    server = start_nats_server(config=USERS)
    url, login = server.url, Login(user="ann", password="p@ss")
    if how == "url":
        url, login = url.replace("//", "//ann:p%40ss@"), Login()
    async with Bus.connect(url, name="test", login=login) as bus:
        await bus.flush()


async def test_a_token_is_taken(start_nats_server: StartNatsServer) -> None:
    server = start_nats_server(config="authorization: {token: s3cret}")
    async with Bus.connect(server.url.replace("//", "//s3cret@"), name="test") as bus:
        await bus.flush()


async def test_a_missing_credentials_file_is_named(nats_url: str, tmp_path: Path) -> None:
    login = Login(credentials_file=str(tmp_path / "no.creds"))
    with pytest.raises(BusUnavailableError, match=r"no\.creds|nkeys"):
        async with Bus.connect(nats_url, name="test", login=login, options=QUICK):
            pass


async def test_a_tls_url_never_sends_a_login_in_the_clear(nats_url: str) -> None:
    with pytest.raises(BusUnavailableError, match="secure connection not available"):
        async with Bus.connect(nats_url.replace("nats://", "tls://ann:p@"), name="test"):
            pass


@pytest.fixture
def certificate(tmp_path: Path) -> Path:
    """A self-signed certificate for 127.0.0.1, its key beside it as `key.pem`."""
    if shutil.which("openssl") is None:
        pytest.skip("needs the openssl command to make a certificate")
    made = tmp_path / "cert.pem"
    command = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=test"
    files = ["-addext", "subjectAltName=IP:127.0.0.1", "-out", str(made), "-keyout", str(tmp_path / "key.pem")]
    subprocess.run([*command.split(), *files], check=True, capture_output=True)
    return made


async def test_an_encrypted_connection_checks_the_certificate(
    start_nats_server: StartNatsServer, certificate: Path
) -> None:
    key = certificate.with_name("key.pem")
    server = start_nats_server(config=f'tls: {{cert_file: "{certificate}", key_file: "{key}"}}')
    url = server.url.replace("nats://", "tls://")
    trusting = Login(tls=ssl.create_default_context(cafile=str(certificate)))
    async with Bus.connect(url, name="test", login=trusting) as bus:
        await bus.flush()
    with pytest.raises(BusUnavailableError, match="certificate verify failed"):
        async with Bus.connect(url, name="test", options=BusOptions(connect_timeout_s=0.5)):
            pass


async def test_a_denied_publish_is_counted_and_the_connection_lives(start_nats_server: StartNatsServer) -> None:
    server = start_nats_server(
        config="authorization: {users: [{user: ann, password: a, permissions: {publish: {allow: ['ok']}}}]}"
    )
    async with Bus.connect(server.url, name="test", login=Login(user="ann", password="a")) as bus:
        await bus.publish("secret", b"")
        await bus.flush()
        assert (bus.connected, bus.reconnects, bus.error_counts) == (True, 0, {"Error": 1})


async def test_a_user_who_is_thrown_out_comes_back_when_let_in_again(start_nats_server: StartNatsServer) -> None:
    server = start_nats_server(config=USERS)
    async with Bus.connect(server.url, name="test", login=Login(user="bob", password="b"), options=QUICK) as bus:
        server.reconfigure(WITHOUT_BOB)
        await eventually(lambda: not bus.connected)
        await eventually(lambda: sum(bus.error_counts.values()) > 3)
        server.reconfigure(USERS)
        await eventually(lambda: bus.reconnects >= 1)
        await bus.flush()


async def test_a_server_whose_jetstream_does_not_answer_is_left_for_another(start_nats_server: StartNatsServer) -> None:
    good = start_nats_server()
    bad = start_nats_server(config="jetstream: disabled")
    async with Bus.connect(good.url, name="test") as bus:
        await bus.ensure_stream(StreamSpec("S", ("s.>",)))
    options = BusOptions(reconnect_wait_s=0.01, stalled_after=3, stalled_for_s=0.1)
    good.stop()
    async with Bus.connect([bad.url, good.url], name="test", options=options) as bus:
        good.start()
        ack = await bus.publish_stored("s.x", b"", retry_for_s=5.0)
        assert (ack.stream, bus.reconnects) == ("S", 1)
