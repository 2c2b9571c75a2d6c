"""Tokenbus: LLM chat requests over NATS. `connect()` gives a client; `tokenbus.bus` is the bus for services."""

from tokenbus.bus_options import BusOptions, Login
from tokenbus.calls import InputItems
from tokenbus.client import Client, connect
from tokenbus.client_options import ClientOptions, OnExit
from tokenbus.errors import (
    AnswerLostError,
    BusClosedError,
    BusError,
    BusOverflowError,
    BusRefusedError,
    BusTimeoutError,
    BusUnavailableError,
    CallRefusedError,
    ContractError,
    InvalidRequestError,
    NoRespondersError,
    NoRouterError,
    OverloadedError,
    RequestRefusedError,
    RequestTooLargeError,
    ResponseFailedError,
    TextLostError,
    TokenbusError,
    UnknownRequestError,
)
from tokenbus.params import BusParams, RequestParams
from tokenbus.reader import ReadingTimes
from tokenbus.sequencer import GAP_TYPE
from tokenbus.stream import ResponseStream

__all__ = [
    "GAP_TYPE",
    "AnswerLostError",
    "BusClosedError",
    "BusError",
    "BusOptions",
    "BusOverflowError",
    "BusParams",
    "BusRefusedError",
    "BusTimeoutError",
    "BusUnavailableError",
    "CallRefusedError",
    "Client",
    "ClientOptions",
    "ContractError",
    "InputItems",
    "InvalidRequestError",
    "Login",
    "NoRespondersError",
    "NoRouterError",
    "OnExit",
    "OverloadedError",
    "ReadingTimes",
    "RequestParams",
    "RequestRefusedError",
    "RequestTooLargeError",
    "ResponseFailedError",
    "ResponseStream",
    "TextLostError",
    "TokenbusError",
    "UnknownRequestError",
    "connect",
]
