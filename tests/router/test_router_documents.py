"""What the documentation says of catalogs and parameters is what the code does."""

import re
from pathlib import Path

import pytest
import yaml

from tests.router.default_routes import CATALOG
from tokenbus_router.catalog_load import load_catalog
from tokenbus_router.tables import (
    budgets_table,
    models_table,
    parameters_table,
    providers_table,
    rules_table,
    tools_table,
)

DOCS = Path(__file__).parents[2] / "docs"
EXAMPLES = re.findall(r"```yaml\n(.*?)```", (DOCS / "catalog.md").read_text(), re.DOTALL)


@pytest.mark.parametrize(
    ("page", "table"),
    [
        ("catalog.md", models_table(CATALOG)),
        ("catalog.md", providers_table(CATALOG)),
        ("catalog.md", budgets_table(CATALOG)),
        ("parameters.md", rules_table(CATALOG)),
        ("parameters.md", parameters_table()),
        ("parameters.md", tools_table()),
    ],
)
def test_a_table_of_the_documentation_equals_the_code(page: str, table: str) -> None:
    assert table in (DOCS / page).read_text(), "run `make schemas`"


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda text: text.splitlines()[-1].strip())
def test_an_example_of_the_documentation_is_a_good_catalog(example: str) -> None:
    data = yaml.safe_load(example)
    if "ollama" in str(data.get("rules")):
        example += "providers:\n  ollama: { base_url: http://localhost:11434/v1 }\n"
    assert load_catalog(example)


def test_there_are_examples() -> None:
    assert len(EXAMPLES) == 6
