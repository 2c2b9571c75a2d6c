"""Log lines: a constant message, fields beside it, no texts of exceptions."""

import json
import logging

from tokenbus_chassis.logs import JsonFormatter, TextFormatter


def record(message: str, /, *, error: BaseException | None = None, **fields: object) -> logging.LogRecord:
    info = (type(error), error, error.__traceback__) if error is not None else None
    made = logging.LogRecord("tokenbus.test", logging.WARNING, __file__, 1, message, (), info)
    vars(made).update(fields)
    return made


def raised() -> ValueError:
    try:
        raise ValueError("the prompt")
    except ValueError as error:
        return error


def test_a_json_line_holds_message_and_fields() -> None:
    line = json.loads(JsonFormatter().format(record("routed", request_id="r1", attempt=2)))
    assert line.pop("time").endswith("+00:00")
    assert line == {
        "level": "WARNING",
        "logger": "tokenbus.test",
        "message": "routed",
        "request_id": "r1",
        "attempt": 2,
    }


def test_a_field_of_any_type_can_be_logged() -> None:
    line = json.loads(JsonFormatter().format(record("m", value={"a": b"bytes"}, other=object)))
    assert line["other"] == "<class 'object'>"


def test_a_text_line_is_for_people() -> None:
    text = TextFormatter().format(record("routed", request_id="r1"))
    assert text.endswith("WARNING tokenbus.test: routed request_id=r1")


def test_an_exception_shows_its_place_and_not_its_text() -> None:
    for formatter in (JsonFormatter(), TextFormatter()):
        text = formatter.format(record("failed", error=raised()))
        assert "in raised" in text
        assert "ValueError" in text
        assert text.count("the prompt") == 1, "only as part of the source line that raised it"
