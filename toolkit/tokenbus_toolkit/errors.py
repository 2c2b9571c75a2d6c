"""Everything that this package raises, or lets a tool raise.

ToolkitError
├── ToolError             a tool says why it could not do what was asked; the model reads it
├── ArgumentsError        the model's arguments are not what the tool takes; the model reads it
└── ToolDefinitionError   a function can not be a tool as it is written; its author reads it
"""

from collections.abc import Sequence


class ToolkitError(Exception):
    """Base of all errors of this package."""


class ToolError(ToolkitError):
    """Raise it inside a tool: the model gets the message as the call's output, word for word.

    Say what is wrong and what to do instead. Any other exception reaches the model as one neutral sentence.
    """

    def __init__(self, message: str) -> None:
        self.message = message
        super().__init__(message)


class ArgumentsError(ToolkitError):
    """The arguments can not be used. `problems`: one sentence each, naming the parameter; may quote the arguments."""

    def __init__(self, problems: Sequence[str]) -> None:
        self.problems = tuple(problems)
        super().__init__("; ".join(problems))


class ToolDefinitionError(ToolkitError):
    """Attributes: `tool`, `problem`."""

    def __init__(self, tool: str, problem: str) -> None:
        self.tool = tool
        self.problem = problem
        super().__init__(f"tool {tool!r}: {problem}")
