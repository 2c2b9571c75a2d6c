"""The default catalog, asked as the router asks it: what a request becomes, or why it is refused."""

from typing import Any

import orjson

from tokenbus_router.catalog_default import default_text
from tokenbus_router.catalog_load import load_catalog
from tokenbus_router.intake import Admitted, Arrival, Continues, Intake, Sender
from tokenbus_router.routing_table import compile_table
from tokenbus_schemas import ErrorBody, Subjects, WorkOrder
from tokenbus_schemas.headers import REQUEST_ID

CATALOG = load_catalog(default_text())
TABLE = compile_table(CATALOG)
INTAKE = Intake(lambda: TABLE, Subjects("bus"), default_timeout_s=600.0)
DROP = {"on_unsupported": "drop"}


def order(model: str, **fields: Any) -> WorkOrder | ErrorBody:
    """The work order of a request, or the error that it ends in."""
    body = {"model": model, **({} if "messages" in fields else {"input": "hi"}), **fields}
    arrival = Arrival("bus.requests.acme.standard", {REQUEST_ID: "r1"}, orjson.dumps(body), 1_000.0)
    sender = INTAKE.identify(arrival)
    assert isinstance(sender, Sender)
    decision = INTAKE.decide(arrival, sender=sender, now=1_000.0)
    assert not isinstance(decision, Continues)
    return WorkOrder.model_validate_json(decision.payload) if isinstance(decision, Admitted) else decision.error


def admitted(model: str, **fields: Any) -> WorkOrder:
    found = order(model, **fields)
    assert isinstance(found, WorkOrder), found
    return found


def refused(model: str, **fields: Any) -> ErrorBody:
    found = order(model, **fields)
    assert isinstance(found, ErrorBody), found
    assert found.param is None or found.message.startswith(f"{found.param}: ")
    return found
