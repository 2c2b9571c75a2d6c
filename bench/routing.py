"""What a routing decision costs, with a catalog of 1,000 models: `python -m bench.routing`.

Measured is `route()`: from a checked request to its targets. What comes before and after it grows with the request and
not with the catalog, and is given beside it.
"""

import sys
import time
from collections.abc import Callable
from statistics import median
from typing import Any, Final

import orjson

from bench.machine import machine
from bench.report import Row, percentile, table
from tokenbus_router import compile_table, load_catalog, route
from tokenbus_router.intake import Admitted, Arrival, Intake
from tokenbus_schemas import Subjects, check_request
from tokenbus_schemas.headers import REQUEST_ID
from tokenbus_translate import to_responses

MODELS: Final = 1_000
ROUNDS: Final = 5_000
GOAL_US: Final = 50

_TOOLS: Final[list[dict[str, Any]]] = [
    {"type": "function", "name": f"tool_{number}", "parameters": {"type": "object", "properties": {}}}
    for number in range(5)
]
_TALK: Final = [
    {"role": role, "content": "Some words that somebody said."} for _ in range(10) for role in ("user", "assistant")
]
_PICTURE: Final[dict[str, Any]] = {
    "role": "user",
    "content": [{"type": "image_url", "image_url": {"url": "https://example.org/a.png"}}],
}

REQUESTS: Final[dict[str, dict[str, Any]]] = {
    "text only": {"input": "Say hello."},
    "text, four parameters": {"input": "Say hello.", "temperature": 0.5, "top_p": 0.9, "max_tokens": 500, "seed": 7},
    "20 messages, 5 tools, reasoning": {"messages": _TALK, "tools": _TOOLS, "reasoning_effort": "low"},
    "20 messages, one with an image": {"messages": [*_TALK, _PICTURE]},
    "two parameters dropped": {
        "input": "Say hello.",
        "temperature": 0.5,
        "n": 2,
        "tokenbus": {"on_unsupported": "drop"},
    },
}


def catalog_text() -> str:
    """The default catalog, and as many models on top as make a thousand."""
    lines = ["extends: default", "models:"]
    lines += [
        f"  openai/gpt-5.1-tuned-{number}: {{ targets: [azure, openai], aliases: [tuned-{number}] }}"
        for number in range(MODELS)
    ]
    return "\n".join(lines) + "\n"


def timed_us(call: Callable[[], object]) -> list[float]:
    """Microseconds of each of many calls, after some to warm up."""
    for _ in range(ROUNDS // 10):
        call()
    times: list[float] = []
    for _ in range(ROUNDS):
        started = time.perf_counter_ns()
        call()
        times.append((time.perf_counter_ns() - started) / 1_000)
    return times


def main() -> None:
    started = time.perf_counter()
    catalog = load_catalog(catalog_text())
    loaded = time.perf_counter()
    routing_table = compile_table(catalog)
    compiled = time.perf_counter()
    rows = [
        Row("catalog: load and check", f"{1000 * (loaded - started):.0f} ms"),
        Row("catalog: compile", f"{1000 * (compiled - loaded):.0f} ms"),
    ]
    intake = Intake(lambda: routing_table, Subjects("bench"), default_timeout_s=600.0)
    for model in ("openai/gpt-5.1-tuned-500", "tuned-500", "together/some/model"):
        for name, fields in REQUESTS.items():
            body = {"model": model, **fields}
            if "tokenbus" not in body and "temperature" in body:
                body["reasoning_effort"] = "none"
            rows.append(_row(f"{model}: {name}", body, intake=intake))
    sys.stdout.write(table(f"Routing among {len(routing_table.exact)} names on {machine()}", rows) + "\n")


def _row(what: str, body: dict[str, Any], *, intake: Intake) -> Row:
    said = to_responses({name: value for name, value in body.items() if name not in ("model", "tokenbus")})
    request = check_request(body)
    routing_table = intake.table()
    decision = timed_us(lambda: route(request, body=said, table=routing_table))
    arrival = Arrival("bench.requests.default.standard", {REQUEST_ID: "r1"}, orjson.dumps(body), 1_000.0)
    sender = intake.identify(arrival)
    assert isinstance(sender, tuple)
    assert isinstance(intake.decide(arrival, sender=sender, now=1_000.0), Admitted)
    whole = timed_us(lambda: intake.decide(arrival, sender=sender, now=1_000.0))
    value = f"{median(decision):.0f} µs (p99 {percentile(decision, 99):.0f}); whole intake {median(whole):.0f} µs"
    return Row(what, value, f"< {GOAL_US} µs")


if __name__ == "__main__":
    main()
