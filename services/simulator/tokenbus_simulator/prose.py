"""What the simulator says when a script does not say it: a sentence that shows what has arrived."""

from typing import Final

from tokenbus_simulator.asked import Asked

_QUOTED_CHARACTERS: Final = 200


def pleasantry(asked: Asked) -> str:
    """An answer that quotes the last tool output, else the last user message, and counts what came with it."""
    turn = asked.turn
    if turn.tool_outputs:
        return f"The tool answered: {quoted(turn.tool_outputs[-1])} Glad I could look that up for you."
    about = f"You wrote: {quoted(turn.user_text)} " if turn.user_text else "You wrote nothing yet. "
    if turn.attachments:
        about += f"I see {', '.join(turn.attachments)} with it. "
    return (
        f"{about}This is the simulator speaking, so no model has thought about it, but every word you see came the way "
        "a real answer takes, token by token."
    )


def quoted(text: str) -> str:
    """The text in quotation marks, cut where it is long."""
    shown = text if len(text) <= _QUOTED_CHARACTERS else text[: _QUOTED_CHARACTERS - 1] + "…"
    return f"“{shown}”"
