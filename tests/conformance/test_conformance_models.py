"""Every model of the product, at each of its providers."""

import pytest

from tests.conformance.bench import Bench
from tests.conformance.product_tables import MODELS, upstream_name

pytestmark = pytest.mark.asyncio(loop_scope="session")

ROWS = [(model, provider) for model, providers in MODELS.items() for provider in providers]


@pytest.mark.parametrize(("model", "provider"), ROWS)
async def test_a_pinned_provider_answers_for_the_model_by_its_own_name(bench: Bench, model: str, provider: str) -> None:
    answered = (await bench.ask(model, provider=provider, input="Say hello.")).completed()

    [exchange] = answered.exchanges
    assert exchange.path.startswith(f"/p/{provider}/")
    assert answered.upstream["model"] == upstream_name(model, provider=provider)
    assert answered.response["model"] == model
    assert answered.response["tokenbus"]["provider"] == provider


@pytest.mark.parametrize(("model", "providers"), MODELS.items())
async def test_the_first_provider_of_the_model_is_asked_first(
    bench: Bench, model: str, providers: tuple[str, ...]
) -> None:
    answered = (await bench.ask(model)).completed()

    assert [exchange.path.split("/")[2] for exchange in answered.exchanges] == [providers[0]]


@pytest.mark.parametrize(("model", "providers"), MODELS.items())
async def test_a_provider_that_does_not_serve_the_model_is_refused_by_name(
    bench: Bench, model: str, providers: tuple[str, ...]
) -> None:
    answered = await bench.ask(model, provider="telnyx")

    assert answered.error["type"] == "provider_not_found"
    assert all(provider in answered.error["message"] for provider in providers)
    assert answered.exchanges == []
