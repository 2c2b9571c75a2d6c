"""Bodies over the bus's limit, over HTTP, through the whole system of processes."""

import base64
import random

import pytest
from openai import APIStatusError, AsyncOpenAI

from tokenbus_schemas import MAX_REQUEST_BYTES


@pytest.mark.parametrize("size", [1_100_000, 20_000_000])
async def test_a_large_image_is_answered(gateway_url: str, size: int) -> None:
    url = "data:image/png;base64," + base64.b64encode(random.Random(size).randbytes(size * 3 // 4)).decode()
    async with AsyncOpenAI(base_url=gateway_url, api_key="none") as client:
        response = await client.responses.create(
            model="openai/gpt-4.1-mini",
            input=[
                {"role": "user", "content": [{"type": "input_image", "image_url": url, "detail": "auto"}]},
            ],
        )
        completion = await client.chat.completions.create(
            model="openai/gpt-4.1-mini",
            messages=[{"role": "user", "content": [{"type": "image_url", "image_url": {"url": url}}]}],
        )
    assert response.status == "completed"
    assert completion.choices[0].finish_reason == "stop"


async def test_a_larger_one_is_refused_with_the_limit(gateway_url: str) -> None:
    async with AsyncOpenAI(base_url=gateway_url, api_key="none", max_retries=0) as client:
        with pytest.raises(APIStatusError) as caught:
            await client.responses.create(model="openai/gpt-4.1-mini", input="x" * MAX_REQUEST_BYTES)
    assert caught.value.status_code == 413
    assert str(MAX_REQUEST_BYTES) in caught.value.message
