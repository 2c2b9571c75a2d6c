"""The OpenAPI document says what there is."""

from typing import Any, cast

from jsonschema import Draft202012Validator

from tests.gateway.answers import whole
from tests.gateway.conftest import ScriptedGateway
from tests.gateway.http_wire import connected
from tokenbus_gateway import GatewaySettings, openapi_document
from tokenbus_schemas import RequestHeaders, RequestId

Json = dict[str, Any]


async def test_it_is_served_and_every_reference_in_it_leads_somewhere(gateway: ScriptedGateway) -> None:
    async with connected(gateway.port) as wire:
        _, _, document = await (await wire.get("/openapi.json")).reply()
    schemas: Json = document["components"]["schemas"]
    for schema in schemas.values():
        Draft202012Validator.check_schema(schema)
    assert {name for name in references(document) if name not in schemas} == set()


async def test_every_path_and_method_of_it_is_routed(gateway: ScriptedGateway) -> None:
    for path, methods in openapi_document("1")["paths"].items():
        for method in methods:
            async with connected(gateway.port) as wire:
                place = path.format(model="a/b", response_id="resp_x")
                await wire.send(method.upper(), place, headers={"Host": "x", "Content-Length": "0"})
                status, _, body = await wire.reply()
            assert status != 405, (method, path)
            assert "Invalid URL" not in str(body), (method, path)


def test_an_answer_fits_its_schema() -> None:
    line = whole(RequestHeaders(RequestId("r1")), ["Hi"])[-1]
    schema: Json = openapi_document("1")["components"]["schemas"]["Response"]
    Draft202012Validator(schema).validate(line.data["response"])  # pyright: ignore[reportUnknownMemberType] - half-typed stub


def test_settings_have_descriptions_and_defaults() -> None:
    for name, field in GatewaySettings.model_fields.items():
        assert field.description, name
        assert not field.is_required(), name


def references(node: object) -> set[str]:
    """The names of all schemas that are referred to."""
    if isinstance(node, dict):
        pairs = cast("Json", node)
        own = {str(value).rpartition("/")[2] for key, value in pairs.items() if key == "$ref"}
        return own.union(*(references(value) for value in pairs.values()))
    if isinstance(node, list):
        return set[str]().union(*(references(item) for item in cast("list[object]", node)))
    return set()
