"""The simulator as a process: prints its base URL as one line when it is ready and serves until SIGTERM or SIGINT."""

import asyncio
import signal
import sys

from pydantic import ValidationError
from pydantic_settings import CliApp

from tokenbus_simulator.script import parse_script
from tokenbus_simulator.server import Simulator
from tokenbus_simulator.settings import Settings

if sys.platform == "win32":
    new_event_loop = asyncio.new_event_loop
else:
    from uvloop import new_event_loop


async def serve(settings: Settings) -> None:
    """Serves until a signal. The simulator is no service of the bus, so it has no use for the chassis and its drain."""
    stop = asyncio.Event()
    for signum in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(signum, stop.set)
    async with Simulator(
        settings.host,
        port=settings.port,
        script=parse_script(settings.script),
        seed=settings.seed,
        record_size=settings.record_size,
        max_body_mib=settings.max_body_mib,
    ) as simulator:
        sys.stdout.write(simulator.base_url + "\n")
        sys.stdout.flush()
        await stop.wait()


def main() -> None:
    """Reads command line and environment, then serves. Wrong settings and a taken port end it with one line."""
    try:
        settings = CliApp.run(Settings)
        with asyncio.Runner(loop_factory=new_event_loop) as runner:
            runner.run(serve(settings))
    except ValidationError as error:
        problems = [f"{problem['loc'][0]}: {problem['msg']}" for problem in error.errors()]
        raise SystemExit(f"tokenbus-simulator: {'; '.join(problems)}") from None
    except OSError as error:
        raise SystemExit(f"tokenbus-simulator: {error.strerror}") from None


if __name__ == "__main__":
    main()
