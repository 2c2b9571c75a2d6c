"""The public face: what `__all__` says is what the package holds."""

import types

import tokenbus_translate


def test_all_public_names_are_listed_and_nothing_else() -> None:
    visible = {
        name
        for name, value in vars(tokenbus_translate).items()
        if not name.startswith("_") and not isinstance(value, types.ModuleType)
    }
    assert visible == set(tokenbus_translate.__all__)
    assert tokenbus_translate.__all__ == sorted(tokenbus_translate.__all__, key=lambda name: (name[0].islower(), name))
