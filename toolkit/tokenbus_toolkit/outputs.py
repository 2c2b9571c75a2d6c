"""What a tool returns as what the model reads. Pure.

A string goes as it is and None as the empty string. `Image` and `File`, alone or in a list with strings among them,
become content parts. Everything else becomes JSON: dicts, lists, numbers, pydantic models, dataclasses, dates, UUIDs.
"""

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal, cast

from pydantic_core import PydanticSerializationError, to_json

from tokenbus_schemas.tools import ToolOutput

Detail = Literal["auto", "low", "high"]


@dataclass(frozen=True, slots=True)
class Image:
    """An image for the model. `url`: one that the provider can fetch, or a data URL (`Image.of`)."""

    url: str
    detail: Detail = "auto"

    @classmethod
    def of(cls, content: bytes, *, media_type: str, detail: Detail = "auto") -> "Image":
        """`media_type` as in `image/png`."""
        return cls(_data_url(content, media_type), detail=detail)


@dataclass(frozen=True, slots=True)
class File:
    """A file for the model, as a data URL (`File.of`) or at a `url` that the provider can fetch."""

    name: str
    url: str

    @classmethod
    def of(cls, content: bytes, *, name: str, media_type: str) -> "File":
        """`media_type` as in `application/pdf`."""
        return cls(name, _data_url(content, media_type))


class OutputError(TypeError):
    """The value has no JSON form. Attribute: `type_name`. Never quotes the value."""

    def __init__(self, value: object) -> None:
        self.type_name = type(value).__name__
        super().__init__(f"a {self.type_name} that can not be written as JSON")


def tool_output(value: object) -> ToolOutput:
    """Raises `OutputError`."""
    if isinstance(value, str):
        return valid_text(value)
    if value is None:
        return ""
    if isinstance(value, Image | File):
        return [_part(value)]
    if isinstance(value, list | tuple):
        items = cast("Sequence[object]", value)
        if any(isinstance(item, Image | File) for item in items):
            return [_part(item) for item in items]
    return _json(cast("object", value))


def _part(value: object) -> dict[str, Any]:
    if isinstance(value, Image):
        return {"type": "input_image", "image_url": value.url, "detail": value.detail}
    if isinstance(value, File):
        where = "file_data" if value.url.startswith(_DATA) else "file_url"
        return {"type": "input_file", "filename": value.name, where: value.url}
    return {"type": "input_text", "text": valid_text(value) if isinstance(value, str) else _json(value)}


def valid_text(text: str) -> str:
    """Half a surrogate pair, as a text that was cut has at its end, can not be sent: it becomes a question mark."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-8", "replace").decode()
    return text


def _json(value: object) -> str:
    try:
        return to_json(value, inf_nan_mode="null").decode()
    except (PydanticSerializationError, ValueError, RecursionError) as error:
        raise OutputError(value) from error


_DATA: Final = "data:"


def _data_url(content: bytes, media_type: str) -> str:
    return f"{_DATA}{media_type};base64,{base64.b64encode(content).decode()}"
