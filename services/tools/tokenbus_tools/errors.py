"""What can be wrong with what the tools service is told to serve.

ToolsError
├── ToolsFileError    the tools file can not be read or used
└── ModuleError       a module can not be imported, or holds no tool
"""

from collections.abc import Sequence


class ToolsError(Exception):
    """Base of all errors of this package; the service does not start."""


class ToolsFileError(ToolsError):
    """Attribute: `problems`, each naming the field, what is wrong and what to write."""

    def __init__(self, problems: Sequence[str]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(problems))


class ModuleError(ToolsError):
    """Attributes: `module`, `problem`."""

    def __init__(self, module: str, problem: str) -> None:
        self.module = module
        self.problem = problem
        super().__init__(f"module {module!r}: {problem}")
