"""Intake: every message becomes work, a refusal that names what is wrong, or a dead letter; nothing raises."""

import json
from collections.abc import Mapping
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tokenbus_router.catalog_load import load_catalog
from tokenbus_router.intake import Admitted, Arrival, Continues, Dead, Intake, Refused, Sender
from tokenbus_router.routing_table import compile_table
from tokenbus_router.unanswered import Asked, cancelled, refused
from tokenbus_schemas import (
    ATTEMPT_STRIDE,
    Channel,
    ErrorBody,
    ErrorCode,
    RequestId,
    Subjects,
    Tenant,
    WorkOrder,
    split_message,
)
from tokenbus_schemas.headers import CHANNEL, REQUEST_ID, TIMEOUT, TRACEPARENT, VERSION
from tokenbus_translate import LifecycleCheck

CATALOG = load_catalog("""\
providers:
  lab: {base_url: https://lab.example/v1, apis: [responses, chat_completions], pool: bench}
models:
  lab/one: {targets: [lab]}
""")
TABLE = compile_table(CATALOG)
INTAKE = Intake(lambda: TABLE, Subjects("bus"), default_timeout_s=600.0)
SUBJECT = "bus.requests.acme.standard"
HEADERS = {REQUEST_ID: "r1", CHANNEL: "c1", TRACEPARENT: "00-1-2-01"}
GOOD = {"model": "lab/one", "input": "hi"}
ACCEPTED_AT = 1_000.25


def arrival(
    body: object = GOOD, *, subject: str = SUBJECT, headers: Mapping[str, str] = HEADERS, raw: bytes | None = None
) -> Arrival:
    return Arrival(subject, headers, orjson.dumps(body) if raw is None else raw, ACCEPTED_AT)


def decide(message: Arrival, *, now: float = ACCEPTED_AT) -> Admitted | Refused | Dead | Continues:
    sender = INTAKE.identify(message)
    return sender if isinstance(sender, Dead) else INTAKE.decide(message, sender=sender, now=now)


def admitted(message: Arrival) -> Admitted:
    decision = decide(message)
    assert isinstance(decision, Admitted)
    return decision


def error_of(message: Arrival, *, now: float = ACCEPTED_AT) -> ErrorBody:
    decision = decide(message, now=now)
    assert isinstance(decision, Refused)
    assert decision.asked.request_id == "r1"
    return decision.error


def test_a_good_request_becomes_a_work_order_for_its_pool() -> None:
    decision = admitted(arrival())
    assert (decision.pool, decision.priority_class, decision.message_id) == ("bench", "standard", "acme.r1.1")
    assert decision.headers == {CHANNEL: "c1", TRACEPARENT: "00-1-2-01"}
    order = WorkOrder.model_validate_json(decision.payload)
    assert order.model_dump(exclude={"targets"}) == {
        "version": 1,
        "request_id": "r1",
        "tenant": "acme",
        "channel": "c1",
        "priority_class": "standard",
        "accepted_at": ACCEPTED_AT,
        "deadline": ACCEPTED_AT + 600,
        "hop": 1,
        "attempt_base": 0,
        "model": "lab/one",
        "request": {"input": "hi"},
        "history": [],
        "published": 0,
        "dropped": [],
        "max_tool_rounds": None,
        "strategy": "ordered",
        "recovery": "fail",
    }
    assert [target.model_dump(exclude_defaults=True) for target in order.targets] == [
        {"provider": "lab", "model": "one", "api": "responses", "pool": "bench"}
    ]


@pytest.mark.parametrize("recovery", ["resume", "restart", "fail"])
def test_the_recovery_that_was_asked_for_is_ordered(recovery: str) -> None:
    body = {"model": "lab/one", "input": "hi", "tokenbus": {"recovery": recovery}}
    assert WorkOrder.model_validate_json(admitted(arrival(body)).payload).recovery == recovery


def test_a_chat_request_is_normalised() -> None:
    body: dict[str, Any] = {
        "model": "lab/one",
        "messages": [{"role": "user", "content": "hi"}],
        "max_tokens": 20,
        "tokenbus": {},
    }
    request = WorkOrder.model_validate_json(admitted(arrival(body)).payload).request
    assert request["max_output_tokens"] == 20
    assert "messages" not in request
    assert "tokenbus" not in request


def test_the_timeout_header_counts_from_the_time_of_the_broker() -> None:
    decision = admitted(arrival(headers={**HEADERS, TIMEOUT: "2.5"}))
    assert WorkOrder.model_validate_json(decision.payload).deadline == ACCEPTED_AT + 2.5


def test_without_a_channel_header_events_go_to_the_default_channel() -> None:
    assert admitted(arrival(headers={REQUEST_ID: "r1"})).asked.channel == "_"


@pytest.mark.parametrize(
    ("subject", "headers", "code", "param"),
    [
        ("bus.requests.ac!me.standard", HEADERS, ErrorCode.INVALID_SUBJECT, None),
        (f"bus.requests.{'a' * 65}.standard", HEADERS, ErrorCode.INVALID_SUBJECT, None),
        ("bus.requests.acme.urgent", HEADERS, ErrorCode.INVALID_SUBJECT, None),
        ("other.requests.acme.standard", HEADERS, ErrorCode.INVALID_SUBJECT, None),
        ("bus.requests.acme", HEADERS, ErrorCode.INVALID_SUBJECT, None),
        (SUBJECT, {}, ErrorCode.INVALID_HEADER, REQUEST_ID),
        (SUBJECT, {REQUEST_ID: ""}, ErrorCode.INVALID_HEADER, REQUEST_ID),
        (SUBJECT, {REQUEST_ID: "a.b"}, ErrorCode.INVALID_HEADER, REQUEST_ID),
        (SUBJECT, {REQUEST_ID: "r1", CHANNEL: "*"}, ErrorCode.INVALID_HEADER, CHANNEL),
    ],
)
def test_a_message_that_can_not_be_answered_is_dead_with_the_reason(
    subject: str, headers: Mapping[str, str], code: ErrorCode, param: str | None
) -> None:
    decision = decide(arrival(subject=subject, headers=headers))
    assert isinstance(decision, Dead)
    assert (decision.error.code, decision.error.param) == (code, param)


@pytest.mark.parametrize(
    ("message", "code", "param"),
    [
        (arrival(headers={**HEADERS, TIMEOUT: "soon"}), ErrorCode.INVALID_HEADER, TIMEOUT),
        (arrival(headers={**HEADERS, TIMEOUT: "-1"}), ErrorCode.INVALID_HEADER, TIMEOUT),
        (arrival(headers={**HEADERS, VERSION: "9"}), ErrorCode.INVALID_HEADER, VERSION),
        (arrival(raw=b""), ErrorCode.INVALID_JSON, None),
        (arrival(raw=b"{"), ErrorCode.INVALID_JSON, None),
        (arrival(raw=b"\xff\xfe"), ErrorCode.INVALID_JSON, None),
        (arrival(raw=b'{"model": NaN}'), ErrorCode.INVALID_JSON, None),
        (arrival(raw=b'"\\ud800"'), ErrorCode.INVALID_JSON, None),
        (arrival(raw=b"[" * 100_000), ErrorCode.INVALID_JSON, None),
        (arrival([GOOD]), ErrorCode.INVALID_JSON, None),
        (arrival("text"), ErrorCode.INVALID_JSON, None),
        (arrival({}), ErrorCode.MISSING_PARAMETER, "model"),
        (arrival({"model": "lab/one"}), ErrorCode.MISSING_PARAMETER, "input"),
        (arrival({**GOOD, "input": ""}), ErrorCode.INVALID_VALUE, "input"),
        (arrival({**GOOD, "input": []}), ErrorCode.INVALID_VALUE, "input"),
        (arrival({**GOOD, "input": 5}), ErrorCode.INVALID_VALUE, "input"),
        (arrival({**GOOD, "messages": []}), ErrorCode.INVALID_REQUEST, "messages"),
        (arrival({"model": "lab/one", "messages": [{"role": "cat", "content": "x"}]}), None, "messages[0].role"),
        (arrival({**GOOD, "temprature": 1}), ErrorCode.UNKNOWN_PARAMETER, "temprature"),
        (arrival({**GOOD, "temperature": 3}), ErrorCode.INVALID_VALUE, "temperature"),
        (arrival({**GOOD, "model": 7}), ErrorCode.INVALID_VALUE, "model"),
        (arrival({**GOOD, "model": "lab/" + "x" * 300}), ErrorCode.INVALID_VALUE, "model"),
        (arrival({**GOOD, "model": "lab/two"}), ErrorCode.MODEL_NOT_FOUND, "model"),
        (arrival({**GOOD, "tokenbus": {"provider": "acme"}}), ErrorCode.PROVIDER_NOT_FOUND, "tokenbus.provider"),
        (arrival({**GOOD, "tokenbus": {"colour": 1}}), ErrorCode.UNKNOWN_PARAMETER, "tokenbus.colour"),
        (arrival({**GOOD, "tools": ["x"]}), ErrorCode.INVALID_VALUE, "tools[0]"),
        (arrival({**GOOD, "background": True, "store": False}), ErrorCode.INVALID_REQUEST, "background"),
        (
            arrival(raw=b'{"model":"lab/one","input":[{"x":' + b"[" * 400 + b"]" * 400 + b"}]}"),
            ErrorCode.INVALID_VALUE,
            "input",
        ),
    ],
)
def test_a_bad_request_is_refused_with_the_place_that_is_wrong(
    message: Arrival, code: ErrorCode | None, param: str | None
) -> None:
    error = error_of(message)
    assert error.param == param
    assert code in (None, error.code)
    assert param is None or param in error.message


def test_a_request_whose_time_is_up_is_refused_before_it_is_routed() -> None:
    message = arrival(headers={**HEADERS, TIMEOUT: "2"})
    assert error_of(message, now=ACCEPTED_AT + 2).code is ErrorCode.DEADLINE_EXCEEDED
    assert isinstance(decide(message, now=ACCEPTED_AT + 1.9), Admitted)


def test_no_error_quotes_the_content_of_a_request() -> None:
    secret = "the-secret-plan"
    for body in ({**GOOD, "input": {"x": secret}}, {**GOOD, "instructions": [secret]}, {**GOOD, "stop": {secret: 1}}):
        assert secret not in error_of(arrival(body)).message
    assert secret not in error_of(arrival(raw=b'{"input": "the-secret-plan')).message


def test_a_refused_request_is_echoed_where_it_was_valid_by_itself() -> None:
    decision = decide(arrival({"model": "lab/two", "input": "hi", "metadata": {"job": "7"}}))
    assert isinstance(decision, Refused)
    assert decision.echo is not None
    assert decision.echo["metadata"] == {"job": "7"}


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=8),
    lambda children: st.lists(children, max_size=3) | st.dictionaries(st.text(max_size=8), children, max_size=3),
    max_leaves=8,
)
field_names = st.sampled_from(
    [
        "model",
        "input",
        "messages",
        "tools",
        "tool_choice",
        "text",
        "reasoning",
        "metadata",
        "stop",
        "include",
        "tokenbus",
    ]
) | st.text(max_size=6)


@given(st.dictionaries(field_names, json_values, max_size=5), st.booleans())
def test_any_object_is_admitted_or_refused_and_every_refusal_is_a_valid_sequence(
    fields: dict[str, Any], on_top_of_good: bool
) -> None:
    raw = json.dumps({**GOOD, **fields} if on_top_of_good else fields).encode()  # any integer, unlike orjson
    match decide(arrival(raw=raw)):
        case Admitted(payload=payload):
            WorkOrder.model_validate_json(payload)
        case Refused() as refusal:
            ending = refused(refusal.asked, error=refusal.error, echo=refusal.echo, max_bytes=10**6)
            check_sequence(ending.message, first=0)
        case Continues(previous=previous):
            assert fields["previous_response_id"] == previous
        case Dead():
            pytest.fail("its sender can be answered")


@given(st.binary(max_size=40))
def test_any_bytes_are_refused(raw: bytes) -> None:
    assert isinstance(decide(arrival(raw=raw)), Refused)


ASKED = Asked(Tenant("acme"), RequestId("r1"), Channel("c1"), "lab/one", ACCEPTED_AT)
ERROR = ErrorBody(ErrorCode.INVALID_VALUE, "input: is empty", "input")


def check_sequence(message: bytes, *, first: int) -> list[Mapping[str, Any]]:
    events = [line.data for line in split_message(message)]
    check = LifecycleCheck(first=first)
    for event in events:
        check.feed(event)
    check.close()
    return events


def test_a_refusal_is_a_whole_sequence_that_ends_in_response_failed() -> None:
    ending = refused(ASKED, error=ERROR, echo={"input": "hi", "metadata": {"job": "7"}}, max_bytes=10**6)
    events = check_sequence(ending.message, first=0)
    assert [event["type"] for event in events] == ["response.created", "response.in_progress", "response.failed"]
    response = events[-1]["response"]
    assert response["id"] == "resp_r1"
    assert response["model"] == "lab/one"
    assert response["created_at"] == 1000
    assert response["metadata"] == {"job": "7"}
    assert response["error"] == {
        "code": "invalid_prompt",
        "message": "input: is empty",
        "param": "input",
        "type": "invalid_value",
    }
    assert response["tokenbus"] == {"provider": None, "model": None, "api": None, "attempt": 1, "request_id": "r1"}
    assert ending.message.endswith(b"\n" + ending.line)


def test_a_refusal_that_would_be_too_large_leaves_the_echo_out() -> None:
    ending = refused(ASKED, error=ERROR, echo={"instructions": "i" * 30_000}, max_bytes=50_000)
    assert len(ending.message) <= 50_000
    assert check_sequence(ending.message, first=0)[-1]["response"]["instructions"] is None


def test_a_cancelled_request_ends_incomplete_with_status_cancelled() -> None:
    events = check_sequence(cancelled(ASKED, attempt=1).message, first=0)
    assert events[-1]["type"] == "response.incomplete"
    assert events[-1]["response"]["status"] == "cancelled"


def test_a_request_cancelled_after_an_attempt_has_numbers_of_its_own() -> None:
    check_sequence(cancelled(ASKED, attempt=3).message, first=2 * ATTEMPT_STRIDE)


def test_a_sender_is_known_even_where_the_rest_is_wrong() -> None:
    assert INTAKE.identify(arrival(raw=b"junk")) == Sender(Tenant("acme"), "standard", RequestId("r1"), Channel("c1"))
