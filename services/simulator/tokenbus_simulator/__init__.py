"""An OpenAI-compatible upstream with scripted answers and faults, for tests, benchmarks and the demo."""

from tokenbus_simulator.faults import Fault
from tokenbus_simulator.record import Exchange, Record, fingerprint
from tokenbus_simulator.script import SCRIPT_HEADER, Call, Script, ScriptError, parse_script, script_of_model
from tokenbus_simulator.server import Simulator

__all__ = [
    "SCRIPT_HEADER",
    "Call",
    "Exchange",
    "Fault",
    "Record",
    "Script",
    "ScriptError",
    "Simulator",
    "fingerprint",
    "parse_script",
    "script_of_model",
]
