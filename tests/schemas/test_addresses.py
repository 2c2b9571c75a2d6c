"""Subjects, headers and model IDs: what is built parses back, what is strange is refused by name."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tokenbus_schemas import (
    InvalidModelIdError,
    InvalidTokenError,
    ModelId,
    RequestError,
    RequestHeaders,
    Subjects,
    parse_identity,
    parse_request_headers,
    subjects,
)

TOKENS = st.from_regex(r"[A-Za-z0-9_-]{1,64}", fullmatch=True)
STRANGE = ["", "a.b", "*", ">", "a b", "ä", "a\n", "x" * 65, "a\x00b"]


@given(TOKENS, TOKENS, TOKENS, TOKENS, st.integers(min_value=1, max_value=10**9))
def test_an_events_subject_parses_back(root: str, tenant: str, channel: str, request: str, attempt: int) -> None:
    built = Subjects(root).events(
        subjects.tenant(tenant), subjects.channel(channel), subjects.request_id(request), attempt
    )

    assert Subjects(root).parse_events(built) == (tenant, channel, request, attempt)


@given(TOKENS, TOKENS)
def test_call_subjects_parse_back(tenant: str, request: str) -> None:
    names = Subjects("r")
    address = (subjects.tenant(tenant), subjects.request_id(request))

    for built in (names.replay(*address), names.control(*address), names.stop(*address)):
        assert names.parse_call(built) == (tenant, request)


@pytest.mark.parametrize("value", STRANGE)
def test_a_strange_token_is_refused_by_the_name_of_what_it_names(value: str) -> None:
    for name, check in (
        ("tenant", subjects.tenant),
        ("request id", subjects.request_id),
        ("channel", subjects.channel),
        ("pool", subjects.pool),
    ):
        with pytest.raises(InvalidTokenError, match=f"^{name} "):
            check(value)


def test_a_strange_root_is_refused() -> None:
    with pytest.raises(InvalidTokenError, match="root"):
        Subjects("a.b")


@pytest.mark.parametrize("subject", ["", "tokenbus.requests.a", "other.requests.a.low", "tokenbus.requests.a.b.c"])
def test_a_foreign_subject_is_no_request_subject(subject: str) -> None:
    with pytest.raises(ValueError, match="is not tokenbus.requests"):
        Subjects().parse_request(subject)


@given(TOKENS, TOKENS, st.none() | st.floats(min_value=0.01, max_value=3600))
def test_request_headers_read_back(request: str, channel: str, timeout_s: float | None) -> None:
    rounded = None if timeout_s is None else round(timeout_s, 6)
    headers = RequestHeaders(subjects.request_id(request), subjects.channel(channel), rounded, "00-a-b-01", "k=v")

    assert parse_request_headers(headers.to_wire()) == headers


@pytest.mark.parametrize("value", [*STRANGE, None])
def test_a_message_without_a_usable_request_id_has_no_identity(value: str | None) -> None:
    headers = {} if value is None else {"Tokenbus-Request-Id": value}

    with pytest.raises(RequestError, match="Tokenbus-Request-Id") as caught:
        parse_identity(headers)
    assert caught.value.body.param == "Tokenbus-Request-Id"


@pytest.mark.parametrize(
    "timeout", ["", "0", "-1", "nan", "inf", "3601", "ten", "1e9", "1_0", "٣", " 5", "5 ", "+5", "0x5", ".5", "5."]
)
def test_a_timeout_that_is_no_number_of_seconds_in_range_is_refused(timeout: str) -> None:
    with pytest.raises(RequestError, match="Tokenbus-Timeout.*seconds") as caught:
        parse_request_headers({"Tokenbus-Request-Id": "a", "Tokenbus-Timeout": timeout})
    assert caught.value.body.code == "invalid_header"


def test_another_wire_version_is_refused() -> None:
    with pytest.raises(RequestError, match="speaks version 1"):
        parse_request_headers({"Tokenbus-Request-Id": "a", "Tokenbus-Version": "2"})


@given(st.from_regex(r"[A-Za-z0-9_:@+-][A-Za-z0-9_.:@+-]{0,19}(/[A-Za-z0-9_.:@+-]{0,19}[a-z]){0,4}", fullmatch=True))
def test_a_model_id_prints_as_it_was_written(text: str) -> None:
    assert str(ModelId.parse(text)) == text


@pytest.mark.parametrize(
    "text", ["", "/", "a/", "/a", "a//b", "a b", "ü", "x" * 257, "a/*", "a/..", "a/../b", "../a", "./a", "a/."]
)
def test_what_is_no_model_id_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(InvalidModelIdError, match="openai/gpt-4.1-mini"):
        ModelId.parse(text)
