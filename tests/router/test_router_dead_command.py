"""`tokenbus dead`, run as operators run it."""

import json
from collections.abc import Sequence
from typing import Any

import orjson
import pytest

from tests.client.command_line import Cli, Outcome
from tests.router.conftest import GOOD, POOL, TENANT, Desk, gone, soon
from tests.router.test_router_calls import line, store_end
from tokenbus_schemas import RequestId, WorkOrder
from tokenbus_schemas.events import COMPLETED
from tokenbus_schemas.headers import ORIGIN, PAYLOAD, REASON, REQUEST_ID, TIMEOUT


@pytest.fixture
def cli(nats_url: str, root: str) -> Cli:
    return Cli(nats_url, root=root)


async def bury(desk: Desk, payload: bytes, *, kind: str = "requests", origin: str = "", **headers: str) -> int:
    """A dead letter; its number."""
    origin = origin or desk.subjects.request(TENANT, "standard")
    sent = {ORIGIN: origin, REASON: "invalid_header: it has no id", **headers}
    return (await desk.bus.publish_stored(desk.subjects.dead(kind), payload, headers=sent)).sequence


async def bury_work(desk: Desk, request_id: str) -> tuple[int, WorkOrder]:
    """The work of a request that was handed on."""
    await desk.send(GOOD, request_id, headers={TIMEOUT: "30"})
    work = await soon(desk.work)
    await gone(desk.waiting_request)
    await desk.bus.delete_message(desk.stored.work.name, work.sequence)
    number = await bury(desk, work.data, kind="work", origin=work.subject)
    return number, WorkOrder.model_validate_json(work.data)


def read(outcome: Outcome) -> Any:
    assert outcome.code == 0, outcome.stderr
    return json.loads(outcome.stdout)


async def numbers(cli: Cli) -> Sequence[int]:
    return [letter["number"] for letter in read(await cli.run("dead", "list", "--json"))["letters"]]


async def test_letters_are_listed_in_pages(desk: Desk, cli: Cli) -> None:
    for number in range(3):
        await bury(desk, b"x" * number)
    page = read(await cli.run("dead", "list", "--json", "--limit", "2"))
    first = page["letters"][0]
    assert (first["number"], first["kind"], first["size_bytes"]) == (1, "requests", 0)
    assert first["reason"] == "invalid_header: it has no id"
    assert first["origin"] == desk.subjects.request(TENANT, "standard")
    assert 0 <= first["age_s"] < 60
    assert page["next"] == 3
    rest = read(await cli.run("dead", "list", "--json", "--start", "3"))
    assert ([letter["number"] for letter in rest["letters"]], rest["next"]) == ([3], None)
    told = await cli.run("dead", "list", "--limit", "1")
    assert "invalid_header: it has no id" in told.stdout
    assert "more: tokenbus dead list --start 2" in told.stdout


async def test_one_is_shown_with_its_payload(desk: Desk, cli: Cli) -> None:
    number = await bury(desk, b'{"input":"hi\xff"}')
    shown = read(await cli.run("dead", "show", str(number), "--json"))
    assert shown["payload"] == '{"input":"hi\\xff"}'
    assert shown["headers"][REASON].startswith("invalid_header")


async def test_a_request_is_sent_again_under_a_new_id_and_leaves_the_list(desk: Desk, cli: Cli) -> None:
    number = await bury(desk, orjson.dumps(GOOD), **{REQUEST_ID: "a.b", TIMEOUT: "30"})
    retried = read(await cli.run("dead", "retry", str(number), "--json"))
    order = WorkOrder.model_validate_json((await soon(desk.work)).data)
    assert order.request_id == retried["request_id"]
    assert order.deadline - order.accepted_at == pytest.approx(30)
    assert await numbers(cli) == []


async def test_a_request_that_has_ended_is_sent_again_only_if_that_is_wanted(desk: Desk, cli: Cli) -> None:
    await store_end(desk, "r1", line(3, event_type=COMPLETED))
    number = await bury(desk, orjson.dumps(GOOD), **{REQUEST_ID: "r1"})
    refused = await cli.run("dead", "retry", str(number))
    assert refused.code == 1
    assert "request r1 has ended (response.completed)" in refused.stderr
    assert await desk.work() is None
    assert await numbers(cli) == [number]
    assert (await cli.run("dead", "retry", str(number), "--again")).code == 0
    assert WorkOrder.model_validate_json((await soon(desk.work)).data).request_id != "r1"


async def test_work_is_sent_again_with_its_time_begun_anew(desk: Desk, cli: Cli) -> None:
    number, old = await bury_work(desk, "r1")
    retried = read(await cli.run("dead", "retry", str(number), "--json"))
    order = WorkOrder.model_validate_json((await soon(desk.work)).data)
    assert (order.request_id, order.hop, order.attempt_base) == (retried["request_id"], 1, 0)
    assert order.accepted_at > old.accepted_at
    assert order.deadline - order.accepted_at == pytest.approx(30)
    assert order.request == old.request
    assert (await desk.replay(order.request_id))["state"] == "queued"
    assert await desk.cancel(order.request_id) == {"status": "cancelled"}
    await gone(desk.work)


CAN_NOT: list[tuple[str, bytes, str, str, str]] = [
    ("no payload", b"", "requests", "", "has no payload"),
    ("a strange tenant", b"{}", "requests", "{root}.requests.ac!me.standard", "would die again"),
    ("unreadable work", b"{}", "work", "", "no work order"),
    ("another kind", b"{}", "tools", "", "can not be retried"),
]


@pytest.mark.parametrize(
    ("payload", "kind", "origin", "why"), [row[1:] for row in CAN_NOT], ids=[row[0] for row in CAN_NOT]
)
async def test_what_can_not_be_sent_again_stays_and_says_why(
    desk: Desk, cli: Cli, payload: bytes, kind: str, origin: str, why: str
) -> None:
    number = await bury(desk, payload, kind=kind, origin=origin.format(root=desk.subjects.root))
    refused = await cli.run("dead", "retry", str(number))
    assert (refused.code, refused.stdout) == (1, "")
    assert why in refused.stderr
    assert await numbers(cli) == [number]


async def test_letters_are_dropped(desk: Desk, cli: Cli) -> None:
    kept, *dropped = [await bury(desk, b"x") for _ in range(3)]
    assert (await cli.run("dead", "drop", *map(str, dropped))).code == 0
    assert await numbers(cli) == [kept]
    missing = await cli.run("dead", "drop", str(dropped[0]))
    assert missing.code == 1
    assert "tokenbus dead list" in missing.stderr


async def test_without_a_tokenbus_it_says_so(nats_url: str) -> None:
    outcome = await Cli(nats_url, root="nobody").run("dead", "list")
    assert outcome.code == 2
    assert "no Tokenbus with root nobody" in outcome.stderr


async def test_a_letter_from_the_router_comes_back_to_life(desk: Desk, cli: Cli) -> None:
    """From a request without an id to its answer."""
    await desk.bus.publish_stored(desk.subjects.request(TENANT, "low"), orjson.dumps(GOOD))
    dead = await soon(desk.dead)
    retried = read(await cli.run("dead", "retry", str(dead.sequence), "--json"))
    subject = desk.subjects.work(POOL, "low", TENANT)
    work = await soon(lambda: desk.bus.last_message_at_leader(desk.stored.work.name, subject))
    assert WorkOrder.model_validate_json(work.data).request_id == retried["request_id"]
    assert await desk.result(RequestId(retried["request_id"])) is None


@pytest.mark.parametrize("kind", ["requests", "work"])
async def test_a_letter_whose_payload_was_kept_apart_is_not_sent_again(desk: Desk, cli: Cli, kind: str) -> None:
    number = await bury(desk, b"{}", kind=kind, **{PAYLOAD: f"sha256={'3b' * 32};size=3;pieces=1"})
    outcome = await cli.run("dead", "retry", str(number))
    assert outcome.code == 1
    assert "ask its sender to send it again" in outcome.stderr
    assert await numbers(cli) == [number]
