"""Scripts in model names and headers."""

import contextlib
import string
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tokenbus_schemas import ModelId
from tokenbus_simulator import Call, Fault, Script, ScriptError, parse_script, script_of_model


def test_all_settings_of_the_grammar_reach_their_fields() -> None:
    assert parse_script(
        "ttft=50;rate=100.5;burst=4;bytes=512;tokens=500;reasoning=3;summary=2;rounds=2;finish=length;"
        'call=get_weather({"city":"Oslo"});call=get_time;'
        "fault=cut;after=40;repeat=20;retry=7;quirk=no-usage;quirk=crlf;stamp;provider_call=web_search;"
        "provider_call=mcp;profile=groq;key=sha256:0f;cuts=2;retention=1.5"
    ) == Script(
        first_token_ms=50,
        tokens_per_s=100.5,
        burst=4,
        chunk_bytes=512,
        tokens=500,
        reasoning=3,
        summary=2,
        rounds=2,
        finish="length",
        calls=(Call("get_weather", '{"city":"Oslo"}'), Call("get_time")),
        fault=Fault.CUT,
        after=40,
        repeat_ms=20,
        retry_after_s=7,
        quirks=("no-usage", "crlf"),
        stamp=True,
        provider_calls=("web_search", "mcp"),
        profile="groq",
        key="sha256:0f",
        cuts=2,
        retention_s=1.5,
    )


@given(st.text())
def test_any_text_survives_percent_encoding(text: str) -> None:
    assert parse_script(f"text={quote(text.strip())}").text == text.strip()


def test_a_header_adds_to_what_the_model_name_says() -> None:
    script = script_of_model("sim;ttft=50;rate=100")
    assert parse_script("rate=7", base=script) == Script(first_token_ms=50, tokens_per_s=7)


@pytest.mark.parametrize(
    ("model", "script"),
    [
        ("sim", Script()),
        ("sim-echo", Script(echo=True)),
        ("sim-429", Script(fault=Fault.RATE_LIMIT)),
        ("sim-no-usage", Script(quirks=("no-usage",))),
        ("sim-cut;after=40", Script(fault=Fault.CUT, after=40)),
        ("vendor/sim;tokens=3", Script(tokens=3)),
        ("gpt-4.1-mini", Script()),
        ("simple-model", Script()),
        ("vendor/llama3.1:8b", Script()),
    ],
)
def test_a_model_name_is_scripted_only_if_its_last_segment_is_sim(model: str, script: Script) -> None:
    assert script_of_model(model) == script


def test_the_second_spelling_makes_a_script_a_valid_model_id() -> None:
    name = str(ModelId.parse("local/sim-cut@after:40@rate:100"))
    assert script_of_model(name) == Script(fault=Fault.CUT, after=40, tokens_per_s=100)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("speed=3", "unknown setting 'speed': use one of ttft, rate, "),
        ("rate=fast", "setting 'rate': write a number, 0 or more"),
        ("tokens=-1", "setting 'tokens': write a whole number, 0 or more"),
        ("bytes=0", "setting 'bytes': write a whole number, 1 or more"),
        ("fault=fire", "setting 'fault': use one of 400, "),
        ("quirk=odd", "setting 'quirk': use one of no-item-ids, "),
        ("call=a b", "setting 'call': write a function name"),
        ("echo=loud", "setting 'echo': write it without a value"),
        ("profile=acme", "setting 'profile': use one of openai, azure, "),
        ("provider_call=Web Search", "setting 'provider_call': write the type of a tool"),
        ("key=", "setting 'key': write the key itself"),
        ("finish", "setting 'finish': use one of stop, length, content_filter"),
    ],
)
def test_a_wrong_setting_is_refused_by_name_with_the_way_to_write_it(text: str, message: str) -> None:
    with pytest.raises(ScriptError) as caught:
        parse_script(text)
    assert str(caught.value).startswith(message)


def test_an_unknown_preset_is_refused_with_the_list_of_presets() -> None:
    with pytest.raises(ScriptError, match="no preset is called 'nonsense': use one of echo, "):
        script_of_model("sim-nonsense")


@given(st.text(alphabet=string.printable))
def test_a_script_is_read_or_refused_but_never_breaks(text: str) -> None:
    with contextlib.suppress(ScriptError):
        parse_script(text)
