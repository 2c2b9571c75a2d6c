"""Scripts: what the simulator is to answer, how fast, and what goes wrong.

One grammar serves model names, the header `x-simulator-script` and the settings:

    ttft=50;rate=100;tokens=500;fault=cut;after=40
    call=get_weather({"city":"Oslo"});call=get_time;rounds=2

`;` parts the settings and `=` follows the key. `@` and `:` mean the same, so that a scripted name is also a valid model
ID on the bus: `sim@ttft:50@rate:100`. In values `;`, `@` and `%` are percent-encoded. Model names are scripted if their
last path segment is `sim`, alone or followed by settings or by `-` and a preset: `sim-echo`, `sim-429`,
`sim-cut;after=40`, `sim-no-usage`. Every other name is a plain model.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Final, NamedTuple, get_args
from urllib.parse import unquote

from tokenbus_simulator.faults import DRIP_TOKENS_PER_S, Fault
from tokenbus_simulator.pace import Pace
from tokenbus_simulator.parts import Finish
from tokenbus_simulator.profiles import PROFILES
from tokenbus_simulator.quirks import QUIRKS

SCRIPT_HEADER: Final = "x-simulator-script"


class ScriptError(ValueError):
    """A script that can not be read; says which setting and how to write it."""


class Call(NamedTuple):
    """A function call to make. Arguments are JSON text; None makes some up from the tool's schema."""

    name: str
    arguments: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Script:
    """What to answer. The defaults answer at once, in one burst, and refer to the last user message."""

    first_token_ms: float = 0
    """`ttft`: milliseconds from the request to the first token. Opening events do not wait for it."""
    tokens_per_s: float = 0
    """`rate`: pace from the first token on, kept against the clock; 0 sends all at once."""
    burst: int = 0
    """`burst`: token events per write. 0: one each when paced, as many as fit into `chunk_bytes` when not."""
    chunk_bytes: int = 16384
    """`bytes`: most bytes per write; longer events are split, so a small number cuts events apart."""

    tokens: int | None = None
    """`tokens`: answer with exactly so many tokens of prose."""
    text: str | None = None
    """`text`: answer with this text."""
    echo: bool = False
    """`echo`: answer with the last user message."""
    stamp: bool = False
    """`stamp`: answer with `tokens` tokens (100 if not set) that are each the time they are written; see `stamps.py`.
    Not together with log probabilities, which repeat tokens."""
    refusal: str | None = None
    """`refusal`: refuse with this text."""
    reasoning: int = 0
    """`reasoning`: tokens of reasoning text before the answer (`reasoning_content` in chat)."""
    summary: int = 0
    """`summary`: tokens of reasoning summary; Responses only."""
    calls: tuple[Call, ...] = ()
    """`call`, repeatable: function calls of one round, made in parallel."""
    rounds: int = 1
    """`rounds`: rounds of calls before the answer, counted by the tool outputs after the last user message."""
    provider_calls: tuple[str, ...] = ()
    """`provider_call`, repeatable: types of provider tools to call before the answer, if the request offers them."""
    finish: Finish = "stop"
    """`finish`: the reason to stop; the request's own token limit also gives `length`."""

    fault: Fault | None = None
    """`fault`: what goes wrong."""
    after: int = 0
    """`after`: tokens that get through before it does."""
    repeat_ms: float = 100
    """`repeat`: milliseconds between the repetitions of `comments` and `empties`."""
    retry_after_s: float = 1
    """`retry`: seconds in `Retry-After`."""
    quirks: tuple[str, ...] = ()
    """`quirk`, repeatable: how the shape differs from OpenAI's."""

    profile: str | None = None
    """`profile`: whose ways the answer follows; those of the URL if not set."""
    key: str | None = None
    """`key`: the API key to demand, or its `fingerprint`; any will do if not set."""
    cuts: int = 1
    """`cuts`: how many connections to one background response the fault meets."""
    retention_s: float | None = None
    """`retention`: seconds a response is kept; until there are too many if not set."""

    @property
    def pace(self) -> Pace:
        """What it says about time and size; dripping is a rate if it names none."""
        dripping = self.fault is Fault.DRIP and not self.tokens_per_s
        rate = DRIP_TOKENS_PER_S if dripping else self.tokens_per_s
        return Pace(self.first_token_ms / 1000, rate, self.burst, self.chunk_bytes)


def parse_script(text: str, *, base: Script | None = None) -> Script:
    """The settings in `text` on top of `base`. Raises `ScriptError`."""
    changes: dict[str, object] = {}
    for setting in filter(None, re.split("[;@]", text)):
        key, *rest = re.split("[=:]", setting, maxsplit=1)
        field = _FIELDS.get(key.strip())
        if field is None:
            raise ScriptError(f"unknown setting {key.strip()!r}: use one of {', '.join(_FIELDS)}")
        try:
            value = field.read(unquote(rest[0] if rest else "").strip())
        except ValueError as error:
            raise ScriptError(f"setting {key.strip()!r}: {error}") from error
        earlier = changes.get(field.name, ())
        changes[field.name] = (*earlier, value) if field.repeatable and isinstance(earlier, tuple) else value
    return replace(base or Script(), **changes)


def script_of_model(model: str, *, base: Script | None = None) -> Script:
    """The script a model name carries, on top of `base`; `base` for plain names. Raises `ScriptError`."""
    scripted = _SCRIPTED_NAME.fullmatch(model.rpartition("/")[2])
    if scripted is None:
        return base or Script()
    preset, settings = scripted["preset"], scripted["settings"]
    if preset is not None and preset not in PRESETS:
        raise ScriptError(f"no preset is called {preset!r}: use one of {', '.join(PRESETS)}")
    return parse_script(settings, base=parse_script(PRESETS[preset] if preset else "", base=base))


class _Field(NamedTuple):
    name: str
    read: Callable[[str], object]
    repeatable: bool = False


def _number(text: str) -> float:
    if not re.fullmatch(r"\d+(\.\d+)?", text):
        raise ValueError("write a number, 0 or more, such as 50 or 0.5")
    return float(text)


def _count(text: str) -> int:
    if not re.fullmatch(r"\d{1,9}", text):
        raise ValueError("write a whole number, 0 or more")
    return int(text)


def _positive(text: str) -> int:
    if (count := _count(text)) == 0:
        raise ValueError("write a whole number, 1 or more")
    return count


def _present(text: str) -> bool:
    if text:
        raise ValueError("write it without a value")
    return True


def _call(text: str) -> Call:
    written = re.fullmatch(r"(?P<name>[A-Za-z0-9_-]{1,64})(\((?P<arguments>.*)\))?", text, re.DOTALL)
    if written is None:
        raise ValueError('write a function name, or a name and its JSON arguments: get_time({"zone":"UTC"})')
    return Call(written["name"], written["arguments"])


def _type(text: str) -> str:
    if not re.fullmatch(r"[a-z0-9_]{1,64}", text):
        raise ValueError("write the type of a tool, such as web_search")
    return text


def _some(text: str) -> str:
    if not text:
        raise ValueError("write the key itself, or sha256: and 16 digits")
    return text


def _one_of(names: Mapping[str, object]) -> Callable[[str], object]:
    def read(text: str) -> object:
        if text not in names:
            raise ValueError(f"use one of {', '.join(names)}")
        return names[text]

    return read


_FAULTS: Final = {str(fault): fault for fault in Fault}
_QUIRKS: Final = {name: name for name in QUIRKS}
_FIELDS: Final[Mapping[str, _Field]] = MappingProxyType(
    {
        "ttft": _Field("first_token_ms", _number),
        "rate": _Field("tokens_per_s", _number),
        "burst": _Field("burst", _count),
        "bytes": _Field("chunk_bytes", _positive),
        "tokens": _Field("tokens", _count),
        "text": _Field("text", str),
        "echo": _Field("echo", _present),
        "stamp": _Field("stamp", _present),
        "refusal": _Field("refusal", str),
        "reasoning": _Field("reasoning", _count),
        "summary": _Field("summary", _count),
        "call": _Field("calls", _call, repeatable=True),
        "rounds": _Field("rounds", _count),
        "provider_call": _Field("provider_calls", _type, repeatable=True),
        "finish": _Field("finish", _one_of({name: name for name in get_args(Finish)})),
        "fault": _Field("fault", _one_of(_FAULTS)),
        "after": _Field("after", _count),
        "repeat": _Field("repeat_ms", _positive),
        "retry": _Field("retry_after_s", _number),
        "quirk": _Field("quirks", _one_of(_QUIRKS), repeatable=True),
        "profile": _Field("profile", _one_of({name: name for name in PROFILES})),
        "key": _Field("key", _some),
        "cuts": _Field("cuts", _count),
        "retention": _Field("retention_s", _number),
    }
)

_SCRIPTED_NAME: Final = re.compile(r"sim(-(?P<preset>[a-z0-9-]+))?(?P<settings>([;@].*)?)", re.DOTALL)

PRESETS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "echo": "echo",
        "refusal": "refusal=I can't help with that.",
        "reasoning": "reasoning=24;summary=8",
        **{name: f"fault={name}" for name in _FAULTS},
        **{name: f"quirk={name}" for name in _QUIRKS},
    }
)
"""What may follow `sim-` in a model name, and the settings it stands for."""
