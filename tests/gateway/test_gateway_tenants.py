"""Two tenants before the whole running system: one finds, watches and cancels nothing of the other."""

from collections.abc import Generator

import openai
import pytest
from openai import OpenAI
from websockets.exceptions import InvalidStatus

from tests.e2e.conftest import RunningTokenbus
from tests.gateway.conftest import gateway_process
from tokenbus_gateway.access.access_file_edit import add_key
from tokenbus_gateway.access.api_keys import mint_key

MODEL = "openai/sim@tokens:6"


@pytest.fixture(scope="module")
def clients(running: RunningTokenbus, tmp_path_factory: pytest.TempPathFactory) -> Generator[tuple[OpenAI, OpenAI]]:
    """One of tenant `red`, one of tenant `blue`."""
    folder = tmp_path_factory.mktemp("tenants")
    keys = [mint_key(), mint_key()]
    for key, tenant in zip(keys, ("red", "blue"), strict=True):
        add_key(folder / "keys.yaml", {"id": key.key_id, "hash": key.hash, "tenant": tenant})
    with gateway_process(running, folder, TOKENBUS_GATEWAY_KEYS_FILE=str(folder / "keys.yaml")) as url:
        log = folder / "gateway.log"
        with (
            OpenAI(base_url=url, api_key=keys[0].text, max_retries=0, timeout=20) as red,
            OpenAI(base_url=url, api_key=keys[1].text, max_retries=0, timeout=20) as blue,
        ):
            yield red, blue
        assert not any(key.text in log.read_text() for key in keys)


def test_each_reads_its_own_and_nothing_of_the_other(clients: tuple[OpenAI, OpenAI]) -> None:
    red, blue = clients
    own = red.responses.create(model=MODEL, input="a secret of red")
    assert red.responses.retrieve(own.id).output_text == own.output_text
    for steal in (
        lambda: blue.responses.retrieve(own.id),
        lambda: list(blue.responses.retrieve(own.id, stream=True)),
        lambda: blue.responses.cancel(own.id),
        lambda: blue.responses.delete(own.id),
        lambda: blue.responses.input_items.list(own.id),
    ):
        with pytest.raises(openai.NotFoundError) as caught:
            steal()
        assert "secret" not in str(caught.value)
        with pytest.raises(openai.NotFoundError) as unknown:
            blue.responses.retrieve(f"resp_{'0' * 32}")
        assert str(caught.value).replace(own.id, "") == str(unknown.value).replace(f"resp_{'0' * 32}", "")
    with pytest.raises(openai.BadRequestError) as refused:
        blue.responses.create(model=MODEL, input="go on", previous_response_id=own.id)
    assert refused.value.code == "previous_response_not_found"
    assert red.responses.retrieve(own.id).output_text == own.output_text


def test_a_stranger_cancels_no_running_answer(clients: tuple[OpenAI, OpenAI]) -> None:
    red, blue = clients
    stream = red.responses.create(model="openai/sim@tokens:40@rate:40", input="x", stream=True)
    events = iter(stream)
    first = next(events)
    assert first.type == "response.created"
    with pytest.raises(openai.NotFoundError):
        blue.responses.cancel(first.response.id)
    assert [event.type for event in events][-1] == "response.completed"


def test_ids_are_long_random_and_different(clients: tuple[OpenAI, OpenAI]) -> None:
    red, _ = clients
    ids = {red.responses.create(model=MODEL, input="x").id.removeprefix("resp_") for _ in range(5)}
    assert len(ids) == 5
    assert all(len(one) == 32 and int(one, 16) for one in ids)


def test_without_its_key_nobody_gets_anything(clients: tuple[OpenAI, OpenAI]) -> None:
    red, _ = clients
    for wrong in ("none", "sk-live-1", "tb_000000000000_" + "A" * 43):
        with pytest.raises(openai.AuthenticationError):
            red.with_options(api_key=wrong).models.list()
        with pytest.raises(InvalidStatus), red.with_options(api_key=wrong).responses.connect():
            pass
