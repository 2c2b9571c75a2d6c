"""Answers: what the model says, from a script and a request, before it takes an API's shape.

The only magic: a request whose last user message names one of its functions gets a call of it, as does `tool_choice`
`required` or a named tool; arguments are made up from the schema. Once the outputs are in, the answer is text. Where a
schema is asked for, it is JSON that fits. Everything else is as the script says, and the same on every run.
"""

import re
from collections.abc import Callable, Iterable, Sequence
from typing import Final

import orjson

from tokenbus_simulator.asked import Asked
from tokenbus_simulator.json_examples import example_arguments, example_of
from tokenbus_simulator.parts import (
    Answer,
    Choice,
    Cited,
    Finish,
    FunctionCall,
    Part,
    ProviderCall,
    Reasoning,
    Refusal,
    Text,
    Usage,
)
from tokenbus_simulator.prose import pleasantry
from tokenbus_simulator.provider_tools import ProviderTool, kinds_of
from tokenbus_simulator.script import Call, Script
from tokenbus_simulator.stamps import placeholders
from tokenbus_simulator.tokens import estimate, filler, split

_STAMPED_TOKENS: Final = 100  # where a script stamps and names no number of tokens


def answer(script: Script, *, asked: Asked) -> Answer:
    """What the simulator answers to `asked` under `script`."""
    calls, provided = _calls(script, asked), _provided(script, asked)
    choices = tuple(_choice(script, asked, calls, provided, index) for index in range(asked.choices))
    thoughts = [len(part.summary) + len(part.text) for c in choices for part in c.parts if isinstance(part, Reasoning)]
    spoken = [len(part.tokens) for c in choices for part in c.parts if not isinstance(part, Reasoning)]
    return Answer(
        choices,
        Usage(estimate(asked.input_characters), sum(thoughts) + sum(spoken), sum(thoughts)),
    )


def _choice(
    script: Script, asked: Asked, calls: Sequence[Call], provided: Sequence[ProviderCall], index: int
) -> Choice:
    parts = list[Part]()
    if script.reasoning or script.summary:
        parts.append(Reasoning(filler(script.summary), filler(script.reasoning)))
    parts += provided
    if script.refusal is not None:
        parts.append(Refusal(split(script.refusal)))
    elif script.text is not None or script.tokens is not None or not calls:
        tokens = _text(script, asked, index)
        parts.append(Text(tokens, _cited(tokens, provided)))
    schemas = {tool.name: tool.parameters for tool in asked.tools}
    for call in calls:
        arguments = call.arguments
        if arguments is None:
            arguments = example_arguments(schemas.get(call.name, {}))
        parts.append(FunctionCall(call.name, split(arguments)))
    if asked.max_tokens is None:
        return Choice(tuple(parts), script.finish)
    return _limited(parts, script.finish, asked.max_tokens)


def _calls(script: Script, asked: Asked) -> tuple[Call, ...]:
    turn = asked.turn
    if asked.tool_choice == "none" or turn.tool_rounds >= script.rounds:
        return ()
    calls = script.calls or tuple(Call(name) for name in _chosen_tools(asked))
    return calls if asked.parallel_tool_calls else calls[:1]


def _chosen_tools(asked: Asked) -> Iterable[str]:
    names = [tool.name for tool in asked.tools]
    named = [name for name in names if re.search(rf"(?<!\w){re.escape(name)}(?!\w)", asked.turn.user_text)]
    if asked.tool_choice == "required":
        return named or names[:1]
    return named if asked.tool_choice == "auto" else [name for name in names if name == asked.tool_choice]


def _provided(script: Script, asked: Asked) -> tuple[ProviderCall, ...]:
    """Calls of provider tools, in the first round of a turn: as scripted if they are offered, or as chosen."""
    offered = {str(tool["type"]): tool for tool in asked.provider_tools}
    if asked.tool_choice == "none" or asked.turn.tool_rounds:
        return ()
    wanted = [name for name in script.provider_calls if name in offered]
    if not script.provider_calls:
        forced = asked.tool_choice == "required" and not asked.tools
        wanted = [name for name in offered if forced or name == asked.tool_choice]
    query = asked.turn.user_text or "nothing"
    made = [
        ProviderTool(kind, offered[name], query) for name in wanted[: asked.max_tool_calls] for kind in kinds_of(name)
    ]
    return tuple(ProviderCall(tool, split(tool.written())) for tool in made)


def _cited(tokens: Sequence[str], provided: Sequence[ProviderCall]) -> tuple[Cited, ...]:
    """What the calls found, cited at equal distances in the text, the last at its end."""
    citations = [citation for call in provided if (citation := call.tool.kind.citation)]
    return tuple(
        Cited(len(tokens) * number // len(citations), citation) for number, citation in enumerate(citations, 1)
    )


def _text(script: Script, asked: Asked, index: int) -> tuple[str, ...]:
    if script.stamp:
        return placeholders(_STAMPED_TOKENS if script.tokens is None else script.tokens)
    if script.text is not None:
        return split(script.text)
    if script.tokens is not None:
        return filler(script.tokens)
    if script.echo:
        return split(asked.turn.user_text)
    if asked.schema is not None:
        value = example_of(asked.schema) if asked.schema else {"answer": pleasantry(asked)}
        return split(orjson.dumps(value).decode())
    return split(pleasantry(asked) + (f" (Choice {index + 1}.)" if index else ""))


def _limited(parts: Iterable[Part], finish: Finish, budget: int) -> Choice:
    """The parts as far as `budget` tokens go; the finish is `length` where that is not all."""
    kept, cut_off = list[Part](), False

    def take(tokens: tuple[str, ...]) -> tuple[str, ...]:
        nonlocal budget, cut_off
        taken = tokens[:budget]
        budget -= len(taken)
        cut_off = cut_off or len(taken) < len(tokens)
        return taken

    for part in parts:
        if cut_off:
            break
        kept.append(_shortened(part, take))
    return Choice(tuple(kept), "length" if cut_off else finish)


def _shortened(part: Part, take: Callable[[tuple[str, ...]], tuple[str, ...]]) -> Part:
    match part:
        case Reasoning():
            return Reasoning(take(part.summary), take(part.text))
        case Text():
            tokens = take(part.tokens)
            return Text(tokens, tuple(cited for cited in part.cited if cited.after <= len(tokens)))
        case Refusal():
            return Refusal(take(part.tokens))
        case FunctionCall():
            return FunctionCall(part.name, take(part.tokens))
        case ProviderCall():
            return ProviderCall(part.tool, take(part.tokens))
