"""Who asks: the tenant, and what it may have."""

from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Final

from tokenbus_schemas import DEFAULT_TENANT, PRIORITY_CLASSES, ErrorCode, PriorityClass, RequestError, Tenant


@dataclass(frozen=True, slots=True)
class Limits:
    """What one key may use; None: as much as it likes. Each gateway process counts for itself."""

    requests_per_minute: int | None = None
    tokens_per_minute: int | None = None
    """Input and output together, as the provider counts them when an answer ends."""
    concurrent_requests: int | None = None


@dataclass(frozen=True, slots=True)
class Caller:
    """Whose request it is."""

    key_id: str
    """Names the key in logs and limits; no secret."""
    tenant: Tenant = DEFAULT_TENANT
    models: tuple[str, ...] = ("*",)
    """Patterns of model IDs, such as `openai/*`."""
    priority_class: PriorityClass = "standard"
    """The class of its requests, and the best that one may ask for."""
    limits: Limits = Limits()

    def may_use(self, model: str) -> bool:
        return any(fnmatchcase(model, pattern) for pattern in self.models)

    def check(self, model: str) -> None:
        """Raises `RequestError` (404), the same as for a model that does not exist."""
        if not self.may_use(model):
            raise unknown_model(model)

    def granted_class(self, asked: PriorityClass | None) -> PriorityClass:
        """What it asked for, but nothing better than its own."""
        if asked is None:
            return self.priority_class
        return (
            asked
            if PRIORITY_CLASSES.index(asked) > PRIORITY_CLASSES.index(self.priority_class)
            else self.priority_class
        )


def unknown_model(model: str) -> RequestError:
    """The same for a model that is not there and for one that is not for this caller."""
    problem = f"model: {model[:80]!r} does not exist, or this key may not use it"
    return RequestError(ErrorCode.MODEL_NOT_FOUND, problem, param="model")


ANYONE: Final = Caller("open", priority_class="priority")
"""Where no keys are configured; the gateway then listens on this machine only."""
