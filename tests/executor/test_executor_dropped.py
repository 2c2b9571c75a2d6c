"""What the router left out of a request is in the response."""

import pytest

from tests.executor.conftest import BOTH_APIS, Desk

pytestmark = pytest.mark.usefixtures("executor")


@pytest.mark.parametrize("api", BOTH_APIS)
async def test_dropped_parameters_are_told_in_our_object_and_in_the_metadata(desk: Desk, api: str) -> None:
    request = {"input": "Hello.", "metadata": {"job": "7"}}
    events = await desk.ask(api=api, request=request, dropped=["temperature", "reasoning.effort"])

    for response in (event["response"] for event in events if "response" in event):
        assert response["tokenbus"]["dropped"] == ["temperature", "reasoning.effort"]
        assert response["metadata"] == {"job": "7", "tokenbus.dropped": "temperature, reasoning.effort"}


async def test_a_response_to_a_whole_request_says_nothing_of_that(desk: Desk) -> None:
    response = (await desk.ask())[-1]["response"]

    assert "dropped" not in response["tokenbus"]
    assert response["metadata"] == {}
