"""Requests made from the OpenAPI document, right ones and wrong ones, before the whole running system.

Each is answered in time, with a status that the document declares, in the shape that it declares; the gateway's log
holds no error (its fixture looks).
"""

from typing import Any, Final, cast

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis import GenerationMode, checks

from tests.chaos import often
from tokenbus_gateway import openapi_document

OPERATIONS: Final = [(path, method) for path, methods in openapi_document("1")["paths"].items() for method in methods]
MODEL: Final = "openai/sim@tokens:2"
OTHERS_FAULT: Final = {502, 503, 504}
"""A provider's, or the bus's; 500 would be ours."""
TIMEOUT_S: Final = 30
CHECKED: Final[list[Any]] = [
    checks.content_type_conformance,
    checks.response_headers_conformance,
    checks.response_schema_conformance,
    checks.status_code_conformance,
]


@pytest.fixture(scope="module")
def document(gateway_url: str) -> Any:
    return schemathesis.openapi.from_url(f"{gateway_url.removesuffix('/v1')}/openapi.json")


@pytest.mark.chaos
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("mode", list(GenerationMode))
@pytest.mark.parametrize(("path", "method"), OPERATIONS)
def test_every_request_is_answered_as_the_document_says(
    document: Any, path: str, method: str, mode: GenerationMode
) -> None:
    @settings(
        max_examples=often(10, chaos=10_000 // (2 * len(OPERATIONS))),
        deadline=None,
        database=None,
        phases=(Phase.generate,),
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much],
    )
    @given(document[path][method].as_strategy(generation_mode=mode))
    def check(case: Any) -> None:
        body: object = case.body
        if isinstance(body, dict) and len(str(cast("object", body))) % 4:  # else nearly all end at an unknown model
            case.body = {**body, "model": MODEL}
        response = case.call(timeout=TIMEOUT_S)
        assert response.status_code < 500 or response.status_code in OTHERS_FAULT, response.text
        assert "x-request-id" in response.headers, (response.request.url, response.status_code, response.text)
        case.validate_response(response, checks=CHECKED)

    check()
