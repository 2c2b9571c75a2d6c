"""The public names of `tokenbus` are pinned: what is visible is what `__all__` lists."""

import inspect
from typing import get_type_hints

import tokenbus
from tokenbus import errors, params
from tokenbus_schemas import ChatRequest

NOT_PARAMETERS = {"stream", "stream_options", "functions", "function_call"}
"""Without effect on the bus, or deprecated; a whole request body may still hold them."""


def test_visible_names_are_the_listed_names() -> None:
    visible = {
        name for name, value in vars(tokenbus).items() if not name.startswith("_") and not inspect.ismodule(value)
    }
    assert visible == set(tokenbus.__all__)
    assert tokenbus.__all__ == sorted(tokenbus.__all__, key=lambda name: (not name.isupper(), name))


def test_every_error_stands_in_the_tree_of_the_module_text() -> None:
    classes = [
        value for value in vars(errors).values() if inspect.isclass(value) and value.__module__ == "tokenbus.errors"
    ]
    tree = [line.strip("│├└─ ").split()[0] for line in (errors.__doc__ or "").splitlines() if "Error" in line]
    assert sorted(tree) == sorted(one.__name__ for one in classes)


def test_every_error_stands_below_its_base_in_the_tree() -> None:
    lines = [line for line in (errors.__doc__ or "").splitlines() if "Error" in line]
    path: list[tuple[int, str]] = []
    for line in lines:
        name = line.strip("│├└─ ").split()[0]
        depth = line.index(name)
        path = [*[entry for entry in path if entry[0] < depth], (depth, name)]
        parent = getattr(errors, name).__bases__[0].__name__
        assert parent == (path[-2][1] if len(path) > 1 else "Exception"), name


def test_the_typed_parameters_are_those_of_the_contract() -> None:
    assert set(get_type_hints(params.RequestParams)) == set(ChatRequest.model_fields) - NOT_PARAMETERS
    options = ChatRequest.model_fields["tokenbus"].annotation
    assert set(get_type_hints(params.BusParams)) == set(getattr(options, "model_fields"))  # noqa: B009
