"""Every parameter of the product, in either spelling, on a target of either API: what reaches it, or why nothing."""

import re
from typing import cast

import pytest

from tests.conformance.bench import Bench, check_lifecycle
from tests.conformance.parameter_table import PARAMETERS, TOOL, Parameter
from tests.conformance.product_tables import Api, Json

pytestmark = pytest.mark.asyncio(loop_scope="session")

REASONING_MODEL = "openai/gpt-5-mini"
APIS: tuple[Api, ...] = ("responses", "chat_completions")


def _name(row: Parameter) -> str:
    return f"{row.name}-named" if row.wrong_at else row.name


def _spellings(row: Parameter) -> list[Json]:
    return [row.said] if row.said_in_responses is None else [row.said, row.said_in_responses]


SPELT = [
    pytest.param(row, said, id=f"{_name(row)}-{n}") for row in PARAMETERS for n, said in enumerate(_spellings(row))
]
FOR_RESPONSES = [
    pytest.param(row, said, id=f"{_name(row)}-{n}")
    for row in PARAMETERS
    if row.responses is not None
    for n, said in enumerate(_spellings(row))
]
CHOOSY = [
    pytest.param(row, said, api, id=f"{row.name}-{n}-{api}")
    for row in PARAMETERS
    if row.not_reasoning or row.reasoning_only
    for n, said in enumerate(_spellings(row))
    for api in APIS
    if api == "chat_completions" or row.responses is not None
]
"""Parameters that some models do not take."""


def _part(whole: Json, part: Json) -> Json:
    return {name: whole.get(name) for name in part}


def _strangers(row: Parameter, *, wanted: Json, body: Json) -> set[str]:
    """What reached a provider of the parameter's other spellings."""
    others = {
        name for words in (row.said, row.chat, row.responses or {}, row.said_in_responses or {}) for name in words
    }
    return (others - set(wanted) - {"tools"}) & set(body)


@pytest.mark.parametrize(("row", "said"), SPELT)
async def test_a_chat_upstream_gets_the_parameter_in_chats_words(bench: Bench, row: Parameter, said: Json) -> None:
    answered = await bench.ask(row.model, provider="openai", api="chat_completions", **said)

    body = answered.completed().upstream
    assert _part(body, row.chat) == row.chat
    assert not _strangers(row, wanted=row.chat, body=body)


@pytest.mark.parametrize(("row", "said"), FOR_RESPONSES)
async def test_a_responses_upstream_gets_the_parameter_in_its_words(bench: Bench, row: Parameter, said: Json) -> None:
    answered = await bench.ask(row.model, provider="openai", api="responses", **said)

    body = answered.completed().upstream
    assert row.responses is not None
    assert _without_seals(_part(body, row.responses)) == row.responses
    assert not _strangers(row, wanted=row.responses, body=body)


def _without_seals(part: Json) -> Json:
    """Sealed reasoning is asked for on top where the model has some."""
    include: list[str] = part.get("include") or []
    return {**part, "include": [entry for entry in include if "encrypted" not in entry]} if "include" in part else part


@pytest.mark.parametrize("row", [row for row in PARAMETERS if row.responses is None], ids=_name)
async def test_a_parameter_that_chat_alone_has_is_refused_by_name_on_a_responses_target(
    bench: Bench, row: Parameter
) -> None:
    answered = await bench.ask(row.model, api="responses", **row.said)

    assert (answered.error["type"], answered.error["param"]) == ("unsupported_parameter", row.name)
    assert row.name in answered.error["message"]
    assert answered.exchanges == []


@pytest.mark.parametrize("row", [row for row in PARAMETERS if row.responses is None], ids=_name)
async def test_a_parameter_that_chat_alone_has_picks_a_chat_target(bench: Bench, row: Parameter) -> None:
    answered = (await bench.ask(row.model, **row.said)).completed()

    assert answered.response["tokenbus"]["api"] == "chat_completions"
    assert answered.upstream.items() >= row.chat.items()


@pytest.mark.parametrize("row", [row for row in PARAMETERS if row.responses is None], ids=_name)
async def test_a_parameter_that_chat_alone_has_and_a_provider_tool_exclude_each_other(
    bench: Bench, row: Parameter
) -> None:
    answered = await bench.ask(row.model, **row.said, tools=[{"type": "web_search"}])

    assert answered.error["type"] == "unsupported_parameter"
    assert row.name in answered.error["message"]
    assert "web_search" in answered.error["message"]
    assert answered.exchanges == []


@pytest.mark.parametrize(("row", "said", "api"), CHOOSY)
async def test_a_model_that_does_not_take_the_parameter_refuses_it_by_name(
    bench: Bench, row: Parameter, said: Json, api: Api
) -> None:
    model = "openai/gpt-4.1-mini" if row.reasoning_only else REASONING_MODEL
    answered = await bench.ask(model, provider="openai", api=api, **said)

    assert answered.error["type"] == "unsupported_parameter"
    spelt = {row.name, *_paths(said)}
    assert answered.error["param"] in spelt
    assert model in answered.error["message"]
    assert answered.exchanges == []


def _paths(said: Json) -> set[str]:
    """How errors may name what was said: fields, and the places in them."""
    found = set(said)
    for name, value in said.items():
        if isinstance(value, dict):
            found |= {f"{name}.{key}" for key in cast("Json", value)}
        elif isinstance(value, list):
            found.add(f"{name}[0]")
    return found


@pytest.mark.parametrize("row", [row for row in PARAMETERS if row.not_reasoning or row.reasoning_only], ids=_name)
async def test_a_parameter_that_may_be_dropped_is_dropped_and_reported(bench: Bench, row: Parameter) -> None:
    model = "openai/gpt-4.1-mini" if row.reasoning_only else REASONING_MODEL
    answered = (await bench.ask(model, **row.said, tokenbus={"on_unsupported": "drop"})).completed()

    assert set(answered.response["tokenbus"]["dropped"]) == set(row.said)
    body = answered.upstream
    assert not set(row.said) & set(body)
    assert row.name not in re.findall(r"\w+", str([body.get("include"), body.get("reasoning")]))


WRONG = [
    pytest.param(row, bad, id=f"{_name(row)}-{number}") for row in PARAMETERS for number, bad in enumerate(row.wrong)
]


@pytest.mark.parametrize(("row", "bad"), WRONG)
async def test_a_value_of_the_wrong_kind_or_out_of_range_is_refused_by_name(
    bench: Bench, row: Parameter, bad: Json
) -> None:
    answered = await bench.ask(row.model, **bad, check=check_lifecycle)

    assert answered.error["param"].startswith(row.wrong_at or row.name)
    assert answered.error["message"].startswith(answered.error["param"])
    assert answered.exchanges == []


async def test_two_values_of_one_limit_contradict_each_other(bench: Bench) -> None:
    answered = await bench.ask("openai/gpt-4.1", max_tokens=50, max_output_tokens=60)

    assert answered.error["param"] == "max_tokens"
    assert answered.exchanges == []


@pytest.mark.parametrize("effort", ["none", "minimal", "xhigh"])
async def test_newer_models_take_further_efforts(bench: Bench, effort: str) -> None:
    model = "openai/gpt-5" if effort == "minimal" else "openai/gpt-5.2"
    answered = await bench.ask(model, reasoning_effort=effort)

    assert answered.completed().upstream["reasoning"] == {"effort": effort}


@pytest.mark.parametrize("choice", ["auto", "none", "required"])
@pytest.mark.parametrize("api", APIS)
async def test_every_tool_choice_arrives(bench: Bench, choice: str, api: Api) -> None:
    answered = await bench.ask("openai/gpt-4o", api=api, tools=[TOOL], tool_choice=choice)

    assert answered.completed().upstream["tool_choice"] == choice


ECHOED: list[Json] = [
    {"reasoning_effort": "utmost"},
    {"tools": [TOOL], "tool_choice": "perhaps"},
    {"tools": [{"type": "file_search", "vector_store_ids": 0}]},
]


@pytest.mark.parametrize("bad", ECHOED, ids=lambda bad: [*bad][-1])
async def test_the_events_of_a_refusal_fit_the_openai_sdk_types(bench: Bench, bad: Json) -> None:
    assert (await bench.ask(REASONING_MODEL, **bad)).error
