"""An exception in a log line: where it was raised, never what it says."""

from tokenbus.error_site import error_site


def raised(error: Exception) -> Exception:
    try:
        raise error
    except Exception as caught:  # noqa: BLE001 - whatever the test raises
        return caught


def test_the_place_is_told_without_the_text() -> None:
    assert error_site(raised(ValueError("a prompt"))).startswith("ValueError at test_bus_error_site.py:")
    assert "prompt" not in error_site(raised(ValueError("a prompt")))


def test_of_a_group_the_first_error_is_told() -> None:
    group = ExceptionGroup("outer", [ExceptionGroup("inner", [raised(KeyError("k")), raised(ValueError("v"))])])
    assert error_site(raised(group)).startswith("KeyError at test_bus_error_site.py:")


def test_an_error_that_was_never_raised_has_no_place() -> None:
    assert error_site(ValueError("text")) == "ValueError"
