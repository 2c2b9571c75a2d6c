"""Upstream errors in our terms."""

from typing import Any

import pytest

from tokenbus_schemas import ErrorCode
from tokenbus_translate import failure, reported_failure

Json = dict[str, Any]


@pytest.mark.parametrize(
    ("error", "status", "code", "elsewhere"),
    [
        ({"error": {"message": "m", "code": "rate_limit_exceeded"}}, None, ErrorCode.UPSTREAM_RATE_LIMIT, True),
        ({"error": {"message": "m", "type": "insufficient_quota"}}, 429, ErrorCode.UPSTREAM_RATE_LIMIT, True),
        ({"error": {"message": "m", "type": "invalid_request_error"}}, 400, ErrorCode.UPSTREAM_REFUSED, False),
        ({"error": {"message": "m", "type": "invalid_request_error"}}, 401, ErrorCode.UPSTREAM_AUTHENTICATION, True),
        ({"error": {"message": "m", "type": "invalid_request_error"}}, 429, ErrorCode.UPSTREAM_RATE_LIMIT, True),
        ({"error": {"message": "m", "code": "context_length_exceeded"}}, 400, ErrorCode.CONTEXT_LENGTH_EXCEEDED, False),
        ({"error": {"message": "m", "code": "content_filter"}}, 400, ErrorCode.CONTENT_FILTER, False),
        ({"error": {"message": "m", "code": "model_not_found"}}, 404, ErrorCode.UPSTREAM_REFUSED, True),
        ({"error": {"message": "m", "code": 503}}, None, ErrorCode.UPSTREAM_UNAVAILABLE, True),
        ({"error": {"message": "m", "code": "429"}}, None, ErrorCode.UPSTREAM_RATE_LIMIT, True),
        ({"error": {"message": "m", "type": "server_error"}}, 503, ErrorCode.UPSTREAM_UNAVAILABLE, True),
        ({"error": {"message": "m", "type": "server_error"}}, 408, ErrorCode.UPSTREAM_UNAVAILABLE, True),
        ({"error": {"message": "m", "type": "server_error"}}, 400, ErrorCode.UPSTREAM_ERROR, True),
        ({"error": {"message": "m", "type": "server_error"}}, None, ErrorCode.UPSTREAM_ERROR, True),
        ({"errors": [{"code": "10015", "title": "t", "detail": "m"}]}, 400, ErrorCode.UPSTREAM_REFUSED, False),
        ({"errors": [{"code": "10015", "title": "t", "detail": "m"}]}, None, ErrorCode.UPSTREAM_ERROR, True),
        ({"errors": []}, 500, ErrorCode.UPSTREAM_UNAVAILABLE, True),
        ({"detail": "m"}, 422, ErrorCode.UPSTREAM_REFUSED, False),
        ({"detail": "m"}, 500, ErrorCode.UPSTREAM_UNAVAILABLE, True),
        ({"detail": "m"}, 408, ErrorCode.UPSTREAM_UNAVAILABLE, True),
        ({"error": "m"}, 409, ErrorCode.UPSTREAM_UNAVAILABLE, True),
        ({"type": "error", "code": None, "message": "m"}, None, ErrorCode.UPSTREAM_ERROR, True),
        ("<html>", 502, ErrorCode.UPSTREAM_UNAVAILABLE, True),
        (None, None, ErrorCode.UPSTREAM_ERROR, True),
    ],
)
def test_an_error_tells_its_code_and_whether_another_target_helps(
    error: object, status: int | None, code: ErrorCode, *, elsewhere: bool
) -> None:
    told = reported_failure(error, status=status)
    assert (told.code, told.retry_elsewhere) == (code, elsewhere)


def test_the_providers_words_are_quoted_shortened() -> None:
    told = reported_failure({"error": {"message": "long " * 1_000, "code": "server_error"}}, status=500)
    assert told.message.startswith("the provider (status 500) reported: long")
    assert len(told.message) < 600
    assert told.provider_code == "server_error"
    assert told.error.message == told.message


def test_the_words_of_the_first_of_several_errors_are_quoted() -> None:
    told = reported_failure({"errors": [{"code": "10015", "detail": "not both"}, {"detail": "nor that"}]}, status=400)
    assert told.message == "the provider (status 400) reported: not both"


def test_an_error_about_credentials_is_not_quoted() -> None:
    told = reported_failure({"error": {"message": "Incorrect API key provided: sk-secret"}}, status=401)
    assert "sk-secret" not in told.message


def test_how_long_to_wait_is_kept() -> None:
    assert reported_failure(None, status=429, retry_after_s=2.5).retry_after_s == 2.5


def test_a_failure_that_nobody_reported_says_whether_another_target_helps() -> None:
    assert failure(ErrorCode.CONNECT_TIMEOUT, "no connection").retry_elsewhere
    assert not failure(ErrorCode.DEADLINE_EXCEEDED, "time is up").retry_elsewhere
