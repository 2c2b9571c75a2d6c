"""GET /v1/models and /v1/models/{id}: what the catalog has and the caller may use."""

import orjson

from tokenbus_gateway.access.caller import unknown_model
from tokenbus_gateway.endpoint import Endpoint
from tokenbus_gateway.exchange import Exchange
from tokenbus_schemas import ModelList


class ListModels(Endpoint):
    """GET /v1/models."""

    route = "/v1/models"

    async def serve(self, exchange: Exchange) -> None:
        models = await _usable(self, exchange)
        body = {"object": "list", "data": [_model(model) for model in models]}
        await exchange.reply(orjson.dumps(body))


class GetModel(Endpoint):
    """GET /v1/models/{id}. An id that only a pattern of the catalog serves is not listed, and not found here."""

    route = "/v1/models/{model}"

    async def serve(self, exchange: Exchange) -> None:
        wanted = exchange.path_parameters["model"]
        found = next((model for model in await _usable(self, exchange) if model.id == wanted), None)
        if found is None:
            raise unknown_model(wanted)
        await exchange.reply(orjson.dumps(_model(found)))


async def _usable(endpoint: Endpoint, exchange: Exchange) -> list[ModelList.Model]:
    caller = exchange.caller
    assert caller is not None
    return [model for model in await endpoint.gate.bridge.models(caller.tenant) if caller.may_use(model.id)]


def _model(model: ModelList.Model) -> dict[str, object]:
    """As OpenAI's `Model` (openai 3.54); its `created` means nothing here, and its type wants a number."""
    return {
        "id": model.id,
        "object": "model",
        "created": 0,
        "owned_by": model.id.partition("/")[0],
        "tokenbus": {"providers": model.providers},
    }
