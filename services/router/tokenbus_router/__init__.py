"""The router: takes chat-request events in, and answers replay, cancel and model calls."""

from tokenbus_router.catalog import Catalog, json_schema, schema_text
from tokenbus_router.catalog_load import load_catalog
from tokenbus_router.errors import CatalogError, CatalogProblem, RouterError
from tokenbus_router.routing import route
from tokenbus_router.routing_table import RoutingTable, compile_table
from tokenbus_router.settings import RouterSettings

__all__ = [
    "Catalog",
    "CatalogError",
    "CatalogProblem",
    "RouterError",
    "RouterSettings",
    "RoutingTable",
    "compile_table",
    "json_schema",
    "load_catalog",
    "route",
    "schema_text",
]
