"""The tools file: what it may say, and what is said of one that is wrong."""

import pytest

from tokenbus_tools import ToolsFileError, read_tools_file

GOOD = """
http:
  - name: weather
    description: The weather of a city.
    url: https://api.example.com/v1/${VERSION}/weather/{city}
    headers: {Authorization: "Bearer ${KEY}"}
    parameters:
      type: object
      properties: {city: {type: string}}
      required: [city]
mcp:
  - name: files
    command: server
    args: [--root, /data]
    env: {TOKEN: "${KEY}"}
  - name: web
    url: http://127.0.0.1:8000/mcp
    headers: {X-Key: "${KEY}"}
    tools: [search]
    idempotent: [search]
"""
ENVIRONMENT = {"KEY": "secret", "VERSION": "2"}


def test_good_file_is_read_with_its_variables_filled_in() -> None:
    file = read_tools_file(GOOD, environment=ENVIRONMENT)

    assert file.http[0].url == "https://api.example.com/v1/2/weather/{city}"
    assert file.http[0].headers == {"Authorization": "Bearer secret"}
    assert (file.mcp[0].env, file.mcp[1].headers) == ({"TOKEN": "secret"}, {"X-Key": "secret"})


@pytest.mark.parametrize("text", ["", "# nothing\n"])
def test_empty_file_serves_nothing(text: str) -> None:
    file = read_tools_file(text, environment={})

    assert (file.http, file.mcp) == ([], [])


@pytest.mark.parametrize(
    ("fields", "may_run_again"),
    [("method: GET", True), ("method: POST", False), ("method: DELETE", False), ("method: PUT, idempotent: yes", True)],
)
def test_only_safe_methods_are_idempotent_by_default(fields: str, may_run_again: bool) -> None:
    text = f"http: [{{name: a, description: A., url: 'http://a/', parameters: {{}}, {fields}}}]"

    assert read_tools_file(text, environment={}).http[0].may_run_again is may_run_again


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("http: [", "the tools file is not YAML"),
        ("- a", "the file: Input should be a valid dictionary"),
        ("htp: []", "htp: Extra inputs are not permitted"),
        ("http: [{name: a b}]", "http.0.name: String should match pattern"),
        ("mcp: [{name: a}]", "mcp.0: Value error, write either command, with args and env, or url, with headers"),
        ("mcp: [{name: a, command: x, url: y}]", "write either command"),
        ("mcp: [{name: a, command: x, headers: {a: b}}]", "only a server with a url has them"),
        ("mcp: [{name: a, url: 'http://x/', env: {a: b}}]", "only a server with a command has them"),
        ("mcp: [{name: a, url: 'http://x/${NOPE}'}]", r"\$\{NOPE\}: is not set in the environment"),
        ("mcp: [{name: a, url: 'file:///etc/passwd'}]", "mcp server a: url is no http:// or https:// address"),
    ],
)
def test_wrong_file_is_refused_with_the_field_and_the_problem(text: str, problem: str) -> None:
    with pytest.raises(ToolsFileError, match=problem):
        read_tools_file(text, environment={})


def test_value_of_a_variable_is_never_quoted() -> None:
    with pytest.raises(ToolsFileError) as caught:
        read_tools_file("mcp: [{name: a, url: '${KEY}'}]", environment=ENVIRONMENT)

    assert "secret" not in str(caught.value)
