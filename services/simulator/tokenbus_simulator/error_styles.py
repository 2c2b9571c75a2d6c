"""The body of an HTTP error in each provider's form.

Each is given what OpenAI's error object holds, and the status. Sources: github.com/karthink/gptel/issues/774 (Groq,
2025-04), github.com/Kilo-Org/kilocode/issues/10375 (Cerebras, 2026-05), github.com/yym68686/uni-api/issues/105 (xAI,
2025-04), github.com/perplexityai/api-discussion/issues/265 (2025-04), https://developers.telnyx.com/api/errors (2026),
github.com/openai/openai-python/issues/362 (Azure, 2023-04).
"""

from collections.abc import Callable
from typing import Final

from tokenbus_simulator.wire import JsonObject

_UNAUTHORIZED: Final = 401

ErrorStyle = Callable[[JsonObject, int], JsonObject]
"""The body, from `message`, `type`, `param` and `code` and the HTTP status."""


def openai_error(error: JsonObject, status: int) -> JsonObject:
    """An `error` object with all four keys."""
    del status
    return {"error": error}


def bare_error(error: JsonObject, status: int) -> JsonObject:
    """Groq's: no param, a code only where there is one."""
    del status
    code = {"code": error["code"]} if error.get("code") else {}
    return {"error": {"message": error["message"], "type": error["type"], **code}}


def cerebras_error(error: JsonObject, status: int) -> JsonObject:
    """Cerebras's: the four keys without an `error` around them; of parameters it names only `tools`."""
    del status
    return {**error, "param": error["param"] if error["param"] == "tools" else "validation_error"}


def perplexity_error(error: JsonObject, status: int) -> JsonObject:
    """Perplexity's: the code is the status."""
    return {"error": {"message": error["message"], "type": error["type"], "code": status}}


def xai_error(error: JsonObject, status: int) -> JsonObject:
    """xAI's: two strings."""
    codes = {400: "Client specified an invalid argument", 401: "Unauthorized", 429: "Some resource has been exhausted"}
    return {"code": codes.get(status, "The service is currently unavailable"), "error": error["message"]}


def telnyx_error(error: JsonObject, status: int) -> JsonObject:
    """Telnyx's: a list of errors."""
    pointer = f"/{error['param']}" if error.get("param") else None
    found = {"code": error["code"] or str(10000 + status), "title": error["type"], "detail": error["message"]}
    return {"errors": [{**found, **({"source": {"pointer": pointer}} if pointer else {})}]}


def azure_error(error: JsonObject, status: int) -> JsonObject:
    """Azure's: what its gateway refuses has a code and a message, what the model's server refuses is OpenAI's."""
    if error["code"] == "unknown_url":
        return {"error": {"code": "404", "message": "Resource not found"}}
    return {"error": {"code": "401", "message": error["message"]}} if status == _UNAUTHORIZED else {"error": error}
