"""Mends JSON that a model wrote badly, where that cannot change what it says. Pure.

A wrong guess here becomes a wrong effect, while a refusal costs one more round: the model reads what was wrong and
sends it again. So a mended text counts only if

1. it is complete: every bracket and string is closed. Text that was cut off is never mended: a closing bracket that
   somebody adds turns `{"amount": 1000` into a valid and wrong call;
2. only spelling is wrong: single quotes, names or words without quotes, a trailing comma, Python's True, False and
   None. A quote that may belong to the text, or anything else between values, is a guess;
3. afterwards it has the same words in the same order: nothing was lost, doubled or invented.
"""

import json
import re
from typing import Final

import json_repair
from pydantic import JsonValue

MAX_LENGTH: Final = 32 * 1024
MAX_ESCAPES: Final = 256
"""Longer text, or text with more backslashes, is not mended: the library's time grows with the square of either, and
20,000 backslashes took it 38 s (json-repair 0.63, 2026-11)."""

_WORD: Final = re.compile(r"[\w.+\-]+")
_SPACE: Final = " \t\r\n"
_VALUE_MAY_FOLLOW: Final = "{[,:"
_FOLLOWED_WELL: Final = re.compile(r"[ \t\r\n]*[,:}\]]")
_ESCAPES: Final = '"\\/bfnrtu'
_NO_VALUES: Final = frozenset({"nan", "infinity", "undefined"})


def mended(text: str) -> JsonValue:
    """What `text` says. Raises `ValueError`, which quotes nothing, where mending would be a guess."""
    if len(text) > MAX_LENGTH or text.count("\\") > MAX_ESCAPES:
        raise ValueError("it is too long to be mended")
    if not _only_spelling_is_wrong(text):
        raise ValueError("it is cut off, or ambiguous")
    value: JsonValue = json_repair.loads(text, skip_json_loads=True)  # pyright: ignore[reportAssignmentType]  same type
    if _words(json.dumps(value, ensure_ascii=False)) != _words(text):
        raise ValueError("it is ambiguous")
    return value


def _words(text: str) -> list[str]:
    return ["null" if word == "none" else word for word in (found.casefold() for found in _WORD.findall(text))]


def _only_spelling_is_wrong(text: str) -> bool:
    """Rules 1 and 2."""
    open_brackets: list[str] = []
    before = ""
    position = 0
    while position < len(text):
        char = text[position]
        if char in _SPACE:
            position += 1
            continue
        if char in ",:" or char in "}]":
            fits = before not in ("", "{", "[", ",", ":") or (char in "}]" and before in "{[,")
            if not fits or (char in "}]" and (not open_brackets or open_brackets.pop() != char)):
                return False
            position += 1
        elif before not in _VALUE_MAY_FOLLOW or (not before and position and not text[:position].isspace()):
            return False
        elif char in "{[":
            open_brackets.append("}" if char == "{" else "]")
            position += 1
        else:
            end = _string_end(text, position) if char in "\"'" else _word_end(text, position)
            if end is None or not _is_followed_well(text, end):
                return False
            position = end
            char = "x"
        before = char
    return not open_brackets and before in ("}", "]")


def _string_end(text: str, start: int) -> int | None:
    quote = text[start]
    position = start + 1
    while position < len(text):
        if text[position] == "\\":
            if text[position + 1 : position + 2] not in (*_ESCAPES, quote):
                return None
            position += 2
        elif text[position] == quote:
            return position + 1
        else:
            position += 1
    return None


def _word_end(text: str, start: int) -> int | None:
    word = _WORD.match(text, start)
    return None if word is None or word[0].lstrip("+-").casefold() in _NO_VALUES else word.end()


def _is_followed_well(text: str, position: int) -> bool:
    return _FOLLOWED_WELL.match(text, position) is not None
