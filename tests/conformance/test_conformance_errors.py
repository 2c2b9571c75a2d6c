"""What goes wrong at a provider, in its own form, and what the caller is told."""

import asyncio
import itertools

import pytest

from tests.conformance.bench import Answered, Bench
from tests.conformance.capabilities import CAPABILITIES, Capabilities
from tokenbus_simulator import Fault, Script

pytestmark = pytest.mark.asyncio(loop_scope="session")

everywhere = pytest.mark.parametrize("row", CAPABILITIES, ids=str)
numbers = itertools.count()
ANSWERS = {
    Fault.BAD_REQUEST: "upstream_refused",
    Fault.BAD_KEY: "upstream_authentication",
    Fault.FORBIDDEN: "upstream_authentication",
    Fault.NO_MODEL: "upstream_refused",
    Fault.TIMEOUT: "upstream_unavailable",
    Fault.CONFLICT: "upstream_unavailable",
    Fault.RATE_LIMIT: "upstream_rate_limit",
    Fault.QUOTA: "upstream_rate_limit",
    Fault.SERVER_ERROR: "upstream_unavailable",
    Fault.BAD_GATEWAY: "upstream_unavailable",
    Fault.OVERLOADED: "upstream_unavailable",
}
"""By what the provider answers, what happened."""
WORDLESS = {Fault.BAD_KEY, Fault.FORBIDDEN, Fault.BAD_GATEWAY}
"""Answers whose words are not told: they may quote a key, or are a web page."""


async def _ask(bench: Bench, row: Capabilities, script: Script) -> Answered:
    """Each time for another model: one that failed may cool down, which is about the next request."""
    model = f"{row.provider}/broken-{next(numbers)}"
    return await bench.ask(model, provider=row.provider, api=row.api, script=script)


@everywhere
@pytest.mark.parametrize(("fault", "code"), ANSWERS.items(), ids=str)
async def test_an_http_error_in_the_providers_form_is_told_by_its_code(
    bench: Bench, row: Capabilities, fault: Fault, code: str
) -> None:
    answered = await _ask(bench, row, Script(fault=fault))

    assert answered.error["type"] == code
    assert [exchange.path.split("/")[2] for exchange in answered.exchanges] == [row.profile]


@everywhere
@pytest.mark.parametrize("fault", [fault for fault in ANSWERS if fault not in WORDLESS], ids=str)
async def test_the_providers_own_words_are_told(bench: Bench, row: Capabilities, fault: Fault) -> None:
    answered = await _ask(bench, row, Script(fault=fault))

    assert "reported an error without a message" not in answered.error["message"]


CUTS = {
    Fault.CUT: "upstream_cut",
    Fault.RESET: "upstream_cut",
    Fault.EOF: "upstream_cut",
    Fault.MALFORMED: "upstream_protocol",
    Fault.ERROR: "upstream_rate_limit",
    Fault.FAILED: "upstream_rate_limit",
}


@everywhere
@pytest.mark.parametrize(("fault", "code"), CUTS.items(), ids=str)
async def test_a_stream_that_breaks_keeps_what_was_said_and_tells_why(
    bench: Bench, row: Capabilities, fault: Fault, code: str
) -> None:
    script = Script(tokens=40, fault=fault, after=12)
    answered = await _ask(bench, row, script)

    assert answered.error["type"] == code
    [message] = answered.items("message")
    assert (message["status"], bool(answered.text)) == ("incomplete", True)


PIECES = {
    Fault.CUT: "upstream_cut",
    Fault.RESET: "upstream_cut",
    Fault.EOF: "upstream_protocol",
    Fault.MALFORMED: "upstream_protocol",
    Fault.ERROR: "upstream_rate_limit",
    Fault.FAILED: "upstream_unavailable",
}


@everywhere
@pytest.mark.parametrize(("fault", "code"), PIECES.items(), ids=str)
async def test_half_a_document_is_no_answer(bench: Bench, row: Capabilities, fault: Fault, code: str) -> None:
    async with bench.answering_in_one_piece():
        script = Script(tokens=40, fault=fault)
        answered = await _ask(bench, row, script)

    assert answered.error["type"] == code
    assert answered.output == []


SILENCES = {
    Fault.SILENT: "first_event_timeout",
    Fault.HEADERS: "first_event_timeout",
    Fault.COMMENTS: "first_event_timeout",
    Fault.STALL: "event_gap_timeout",
    Fault.EMPTIES: "event_gap_timeout",
}


@pytest.mark.parametrize(("fault", "code"), SILENCES.items(), ids=str)
async def test_silence_is_given_up_everywhere(bench: Bench, fault: Fault, code: str) -> None:
    model = f"sim@tokens:40@fault:{fault}@after:12"
    async with asyncio.TaskGroup() as asking:  # at once: each waits for its budget
        asked = {
            str(row): asking.create_task(bench.ask(f"{row.provider}/{model}", provider=row.provider, api=row.api))
            for row in CAPABILITIES
        }

    assert {name: task.result().error["type"] for name, task in asked.items()} == dict.fromkeys(asked, code)
