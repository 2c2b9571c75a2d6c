"""Limits of a key: how they fill, and what a client is told."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.client.answerer import Answerer
from tests.gateway.answers import whole
from tests.gateway.conftest import ScriptedGateway, Surroundings
from tests.gateway.http_wire import Wire, connected
from tokenbus_gateway.access.access_file import AccessFile
from tokenbus_gateway.access.api_keys import mint_key
from tokenbus_gateway.access.caller import Limits
from tokenbus_gateway.api_errors import RefusedError
from tokenbus_gateway.limits import Bucket, Usage

KEY = mint_key()
BODY = {"model": "openai/gpt-4.1-mini", "input": "Hi"}


@given(st.integers(1, 1000), st.lists(st.tuples(st.floats(0, 30), st.integers(0, 50)), max_size=30))
def test_a_bucket_gives_no_more_than_a_minutes_worth_and_what_came_since(
    capacity: int, steps: list[tuple[float, int]]
) -> None:
    bucket, now, taken = Bucket(capacity, now=0.0), 0.0, 0
    for wait_s, amount in steps:
        now += wait_s
        if bucket.wait_s(amount, now=now) == 0:
            bucket.take(amount)
            taken += amount
        assert bucket.left(now=now) <= capacity
    assert taken <= capacity + capacity * now / 60 + 1e-6


@given(st.integers(1, 600), st.integers(1, 20))
def test_the_wait_that_is_told_is_long_enough(capacity: int, amount: int) -> None:
    bucket = Bucket(capacity, now=0.0)
    bucket.take(capacity)
    amount = min(amount, capacity)
    wait_s = bucket.wait_s(amount, now=0.0)
    assert bucket.wait_s(amount, now=wait_s + 1e-6) == 0


def test_each_limit_refuses_with_its_name_and_a_time() -> None:
    usage = Usage.of(Limits(requests_per_minute=2, tokens_per_minute=100, concurrent_requests=1), now=0.0)
    usage.begin(now=0.0)
    with pytest.raises(RefusedError, match="1 requests of this key are running"):
        usage.begin(now=0.0)
    usage.end(tokens=10)
    usage.begin(now=0.0)
    usage.end(tokens=10)
    with pytest.raises(RefusedError, match="2 requests per minute") as caught:
        usage.begin(now=0.0)
    assert caught.value.error.retry_after_s == pytest.approx(30)
    usage.begin(now=60.0)
    usage.end(tokens=1000)
    with pytest.raises(RefusedError, match="100 tokens per minute"):
        usage.begin(now=60.0)


class TestOverHttp:
    """A key with limits."""

    @pytest.fixture
    def around(self) -> Surroundings:
        limited = {"requests_per_minute": 3, "tokens_per_minute": 1000, "concurrent_requests": 1}
        rows = [{"id": KEY.key_id, "hash": KEY.hash, "models": ["openai/*"], "limits": limited}]
        return Surroundings(access=AccessFile.model_validate({"keys": rows}))

    async def test_a_request_too_many_is_told_when_to_come_again(
        self, gateway: ScriptedGateway, answerer: Answerer
    ) -> None:
        async with connected(gateway.port) as wire:
            for remaining in (2, 1, 0):
                await ask(wire)
                request = (await answerer.requests.get()).headers
                await answerer.publish(request, whole(request, ["Hi"]))
                status, headers, _ = await wire.reply()
                assert status == 200
                assert headers["x-ratelimit-limit-requests"] == headers["x-livekit-inference-rpm-limit"] == "3"
                assert headers["x-ratelimit-remaining-requests"] == str(remaining)
                assert headers["x-livekit-inference-rpm-used"] == str(3 - remaining)
            await ask(wire)
            status, headers, body = await wire.reply()
        assert (status, body["error"]["code"]) == (429, "rate_limit_exceeded")
        assert 0 < int(headers["retry-after"]) <= 20
        assert headers["x-ratelimit-remaining-tokens"] == "991"

    async def test_no_more_run_at_once_than_may(self, gateway: ScriptedGateway, answerer: Answerer) -> None:
        async with connected(gateway.port) as first, connected(gateway.port) as second:
            await ask(first)
            request = (await answerer.requests.get()).headers
            await ask(second)
            assert (await second.reply())[0] == 429
            await answerer.publish(request, whole(request, ["Hi"]))
            assert (await first.reply())[0] == 200
            await ask(second)
            request = (await answerer.requests.get()).headers
            await answerer.publish(request, whole(request, ["Hi"]))
            assert (await second.reply())[0] == 200

    async def test_without_the_key_nothing_is_answered(self, gateway: ScriptedGateway, answerer: Answerer) -> None:
        async with connected(gateway.port) as wire:
            for path in ("/v1/models", "/v1/responses/resp_x", "/v1/models/a/b"):
                status, _, body = await (await wire.get(path)).reply()
                assert (status, body["error"]["type"]) == (401, "invalid_request_error")
            status, _, body = await (await wire.post("/v1/responses", BODY)).reply()
            assert status == 401
        assert answerer.requests.empty()

    async def test_a_model_outside_the_keys_patterns_does_not_exist(self, gateway: ScriptedGateway) -> None:
        async with connected(gateway.port) as wire:
            headers = {"Authorization": f"Bearer {KEY.text}"}
            await wire.post("/v1/responses", {**BODY, "model": "azure/gpt"}, headers=headers)
            status, _, body = await wire.reply()
        assert (status, body["error"]["code"]) == (404, "model_not_found")


async def ask(wire: Wire) -> None:
    await wire.post("/v1/responses", BODY, headers={"Authorization": f"Bearer {KEY.text}"})
