"""The public names of `tokenbus_router` are pinned."""

import inspect

import tokenbus_router
from tokenbus_router.settings import RouterSettings


def test_visible_names_are_the_listed_names() -> None:
    visible = {
        name
        for name, value in vars(tokenbus_router).items()
        if not name.startswith("_") and not inspect.ismodule(value)
    }
    assert visible == set(tokenbus_router.__all__)


def test_every_setting_is_described() -> None:
    assert not [name for name, field in RouterSettings.model_fields.items() if not field.description]
