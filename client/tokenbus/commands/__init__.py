"""The subcommands of this distribution."""

from typing import Final

from tokenbus.command import Register
from tokenbus.commands import cancel, chat, models, providers, stored, watch

BUILT_IN: Final[tuple[Register, ...]] = (
    chat.register,
    watch.register,
    cancel.register,
    stored.register_get,
    stored.register_delete,
    models.register,
    providers.register,
)

__all__ = ["BUILT_IN"]
