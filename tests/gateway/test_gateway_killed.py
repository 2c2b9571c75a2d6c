"""A gateway dies in the middle of answers: its clients go on at another one, from where they were."""

from pathlib import Path

import httpx2
import openai
import pytest
from openai import OpenAI
from openai.types.responses import ResponseStreamEvent

from tests.e2e.conftest import RunningTokenbus
from tests.gateway.conftest import started_gateway

MODEL = "openai/sim@tokens:60@rate:60"
KILLED_AFTER = 12
CUT = (openai.APIConnectionError, httpx2.TransportError)


def text_of(events: list[ResponseStreamEvent]) -> str:
    return "".join(event.delta for event in events if event.type == "response.output_text.delta")


@pytest.mark.parametrize(("background", "store"), [(False, True), (False, False), (True, True)])
def test_a_client_of_a_killed_gateway_continues_at_another_from_its_cursor(
    running: RunningTokenbus, gateway_url: str, tmp_path: Path, background: bool, store: bool
) -> None:
    seen: list[ResponseStreamEvent] = []
    with started_gateway(running, tmp_path) as doomed, OpenAI(base_url=doomed.url, api_key="any", max_retries=0) as at:
        stream = iter(at.responses.create(model=MODEL, input="x", stream=True, background=background, store=store))
        seen += [next(stream) for _ in range(KILLED_AFTER)]
        doomed.process.kill()
        with pytest.raises(CUT):
            seen.extend(stream)
    assert seen[-1].type == "response.output_text.delta"
    first = seen[0]
    assert first.type == "response.created"
    with OpenAI(base_url=gateway_url, api_key="any", max_retries=0, timeout=60) as elsewhere:
        cursor = seen[-1].sequence_number
        seen += elsewhere.responses.retrieve(first.response.id, stream=True, starting_after=cursor)
    last = seen[-1]
    assert last.type == "response.completed"
    assert [event.sequence_number for event in seen] == list(range(len(seen)))
    assert text_of(seen) == last.response.output_text != ""
    assert last.response.usage is not None
    assert last.response.usage.output_tokens == 60
