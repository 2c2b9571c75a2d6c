"""Shows an answer on the terminal, or to a program."""

import sys
from typing import Final

from tokenbus.errors import ResponseFailedError
from tokenbus.stream import ResponseStream
from tokenbus_schemas import Response

ANSWERED: Final = frozenset({"completed", "incomplete"})


async def show_answer(stream: ResponseStream, *, as_json: bool) -> Response:
    """Writes the text as it comes, or the final response as one line of JSON, and returns that response.

    Raises what reading the stream raises; a started line is ended first.
    """
    if as_json:
        return await _show_json(stream)
    line_is_open = False
    try:
        async for piece in stream.text:
            sys.stdout.write(piece)
            sys.stdout.flush()
            line_is_open = not piece.endswith("\n")
    finally:
        if line_is_open and not isinstance(sys.exc_info()[1], BrokenPipeError):
            sys.stdout.write("\n")
    return await stream.response()


def exit_code(response: Response) -> int:
    """0 for an answer, 1 for a cancelled one; says on stderr why there is no more of it."""
    if response.status == "incomplete":
        reason = (response.incomplete_details or {}).get("reason", "unknown")
        sys.stderr.write(f"tokenbus: the answer is incomplete: {reason}\n")
    elif response.status not in ANSWERED:
        sys.stderr.write(f"tokenbus: the answer was {response.status}\n")
    return 0 if response.status in ANSWERED else 1


async def _show_json(stream: ResponseStream) -> Response:
    try:
        response = await stream.response()
    except ResponseFailedError as error:
        _write_json(error.response)
        raise
    _write_json(response)
    return response


def _write_json(response: Response) -> None:
    sys.stdout.write(response.model_dump_json() + "\n")
