"""How long models may keep silent: the catalog's budgets, from the row to the target that an executor calls."""

import pytest

from tests.router.default_routes import CATALOG, admitted
from tokenbus_router.catalog import BudgetEntry
from tokenbus_router.catalog_load import load_catalog
from tokenbus_router.errors import CatalogError
from tokenbus_router.routing_table import compile_table
from tokenbus_schemas import Target

MINE = """\
extends: default
providers:
  hasty: {base_url: https://hasty.example/v1, first_event_timeout_s: 5}
models:
  lab/o3: {targets: [openai, {provider: azure, first_event_timeout_s: 20}, {provider: hasty, model: o3}]}
budgets:
  - {budget: ours is quick, models: [o3-quick], first_event_timeout_s: 30}
"""


def target(text: str, model: str, *, number: int = 0) -> Target:
    found = compile_table(load_catalog(text)).find(model)
    assert found is not None
    return next(iter(found.candidates[number].targets.values()))


@pytest.mark.parametrize("row", CATALOG.budgets, ids=lambda row: row.models[0])
def test_every_budget_reaches_the_targets_of_its_models(row: BudgetEntry) -> None:
    assert row.sources
    for prefix in row.models:
        [called] = admitted(f"openai/{prefix}-some-variant").targets
        assert called.first_event_timeout_s == row.first_event_timeout_s
        assert called.event_gap_timeout_s == row.event_gap_timeout_s


@pytest.mark.parametrize("model", ["openai/gpt-4.1", "together/some-model", "groq/llama-3.3-70b-versatile"])
def test_what_does_not_think_has_the_executors_setting(model: str) -> None:
    assert {called.first_event_timeout_s for called in admitted(model).targets} == {None}


def test_target_and_provider_come_before_the_models_family() -> None:
    assert target(MINE, "lab/o3").first_event_timeout_s == 300
    assert target(MINE, "lab/o3", number=1).first_event_timeout_s == 20
    assert target(MINE, "lab/o3", number=2).first_event_timeout_s is None  # the executor has the provider's
    assert target(MINE, "lab/o3", number=2).event_gap_timeout_s == 300


def test_a_files_own_budgets_come_first_and_each_time_is_looked_for_by_itself() -> None:
    mine = target(MINE, "openai/o3-quick")
    assert (mine.first_event_timeout_s, mine.event_gap_timeout_s) == (30, 300)


def test_a_file_without_budgets_has_the_usual_ones_and_an_empty_list_has_none() -> None:
    alone = "providers: {lab: {base_url: https://lab.example/v1}}\n"
    assert target(alone, "lab/o3").first_event_timeout_s == 300
    assert target(alone + "budgets: []\n", "lab/o3").first_event_timeout_s is None


@pytest.mark.parametrize(
    ("row", "problem"),
    [
        ("{budget: x, models: [a]}", "budgets[0] (line 3): says nothing"),
        ("{budget: x, models: [], event_gap_timeout_s: 1}", "budgets[0].models (line 3): is empty"),
        ("{budget: x, models: [a/b], event_gap_timeout_s: 1}", "budgets[0].models[0] (line 3): must be the beginning"),
        ("{budget: x, providers: [opnai], event_gap_timeout_s: 1}", "did you mean openai?"),
        ("{budget: x, event_gap_timeout_s: 0}", "budgets[0].event_gap_timeout_s (line 3): must be greater than 0"),
        ("{budget: x, event_gap_timeout: 1}", "did you mean event_gap_timeout_s?"),
    ],
)
def test_a_wrong_budget_is_named_with_its_place(row: str, problem: str) -> None:
    with pytest.raises(CatalogError) as caught:
        load_catalog(f"extends: default\nbudgets:\n  - {row}\n")
    assert problem in str(caught.value)
