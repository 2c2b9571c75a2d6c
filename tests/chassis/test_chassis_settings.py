"""Settings from the environment, and their table."""

import pytest
from pydantic import Field, SecretStr, ValidationError

from tokenbus_chassis.settings import BAD_SETTINGS, ServiceSettings, read_settings, settings_table
from tokenbus_schemas import Pool


class ExampleSettings(ServiceSettings):
    api_key: SecretStr = Field(description="A key.")


def test_defaults_describe_one_machine() -> None:
    settings = ServiceSettings()
    assert (settings.nats_url, settings.root, settings.health_port) == ("nats://127.0.0.1:4222", "tokenbus", 0)


def test_fields_come_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TOKENBUS_NATS_URL", "nats://one,nats://two")
    monkeypatch.setenv("TOKENBUS_DRAIN_TIMEOUT_S", "7.5")
    monkeypatch.setenv("NOTIFY_SOCKET", "@here")
    settings = ServiceSettings()
    assert (settings.nats_url, settings.drain_timeout_s) == ("nats://one,nats://two", 7.5)
    assert settings.notify_socket == "@here"


def test_secrets_do_not_show(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TOKENBUS_NATS_PASSWORD", "hidden")
    monkeypatch.setenv("TOKENBUS_NATS_USER", "ann")
    settings = ServiceSettings()
    assert "hidden" not in repr(settings)
    assert (settings.login().user, settings.login().password) == ("ann", "hidden")


def test_a_bad_value_is_named_and_not_quoted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TOKENBUS_HEALTH_PORT", "secret by mistake")
    with pytest.raises(ValidationError, match="health_port") as caught:
        ServiceSettings()
    assert "by mistake" not in str(caught.value)


def test_settings_can_not_be_changed() -> None:
    settings = ServiceSettings()
    with pytest.raises(ValidationError):
        settings.root = "other"


def test_limits_reach_the_topology(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TOKENBUS_ROOT", "tb")
    monkeypatch.setenv("TOKENBUS_STREAM_REPLICAS", "3")
    monkeypatch.setenv("TOKENBUS_EVENTS_MAX_AGE_S", "60")
    monkeypatch.setenv("TOKENBUS_MAX_ACK_PENDING", "99")
    stored = ServiceSettings().topology(pools=(Pool("p"),))
    assert (stored.events.name, stored.events.replicas, stored.events.max_age_s) == ("TB_EVENTS", 3, 60.0)
    assert {consumer.max_ack_pending for consumer in stored.consumers} == {99}


def test_every_field_is_described() -> None:
    assert all(field.description for field in ServiceSettings.model_fields.values())


def test_the_table_lists_all_variables() -> None:
    table = settings_table(ExampleSettings)
    assert table.startswith("| variable | default | meaning |\n|---|---|---|\n")
    assert "| `TOKENBUS_ROOT` | `tokenbus` | First token" in table
    assert "| `TOKENBUS_API_KEY` | required | A key. |" in table
    assert "| `NOTIFY_SOCKET` |  | Set by systemd" in table
    assert len(table.splitlines()) == 2 + len(ExampleSettings.model_fields)


def test_settings_that_can_not_be_used_are_named_on_standard_error(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("TOKENBUS_HEALTH_PORT", "many")
    monkeypatch.setenv("TOKENBUS_DRAIN_TIMEOUT_S", "-1")
    with pytest.raises(SystemExit) as ended:
        read_settings(ServiceSettings)
    assert ended.value.code == BAD_SETTINGS
    lines = capsys.readouterr().err.splitlines()
    assert sorted(line.partition(":")[0] for line in lines) == ["TOKENBUS_DRAIN_TIMEOUT_S", "TOKENBUS_HEALTH_PORT"]
    assert "many" not in "".join(lines)


def test_settings_that_can_be_used_are_read_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TOKENBUS_DRAIN_TIMEOUT_S", "3")
    assert read_settings(ServiceSettings).drain_timeout_s == 3
