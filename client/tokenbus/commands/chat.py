"""`tokenbus chat`: one question and its answer, or a conversation on a terminal."""

import argparse
import sys
from collections.abc import Coroutine
from typing import Any, Final

from tokenbus.client import DEFAULT_TIMEOUT_S, Client
from tokenbus.command import Subcommands, UsageError, connected, connection_options
from tokenbus.commands.keyboard import read_line
from tokenbus.commands.show import exit_code, show_answer
from tokenbus.errors import RequestRefusedError, ResponseFailedError
from tokenbus.params import RequestParams
from tokenbus_schemas import PRIORITY_CLASSES, Response

DEFAULT_MODEL: Final = "openai/gpt-4.1-mini"
FROM_STDIN: Final = "-"


def register(subcommands: Subcommands) -> None:
    """Adds `chat`."""
    about = (
        "Ask a model and print its answer while it is written. Without a text: a conversation, where stdin is a "
        "terminal; else the text is read from stdin. Ctrl-C cancels the request."
    )
    parser = subcommands.add_parser("chat", help="ask a model", description=about, parents=[connection_options()])
    parser.add_argument("text", nargs="?", help="what to ask; - reads it from stdin")
    parser.add_argument("-m", "--model", default=DEFAULT_MODEL, help="model ID (default: %(default)s)")
    parser.add_argument("--instructions", help="the system message")
    parser.add_argument("--class", dest="priority_class", choices=PRIORITY_CLASSES, default="standard")
    parser.add_argument(
        "--timeout", type=float, default=DEFAULT_TIMEOUT_S, metavar="S", help="seconds, queueing included (%(default)s)"
    )
    parser.add_argument("--request-id", help="choose it, to watch or cancel the request elsewhere (default: random)")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> Coroutine[Any, Any, int]:
    """What is left to do on the bus. Stdin is read before that: a read inside an event loop would not see Ctrl-C."""
    if args.text is None and sys.stdin.isatty():
        return _converse(args)
    text: str = args.text if args.text not in (None, FROM_STDIN) else _read_stdin()
    if not text.strip():
        raise UsageError("text: is empty; write what to ask")
    return _ask_once(args, text=text)


async def _ask_once(args: argparse.Namespace, *, text: str) -> int:
    async with connected(args) as client:
        return exit_code(await _ask(client, args, conversation=[_message("user", text)]))


async def _converse(args: argparse.Namespace) -> int:
    """Turn by turn, until the end of input. A turn that fails is taken back, and the conversation goes on."""
    async with connected(args) as client:
        return await _take_turns(client, args)


async def _take_turns(client: Client, args: argparse.Namespace) -> int:
    conversation: list[dict[str, str]] = []
    code = 0
    while (text := await read_line("> ")) is not None:
        if not text.strip():
            continue
        conversation.append(_message("user", text))
        try:
            response = await _ask(client, args, conversation=conversation)
        except (ResponseFailedError, RequestRefusedError) as error:
            sys.stderr.write(f"tokenbus: {error}\n")
            conversation.pop()
            code = 1
        else:
            conversation.append(_message("assistant", response.output_text))
            code = exit_code(response)
    sys.stdout.write("\n")
    return code


async def _ask(client: Client, args: argparse.Namespace, *, conversation: list[dict[str, str]]) -> Response:
    params: RequestParams = {"model": args.model, "input": conversation}
    if args.instructions is not None:
        params["instructions"] = args.instructions
    async with client.stream(
        priority_class=args.priority_class, timeout_s=args.timeout, request_id=args.request_id, **params
    ) as stream:
        if sys.stderr.isatty():
            sys.stderr.write(f"request {stream.request_id}\n")
        return await show_answer(stream, as_json=args.json)


def _message(role: str, text: str) -> dict[str, str]:
    return {"type": "message", "role": role, "content": text}


def _read_stdin() -> str:
    """Raises `UsageError` for what is no UTF-8."""
    try:
        return sys.stdin.buffer.read().decode()
    except UnicodeDecodeError as error:
        raise UsageError(f"stdin: is not UTF-8 text (byte {error.start}); convert it first") from error
